"""Enumerations: closed lists of ours, kept in step with the picklists of CRMs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from crosstie.db.database import Database, Transaction
from crosstie.errors import ConfigError, ConnectorError
from crosstie.model import EnumerationValue, FieldType, RemoteField, RemoteObject
from crosstie.schema import enumerations as stored
from crosstie.schema.editing import Edit
from crosstie.schema.enumerations import Enumeration, Source, Unknown
from crosstie.schema.merging import NOTHING, ValueChanges, gone, joined, merged

if TYPE_CHECKING:
    from crosstie.app.accounts import Accounts
    from crosstie.app.schemas import Schemas

__all__ = ["Candidate", "Edit", "Enumeration", "Enumerations", "Source", "Synced", "Unknown"]

LISTS = (FieldType.ENUMERATION, FieldType.SET)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A picklist of a collected object; `followed_by` names the enumeration that follows it, '' for none."""

    source: Source
    label: str
    several: bool
    values: int
    restricted: bool
    followed_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What a synchronisation makes of one enumeration. `made`: it was not there before. With a `problem` nothing was
    changed, and that says why."""

    enumeration: Enumeration
    made: bool = False
    changes: ValueChanges = NOTHING
    problem: str = ""


class Enumerations:
    """`app.enumerations`."""

    def __init__(self, db: Database, accounts: Accounts, schemas: Schemas, now: Callable[[], datetime]) -> None:
        self._db = db
        self._accounts = accounts
        self._schemas = schemas
        self._now = now

    def list(self, account: str = "") -> tuple[Enumeration, ...]:
        """All enumerations by name, or those that follow an account. Raises ConfigError for an unknown account."""
        if account:
            self._accounts.get(account)
        with self._db.reading() as transaction:
            found = stored.enumerations(transaction)
        return tuple(one for one in found if not account or any(source.account == account for source in one.sources))

    def get(self, name: str) -> Enumeration:
        """The enumeration of that name. Raises ConfigError, with a suggestion, when there is none."""
        with self._db.reading() as transaction:
            return _get(transaction, name)

    def candidates(self, account: str) -> tuple[Candidate, ...]:
        """The picklists of an account's collected objects, as they were collected."""
        found = []
        for schema in self._schemas.list(account):
            with self._db.reading() as transaction:
                followed = stored.followed_by(transaction, account, schema.object.name)
            found += [
                Candidate(
                    source=Source(account=account, object=schema.object.name, field=field.name),
                    label=field.label,
                    several=field.type is FieldType.SET,
                    values=len(field.values),
                    restricted=field.restricted,
                    followed_by=followed.get(field.name, ""),
                )
                for field in schema.object.fields
                if field.type in LISTS and field.values
            ]
        return tuple(found)

    def follow(
        self,
        account: str,
        fields: Iterable[str],
        *,
        into: str = "",
        replaces: bool | None = None,
        on_unknown: Unknown | None = None,
        dry_run: bool = False,
    ) -> tuple[Synced, ...]:
        """Has enumerations follow picklists from now on, and synchronises them. `fields` are `Object.Field`, or
        `Object` for all that it has. Each goes `into` the enumeration of that name, else into the one that follows it
        already, else into one of people's own that has its name or label, else into a new one. Raises ConfigError for
        what was not collected or is no picklist, ConnectorError."""
        chosen = [one for name in fields for one in self._chosen(account, name)]
        with self._db.reading() as transaction:
            known = {one.name: one for one in stored.enumerations(transaction)}
        wanted: dict[str, Enumeration] = {}
        for source, field in chosen:
            name = into or _match(source, field, known.values())
            one = wanted.get(name) or known.get(name) or Enumeration(name=_valid_name(name), label=field.label)
            wanted[name] = replace(
                one,
                sources=tuple(dict.fromkeys([*one.sources, source])),
                replaces=one.replaces if replaces is None else replaces,
                on_unknown=on_unknown or one.on_unknown,
            )
        return tuple(self._synchronised(tuple(wanted.values()), dry_run=dry_run, follow=True))

    def sync(self, names: Sequence[str] = (), *, account: str = "", dry_run: bool = False) -> tuple[Synced, ...]:
        """Synchronises enumerations with what they follow: these, or all (of an account). One that cannot be, because
        its CRM is away or its field is gone, has a problem, and the others are done. Raises ConfigError for a name that
        is not there or follows nothing."""
        if not names:
            chosen = tuple(one for one in self.list(account) if one.sources)
        else:
            chosen = tuple(self.get(name) for name in dict.fromkeys(names))
        for one in chosen:
            if not one.sources:
                raise ConfigError(
                    f"Enumeration {one.name} follows no field of a CRM.",
                    hint=f"Say which: crosstie enumeration sync ACCOUNT OBJECT.FIELD --into {one.name}",
                )
        return tuple(self._synchronised(chosen, dry_run=dry_run))

    def edit(self, name: str, change: Edit, *, create: bool = False) -> Enumeration:
        """Changes an enumeration, or makes one of people's own. Raises ConfigError when there is none (with `create`:
        when there is one), for a value that is not there, and when a value would be removed that rows hold."""
        with self._db.transaction(f"enumeration {name}") as transaction:
            stored.lock_enumeration(transaction, name)
            known = stored.find_enumeration(transaction, name) if create else _get(transaction, name)
            if create and known is not None:
                raise ConfigError(f"There is an enumeration {name} already.", hint="Edit it without --create.")
            before = known or Enumeration(name=_valid_name(name), label=name)
            after = change.of(before)
            for table, column in set(after.columns) - set(before.columns):
                self._refuse_missing(table, column)
            lost = [one.name for one in before.values if after.value(one.name) is None]
            used = self._used(transaction, after, lost)
            if used:
                told = ", ".join(f"{value} ({rows:,} rows)" for value, rows in used.items())
                raise ConfigError(
                    f"Rows hold values that would be removed from {name}: {told}.",
                    hint=f"They can be made inactive: crosstie enumeration edit {name} --deactivate VALUE",
                )
            if create or after != before:
                stored.store_enumeration(transaction, after, known, "create" if create else "edit", self._now())
        return after

    def remove(self, name: str) -> None:
        """Removes an enumeration with its values; what rows hold stays. Raises ConfigError when there is none."""
        with self._db.transaction(f"enumeration {name}") as transaction:
            stored.lock_enumeration(transaction, name)
            stored.remove_enumeration(transaction, _get(transaction, name), self._now())

    def _chosen(self, account: str, name: str) -> Iterator[tuple[Source, RemoteField]]:
        wanted, _, field_name = name.partition(".")
        remote = self._schemas.get(account, wanted).object
        if not field_name:
            found = [one for one in remote.fields if one.type in LISTS and one.values]
        else:
            field = remote.field(field_name)
            found = [field] if field is not None and field.type in LISTS else []
        if not found:
            lists = [one.name for one in remote.fields if one.type in LISTS]
            close = difflib.get_close_matches(field_name, lists, n=1)
            raise ConfigError(
                f"{name} of {account} has no list of values.",
                hint=f"Did you mean {remote.name}.{close[0]}?"
                if close
                else f"What there is to choose: crosstie enumeration list {account}",
            )
        for one in found:
            yield Source(account=account, object=remote.name, field=one.name), one

    def _synchronised(self, chosen: Sequence[Enumeration], *, dry_run: bool, follow: bool = False) -> Iterator[Synced]:
        """With `follow` they are to become as given, but for their values."""
        remote = self._remote({source for one in chosen for source in one.sources})
        for one in chosen:
            lists, problem = _lists(one, remote)
            if problem:
                yield Synced(enumeration=one, problem=problem)
                continue
            looking = self._db.reading() if dry_run else self._db.transaction(f"enumeration {one.name}")
            with looking as transaction:
                if not dry_run:
                    stored.lock_enumeration(transaction, one.name)
                # Looked at anew: somebody may have edited or removed it while the CRM was asked.
                before = stored.find_enumeration(transaction, one.name)
                wanted = one if follow else before
                if wanted is None:
                    synced = Synced(enumeration=one, problem="it was removed meanwhile")
                else:
                    synced = self._merge(transaction, before, wanted, lists)
                    if not dry_run:
                        stored.store_enumeration(transaction, synced.enumeration, before, "sync", self._now())
            yield synced

    def _merge(
        self,
        transaction: Transaction,
        before: Enumeration | None,
        wanted: Enumeration,
        lists: Sequence[Sequence[EnumerationValue]],
    ) -> Synced:
        """What becomes of the enumeration with the values of these lists."""
        values = before.values if before is not None else ()
        there = joined(lists)
        lost = gone(values, there) if wanted.replaces else ()
        used = self._used(transaction, wanted, lost)
        changes = merged(values, there, replaces=wanted.replaces, used=used)
        after = replace(wanted, values=changes.values, synced_at=self._now())
        return Synced(enumeration=after, made=before is None, changes=changes)

    def _remote(self, sources: Iterable[Source]) -> Mapping[Source, RemoteField | str]:
        """The fields as the CRMs describe them now, or why that cannot be said."""
        found: dict[Source, RemoteField | str] = {}
        by_account: dict[str, list[Source]] = {}
        for one in sorted(sources, key=str):
            by_account.setdefault(one.account, []).append(one)
        for account, asked in by_account.items():
            try:
                found.update(self._described(account, asked))
            except (ConnectorError, ConfigError) as error:
                told = " ".join(text for text in (error.message, error.hint) if text)
                found.update(dict.fromkeys(asked, told))
        return found

    def _described(self, account: str, asked: Sequence[Source]) -> Mapping[Source, RemoteField | str]:
        objects: dict[str, RemoteObject] = {}
        with self._accounts.connected(account) as connector:
            for name in dict.fromkeys(one.object for one in asked):
                objects[name] = connector.describe(name, known=self._schemas.get(account, name).object)
        return {
            one: objects[one.object].field(one.field)
            or f"{one.object} of {account} does not show {one.field} any more: deleted, renamed or hidden"
            for one in asked
        }

    def _used(self, transaction: Transaction, one: Enumeration, values: Sequence[str]) -> dict[str, int]:
        """How many rows hold these values, in generated tables and in people's columns; those that none holds are left
        out."""
        found: dict[str, int] = {}
        if not values:
            return found
        for table, column in self._places(one):
            for value in values:
                rows = stored.rows_with(transaction, table, column, value)
                if rows:
                    found[value] = found.get(value, 0) + rows
        return found

    def _places(self, one: Enumeration) -> Iterator[tuple[str, str]]:
        """The columns that hold its values, quoted."""
        tables = {(schema.account, schema.object.name): schema.table for schema in self._schemas.list()}
        generated = [
            (tables[source.account, source.object], source.field.lower())
            for source in one.sources
            if (source.account, source.object) in tables
        ]
        for name, column in [*generated, *one.columns]:
            table = self._db.reflect(name)
            known = table.column(column) if table is not None else None
            if known is not None:
                yield self._db.quote_table(name), self._db.quote(known.name)

    def _refuse_missing(self, table: str, column: str) -> None:
        found = self._db.reflect(table)
        if found is None or found.column(column) is None:
            what = f"table {table}" if found is None else f"column {column} in table {table}"
            raise ConfigError(f"There is no {what}.", hint="Say it as TABLE.COLUMN.")


def _lists(
    one: Enumeration, remote: Mapping[Source, RemoteField | str]
) -> tuple[Sequence[Sequence[EnumerationValue]], str]:
    """The values of everything that an enumeration follows, or why there are none."""
    lists = []
    for source in one.sources:
        field = remote[source]
        if isinstance(field, str):
            return (), field
        if not field.values:
            return (), f"{source} has no values on the CRM any more; the enumeration stays as it is"
        lists.append(field.values)
    return lists, ""


def _match(source: Source, field: RemoteField, known: Iterable[Enumeration]) -> str:
    """The name of the enumeration for a field: the one that follows it, that of the shared list, one of people's own
    that is called like the field, or a new one."""
    following = next((one.name for one in known if source in one.sources), "")
    words = {word.casefold() for word in (field.name, field.label, field.value_set) if word}
    own = [one.name for one in known if not one.sources and {one.name.casefold(), one.label.casefold()} & words]
    listed = field.value_set or f"{source.object}_{field.name}"
    made = re.sub(r"[^a-z0-9_]+", "_", f"{source.account}_{listed}".lower())
    return following or (own[0] if len(own) == 1 else made)


def _valid_name(name: str) -> str:
    if not re.fullmatch(r"[\w.-]+", name):
        raise ConfigError(f"“{name}” is not a name for an enumeration.", hint="Use letters, digits, '_', '-' and '.'.")
    return name


def _get(transaction: Transaction, name: str) -> Enumeration:
    found = stored.find_enumeration(transaction, name)
    if found is None:
        names = [one.name for one in stored.enumerations(transaction)]
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        suggestion = f"Did you mean {close[0]}? " if close else ""
        raise ConfigError(
            f"There is no enumeration {name}.",
            hint=f"{suggestion}All of them: crosstie enumeration list. One of your own is made by: crosstie enumeration"
            f" edit {name} --create",
        )
    return found
