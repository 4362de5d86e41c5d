"""The collected objects: what each looked like on the CRM, and which local table holds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from crosstie.db.database import Database, Transaction, instant_text, parse_instant
from crosstie.errors import DatabaseError
from crosstie.model import RemoteObject
from crosstie.schema.tables import Difference, difference, local_table

if TYPE_CHECKING:
    from crosstie.crm.connector import Connector


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """A collected remote object: its description with its enumerations, and the local table generated from it."""

    account: str
    object: RemoteObject
    table: str
    collected_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The result of collecting one object."""

    schema: Schema
    difference: Difference


class SchemaStore:
    """Reads and writes the register of collected objects. What is read is remembered until it is collected again,
    or by another process, which the fingerprint shows."""

    def __init__(self, db: Database, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now
        self._remembered: dict[tuple[str, str], tuple[str, Schema]] = {}

    def list(self, account: str = "") -> tuple[Schema, ...]:
        """All collected objects, of one account or of all, by account and name."""
        with self._db.reading() as transaction:
            names = transaction.rows("select account, object from crosstie.schema order by account, object")
        found = (self.find(str(row[0]), str(row[1])) for row in names if account in ("", row[0]))
        return tuple(schema for schema in found if schema is not None)

    def names(self, account: str) -> tuple[str, ...]:
        """The names of an account's collected objects."""
        with self._db.reading() as transaction:
            rows = transaction.rows(
                "select object from crosstie.schema where account = :account order by object", {"account": account}
            )
        return tuple(str(row[0]) for row in rows)

    def find(self, account: str, name: str) -> Schema | None:
        """The collected object with that API name, without regard to case, or None."""
        with self._db.reading() as transaction:
            stamp = transaction.row(
                "select object, collected_at from crosstie.schema where account = :account and lower(object) = :object",
                {"account": account, "object": name.lower()},
            )
            if stamp is None:
                return None
            known = self._remembered.get((account, name.lower()))
            if known is not None and known[0] == str(stamp[1]):
                return known[1]
            row = transaction.row(
                "select description, table_name, collected_at from crosstie.schema"
                " where account = :account and object = :object",
                {"account": account, "object": stamp[0]},
            )
        if row is None:
            return None
        schema = Schema(
            account=account,
            object=read_description(str(row[0])),
            table=str(row[1]),
            collected_at=parse_instant(str(row[2])),
        )
        self._remembered[(account, name.lower())] = (str(row[2]), schema)
        return schema

    def collect(self, account: str, name: str, connector: Connector, *, dry_run: bool = False) -> Collected:
        """Asks the CRM for the object's description, creates or widens its local table and stores both, in one
        transaction. With `dry_run` nothing is written. Raises RequestError for an object the CRM does not know,
        ConfigError when the table's name is taken."""
        known = self.find(account, name)
        described = connector.describe(name, known=known.object if known else None)
        wanted = local_table(account, described)
        if known is not None:
            wanted = replace(wanted, name=known.table)
        before = known.object if known else None
        schema = Schema(account=account, object=described, table=wanted.name, collected_at=self._now())
        if dry_run:
            found = difference(wanted, self._db.reflect(wanted.name), before=before, now=described)
            return Collected(schema=schema, difference=found)
        with self._db.transaction(f"collecting {name} of {account}") as transaction:
            transaction.lock(f"table {wanted.name}")
            # Looked at under the lock: another process may be making the same table.
            found = difference(wanted, self._db.reflect(wanted.name), before=before, now=described)
            if found.created:
                self._db.create_table(transaction, wanted)
            elif found.added:
                self._db.add_columns(transaction, wanted.name, [replace(one, nullable=True) for one in found.added])
            self._store(transaction, schema)
        return Collected(schema=schema, difference=found)

    def _store(self, transaction: Transaction, schema: Schema) -> None:
        transaction.execute(
            "insert into crosstie.schema (account, object, label, description, table_name, fingerprint, collected_at)"
            " values (:account, :object, :label, :description, :table, :fingerprint, :at)"
            " on conflict (account, object) do update set label = excluded.label,"
            " description = excluded.description, table_name = excluded.table_name,"
            " fingerprint = excluded.fingerprint, collected_at = excluded.collected_at",
            {
                "account": schema.account,
                "object": schema.object.name,
                "label": schema.object.label,
                "description": description_text(schema.object),
                "table": schema.table,
                "fingerprint": schema.object.fingerprint,
                "at": instant_text(schema.collected_at),
            },
        )


def description_text(remote_object: RemoteObject) -> str:
    """A description as JSON, enumerations included."""
    return msgspec.json.encode(remote_object).decode()


def read_description(text: str) -> RemoteObject:
    """The description of `description_text`. Raises DatabaseError when the stored text is not one."""
    try:
        return msgspec.json.decode(text, type=RemoteObject)
    except msgspec.DecodeError as error:
        raise DatabaseError(
            f"A stored description cannot be read: {error}", hint="Collect the object again: crosstie collect ACCOUNT"
        ) from error
