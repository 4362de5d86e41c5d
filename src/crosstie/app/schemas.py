"""Collected objects, and what validation may look at."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crosstie.app.backfill import Backfill, plan_backfill
from crosstie.app.schema_effects import Comparison, Use, concerned, new_mistakes, uses
from crosstie.app.versions import Version, newest_version, newest_versions
from crosstie.config import LinkKeys, split_columns
from crosstie.db.database import Database
from crosstie.db.foreign_keys import foreign_keys
from crosstie.errors import BrakeError, ConfigError, CrosstieError, MappingError
from crosstie.model import RemoteObject, Table
from crosstie.schema.links import Relation, TableLink, links_of, of_foreign_keys, of_references
from crosstie.schema.store import Collected, Schema, SchemaStore
from crosstie.schema.tables import Difference, changed_table
from crosstie.workflow import lists as stored
from crosstie.workflow.activity import Shape
from crosstie.workflow.definition import Definition, called_workflows, read_definition

if TYPE_CHECKING:
    from crosstie.app.accounts import Accounts
    from crosstie.crm.connector import Connector, ObjectName

# So many that a connector asks how many records there are at all.
_MANY_IDS = 10_000_000


class Schemas:
    """`app.schemas`."""

    def __init__(self, store: SchemaStore, accounts: Accounts, site: DatabaseSite) -> None:
        self._store = store
        self._accounts = accounts
        self._site = site

    def links(self, table: str = "") -> tuple[TableLink, ...]:
        """The links of a table, or of all. Raises ConfigError, with a suggestion, for a table that is not there."""
        names = self._site.tables()
        if not table:
            return tuple(link for name in names for link in self._site.links(name))
        if self._site.table(table) is None:
            close = difflib.get_close_matches(table, names, n=1)
            raise ConfigError(
                f"There is no table {table}.",
                hint=f"Did you mean {close[0]}?" if close else "All links: crosstie links",
            )
        return self._site.links(table)

    def remote(self, account: str) -> tuple[ObjectName, ...]:
        """Every object that the account's user can read, as the CRM lists them now."""
        with self._accounts.connected(account) as connector:
            return connector.objects()

    def about(self, account: str, names: Iterable[str]) -> dict[str, int | None]:
        """About how many records these objects have, each for one cheap call; None where the CRM does not tell."""
        from crosstie.crm.connector import RemoteQuery

        found: dict[str, int | None] = {}
        with self._accounts.connected(account) as connector:
            for name in names:
                remote = RemoteObject(name=name, label=name, label_plural=name, key="Id", fields=())
                try:
                    road = connector.road_for_ids(RemoteQuery(object=remote, fields=("Id",)), _MANY_IDS)
                    found[name] = road.expected_rows
                except CrosstieError:  # it is only to know; what is wrong is said when the object is collected
                    found[name] = None
        return found

    def collect(self, account: str, names: Iterable[str], *, dry_run: bool = False) -> Iterator[Collected]:
        """Fetches the descriptions of objects one by one, stores them, makes or widens their local tables; with
        `dry_run` only says what would change. Raises ConfigError, with a suggestion and before anything is stored,
        for an object the CRM doesn't list, and BrakeError for one that was collected before and changed in a way that
        may break workflows: `refresh` accepts that."""
        with self._accounts.connected(account) as connector:
            listed = {one.name.lower(): one.name for one in connector.objects()}
            exact = [_exact(account, name, listed) for name in names]
            for name in dict.fromkeys(exact):
                yield self._store.collect(account, name, connector, dry_run=dry_run)

    def diff(self, account: str, names: Iterable[str] = ()) -> tuple[Comparison, ...]:
        """Compares what was collected of an account, or these objects of it, with what the CRM describes now; stores
        nothing. Raises ConfigError for an object that was not collected."""
        chosen = [self.get(account, name) for name in names] or list(self.list(account))
        if not chosen:
            return ()
        with self._accounts.connected(account) as connector:
            return tuple(self._compared(schema, self._described(schema, connector)) for schema in chosen)

    def refresh(
        self, account: str, names: Iterable[str] = (), accepted: Collection[str] = ()
    ) -> tuple[Comparison, ...]:
        """Brings what was collected of an account, or these objects of it, up to what the CRM describes now: new
        columns are added, none is ever dropped, and every process uses it from its next task on. What differed is
        answered.

        Raises BrakeError, with nothing changed, where a field was removed, renamed or retyped and nobody accepts that:
        by the word for its kind, its name, or `all`."""
        found = self.diff(account, names)
        refused = [one for one in found if one.difference.refused(accepted)]
        if refused:
            raise BrakeError(
                "\n".join(_refusal(one, accepted) for one in refused),
                hint="Nothing was changed. When the workflows are ready for it, accept it: crosstie schema refresh"
                f" {account} {' '.join(_accepting(refused, accepted))}",
                code="BREAKING_CHANGES",
            )
        for one in found:
            if one.described is not None and not one.difference.empty:
                self._store.keep(account, one.described, accepted)
        return found

    def _described(self, schema: Schema, connector: Connector) -> RemoteObject | None:
        try:
            return self._store.describe(schema.account, schema.object.name, connector)
        except MappingError:  # there is no such object any more, or it is hidden from this user
            return None

    def _compared(self, schema: Schema, described: RemoteObject | None) -> Comparison:
        versions = self._site.versions()
        if described is None:
            gone = (Use(workflow=name, activities=()) for name in concerned(versions, schema))
            return Comparison(
                schema=schema, described=None, difference=Difference(created=False), uses={"": tuple(gone)}
            )
        found = self._store.compare(schema.account, described).difference
        if found.empty:
            return Comparison(schema=schema, described=described, difference=found)
        named = {one.field: uses(versions, schema, one) for one in found.changes}
        existing = self._site.table(schema.table)
        after = self._site.as_described(
            schema.account, described, changed_table(existing, found) if existing is not None else None
        )
        about = concerned(versions, schema)
        mistakes = {
            one.workflow: told
            for one in versions
            if one.workflow in about and (told := new_mistakes(one, self._site, after))
        }
        return Comparison(schema=schema, described=described, difference=found, uses=named, mistakes=mistakes)

    def backfill(
        self, account: str, name: str, field: str, *, into: str = "", key: str = "", column: str = ""
    ) -> Backfill:
        """The workflow that fills one field of rows that are there already: of the object's local table, or of a table
        `into` whose column `key` holds the remote ids. Raises ConfigError for what is not there."""
        schema = self.get(account, name)
        table = into or schema.table
        return plan_backfill(schema, field, self._site.table(table), key, column, table)

    def names(self, account: str) -> tuple[str, ...]:
        """The names of an account's collected objects."""
        return self._store.names(account)

    def list(self, account: str = "") -> tuple[Schema, ...]:
        """All collected objects, of one account or of all."""
        if account:
            self._accounts.get(account)
        return self._store.list(account)

    def find(self, name: str) -> Schema:
        """A collected object by its local table, or by its own name where only one account has it. Raises ConfigError,
        with a suggestion."""
        known = self._store.list()
        wanted = name.lower()
        named = [one for one in known if one.table.lower() == wanted]
        named = named or [one for one in known if one.object.name.lower() == wanted]
        if len(named) == 1:
            return named[0]
        if named:
            raise ConfigError(
                f"{name} was collected from several accounts: {', '.join(one.account for one in named)}.",
                hint=f"Say which: crosstie schema show {named[0].account} {name}",
            )
        words = (*self._accounts.names(), *(word for one in known for word in (one.object.name, one.table)))
        close = difflib.get_close_matches(name, words, n=1)
        raise ConfigError(
            f"“{name}” is neither an account nor a collected object, nor its table.",
            hint=f"Did you mean {close[0]}?" if close else "All that was collected: crosstie schema show",
        )

    def get(self, account: str, name: str) -> Schema:
        """A collected object. Raises ConfigError, with a suggestion, for one that was not collected."""
        self._accounts.get(account)
        found = self._store.find(account, name)
        if found is None:
            names = self._store.names(account)
            close = difflib.get_close_matches(name, names, n=1)
            suggestion = f"Did you mean {close[0]}? " if close else ""
            raise ConfigError(
                f"{name} was not collected from {account}.",
                hint=f"{suggestion}Collect it with: crosstie collect {account} {name}",
            )
        return found


def _refusal(one: Comparison, accepted: Collection[str]) -> str:
    told = []
    for change in one.difference.refused(accepted):
        using = ", ".join(use.text for use in one.uses.get(change.field, ()))
        told.append(f"  {change.text}; used by {using or 'no workflow'}")
    name = f"{one.schema.object.name} of {one.schema.account}"
    return "\n".join([f"{name} changed in a way that may break workflows:", *told])


def _accepting(refused: Sequence[Comparison], accepted: Collection[str]) -> tuple[str, ...]:
    """The command's arguments that accept what was refused, and what was accepted already."""
    kinds = [str(change.kind) for one in refused for change in one.difference.refused(accepted)]
    objects = [one.schema.object.name for one in refused]
    return (*objects, *(f"--accept {word}" for word in dict.fromkeys((*accepted, *kinds))))


def _exact(account: str, name: str, listed: Mapping[str, str]) -> str:
    if name.lower() in listed:
        return listed[name.lower()]
    close = difflib.get_close_matches(name.lower(), listed, n=1)
    suggestion = f"Did you mean {listed[close[0]]}? " if close else ""
    raise ConfigError(
        f"{account} has no object {name} that this user can read.",
        hint=f"{suggestion}All of them: crosstie objects {account}",
    )


def declared_relations(links: Sequence[LinkKeys]) -> tuple[Relation, ...]:
    """What the configuration declares."""
    found = []
    for one in links:
        own, other = split_columns(one.from_), split_columns(one.to)
        assert own is not None and other is not None, "the configuration has been checked"
        found.append(
            Relation(
                table=own[0],
                columns=own[1],
                to=other[0],
                to_columns=other[1],
                origin="declared",
                name=one.name,
                back=one.back,
            )
        )
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a workflow, and where it is from, for messages."""

    source: str
    text: str


class DatabaseSite:
    """What validation may look at: the database and what is stored in it, never a CRM."""

    def __init__(
        self,
        db: Database,
        store: SchemaStore,
        accounts: Accounts,
        declared: Sequence[Relation] = (),
        *,
        files: Path = Path(),
        drafts: Mapping[str, Draft] | None = None,
    ) -> None:
        self._drafts = drafts or {}
        self._db = db
        self._files = files
        self._store = store
        self._accounts = accounts
        self._declared = tuple(declared)
        self._objects: Mapping[tuple[str, str], RemoteObject] = {}
        self._changed: Mapping[str, Table] = {}

    def as_described(self, account: str, described: RemoteObject, table: Table | None) -> DatabaseSite:
        """The same, with an object as the CRM describes it now, and its local table as it will be."""
        site = copy.copy(self)
        site._objects = {(account, described.name.lower()): described}
        site._changed = {table.name.lower(): table} if table is not None else {}
        return site

    def versions(self) -> tuple[Version, ...]:
        """The newest version of each workflow."""
        with self._db.reading() as transaction:
            return newest_versions(transaction)

    def table(self, name: str) -> Table | None:
        """A table of people's."""
        return self._changed.get(name.lower()) or self._db.reflect(name)

    def tables(self) -> tuple[str, ...]:
        """The names of people's tables, for suggestions."""
        return self._db.tables()

    def accounts(self) -> tuple[str, ...]:
        """The names of the external accounts."""
        return self._accounts.names()

    def account_kind(self, name: str) -> str:
        """The kind of an external account, '' when there is none of that name."""
        return next((one.kind for one in self._accounts.list() if one.name == name), "")

    def collected(self, account: str) -> tuple[str, ...]:
        """The names of the collected remote objects of an account."""
        return self._store.names(account)

    def remote_object(self, account: str, name: str) -> RemoteObject | None:
        """A collected remote object, as stored."""
        if (account, name.lower()) in self._objects:
            return self._objects[account, name.lower()]
        found = self._store.find(account, name)
        return found.object if found else None

    def links(self, table: str) -> tuple[TableLink, ...]:
        """The links of a table of people's: declared ones first, then foreign keys, then remote references."""
        with self._db.reading() as transaction:
            keys = foreign_keys(transaction)
        relations = (*self._declared, *of_foreign_keys(keys), *of_references(self._store.list()))
        return links_of(table, relations, self._db.reflect)

    def with_drafts(self, drafts: Mapping[str, Draft]) -> DatabaseSite:
        """The same, with those workflows as they are to become."""
        return DatabaseSite(self._db, self._store, self._accounts, self._declared, files=self._files, drafts=drafts)

    def workflow(self, name: str) -> Definition | None:
        """See `Site`."""
        from crosstie.activities import ACTIVITIES

        found = self._newest(name)
        return read_definition(found.source, found.text, ACTIVITIES, self) if found is not None else None

    def called_by(self, name: str) -> tuple[str, ...]:
        """See `Site`."""
        from crosstie.activities import ACTIVITIES

        found = self._newest(name)
        return called_workflows(found.text, ACTIVITIES) if found is not None else ()

    def _newest(self, name: str) -> Draft | None:
        if name in self._drafts:
            return self._drafts[name]
        with self._db.reading() as transaction:
            newest = newest_version(transaction, name)
        return Draft(f"{name} (version {newest.version})", newest.text) if newest is not None else None

    def lists(self) -> tuple[str, ...]:
        """The names of the lists."""
        with self._db.reading() as transaction:
            return tuple(one.name for one in stored.lists(transaction))

    def list_shape(self, name: str) -> Shape | None:
        """What is known of the rows of a list, None where there is none of that name."""
        with self._db.reading() as transaction:
            found = stored.find_list(transaction, name)
        return Shape.of(found.table) if found is not None else None

    def files_folder(self) -> Path:
        """The folder within which activities read and write files."""
        return self._files
