"""The collected objects: what each looked like on the CRM, and which local table holds it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from crosstie.db.database import Database, Transaction, instant_text, parse_instant
from crosstie.errors import BrakeError, DatabaseError
from crosstie.model import RemoteObject, Table
from crosstie.schema.tables import Difference, difference, local_table, table_name

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
            return self._find(transaction, account, name)

    def _find(self, transaction: Transaction, account: str, name: str) -> Schema | None:
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

    def collect(
        self, account: str, name: str, connector: Connector, *, dry_run: bool = False, accepted: Collection[str] = ()
    ) -> Collected:
        """Asks the CRM for the object's description and keeps it, see `keep`. Raises RequestError for an object the CRM
        does not know."""
        described = self.describe(account, name, connector)
        return self.compare(account, described) if dry_run else self.keep(account, described, accepted)

    def describe(self, account: str, name: str, connector: Connector) -> RemoteObject:
        """The object as the CRM describes it now; what is stored where nothing changed."""
        known = self.find(account, name)
        return connector.describe(name, known=known.object if known else None)

    def compare(self, account: str, described: RemoteObject) -> Collected:
        """What keeping that description would change. Raises ConfigError when the table's name is taken."""
        known = self.find(account, described.name)
        wanted = _wanted(account, described, known)
        found = difference(wanted, self._db.reflect(wanted.name), before=known.object if known else None, now=described)
        return Collected(schema=self._schema(account, described, wanted.name), difference=found)

    def keep(self, account: str, described: RemoteObject, accepted: Collection[str] = ()) -> Collected:
        """Creates or changes the local table and stores the description, in one transaction: from then on every process
        uses it. No column and no value is ever dropped. Raises BrakeError, with nothing changed, for a breaking change
        that is not accepted: by its kind (removed, renamed, retyped), its field, or `all`; ConfigError when the
        table's name is taken."""
        name = described.name
        with self._db.transaction(f"collecting {name} of {account}") as transaction:
            transaction.lock(f"table {table_name(account, name)}")
            # Looked at under the lock: another process may be making or changing the same table.
            known = self._find(transaction, account, name)
            wanted = _wanted(account, described, known)
            found = difference(
                wanted, self._db.reflect(wanted.name), before=known.object if known else None, now=described
            )
            refuse_breaking(account, name, found, accepted)
            self._change_table(transaction, wanted, found)
            schema = self._schema(account, described, wanted.name)
            self._store(transaction, schema)
        return Collected(schema=schema, difference=found)

    def _schema(self, account: str, described: RemoteObject, table: str) -> Schema:
        return Schema(account=account, object=described, table=table, collected_at=self._now())

    def _change_table(self, transaction: Transaction, wanted: Table, found: Difference) -> None:
        if found.created:
            self._db.create_table(transaction, wanted)
            return
        for old, new in (*found.renamed, *found.set_aside):
            self._db.rename_column(transaction, wanted.name, old, new)
        if found.wider:
            self._db.widen_columns(transaction, wanted.name, found.wider)
        if found.added:
            self._db.add_columns(transaction, wanted.name, [replace(one, nullable=True) for one in found.added])

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


def _wanted(account: str, described: RemoteObject, known: Schema | None) -> Table:
    """The local table as the description wants it, under the name that it has already."""
    wanted = local_table(account, described)
    return replace(wanted, name=known.table) if known is not None else wanted


def refuse_breaking(account: str, name: str, found: Difference, accepted: Collection[str]) -> None:
    """Raises BrakeError where a change is breaking that nobody accepted."""
    refused = found.refused(accepted)
    if refused:
        words = " ".join(f"--accept {word}" for word in dict.fromkeys(str(one.kind) for one in refused))
        raise BrakeError(
            f"{name} of {account} changed in a way that may break workflows: {'; '.join(one.text for one in refused)}.",
            hint=f"Nothing was changed. See which workflows use it: crosstie schema diff {account} {name}. Accept it:"
            f" crosstie schema refresh {account} {name} {words}",
            code="BREAKING_CHANGES",
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
