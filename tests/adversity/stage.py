"""Where the examples play: one sandbox, one marketing database, made as new in milliseconds for each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from crosstie.db.database import Database, parse_instant
from crosstie.model import Table
from crosstie.workflow.definition import Definition, read_definition
from tests.adversity.steering import Moments, NearSandbox
from tests.contract.imports.world import CATALOGUE, DescribedSite, Hooked, describe, indexed, open_connector

TABLE = "recipient"
COLUMNS = ("crm_id", "last_name", "title", "score", "birth_date", "changed_at")
EPOCH = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)
APART = timedelta(days=10)
Row = tuple[object, ...]


class Killed(BaseException):
    """The end of the process: nothing of ours may handle it."""


@dataclass(frozen=True, slots=True)
class SiteWithTables(DescribedSite):
    """What validation may look at, with the marketing database's tables."""

    db: Database

    def table(self, name: str) -> Table | None:
        return self.db.reflect(name)

    def tables(self) -> tuple[str, ...]:
        return self.db.tables()


@dataclass
class Watching(Hooked):
    """A watcher that lets a test act when an activity begins, or when the first rows are loaded."""

    acts: dict[str, list[Callable[[], None]]] = field(default_factory=dict)

    def activity_begun(self, run: int, task: int, activity: str, kind: str) -> None:
        for act in self.acts.pop(activity, []):
            act()

    def rows(self, activity: str, rows: int, expected: int | None, calls: int) -> None:
        for act in self.acts.pop("rows", []):
            act()


@dataclass
class Stage:
    """What the examples of one test share."""

    db: Database
    sandbox: NearSandbox
    moments: Moments
    site: SiteWithTables
    played: int = 0
    described_anew: bool = False
    """Whether field security has been touched since the object was collected: then no describe is a 304 any more."""
    _definitions: dict[str, Definition] = field(default_factory=dict)

    def read(self, text: str) -> Definition:
        """A definition, read once; validation has tests of its own."""
        if text not in self._definitions:
            self._definitions[text] = read_definition("flow.yaml", text, CATALOGUE, self.site)
        return self._definitions[text]

    def clear(self, left_behind: Sequence[str]) -> datetime:
        """Makes everything as new, and gives the time that it is on the CRM now."""
        at = EPOCH + self.played * APART
        self.played += 1
        sandbox = self.sandbox
        sandbox.faults([])
        sandbox.control("clock", at=(at - APART / 2).isoformat(), frozen=True)
        sandbox.control("purge", ids=list(left_behind))
        sandbox.control("expire_jobs")
        if self.described_anew:
            sandbox.hide()
            self.collect()
        sandbox.control("clock", at=at.isoformat(), frozen=True)
        self._clear_database()
        return at

    def collect(self) -> None:
        """Describes the object as it is now."""
        connector = open_connector(self.sandbox)
        try:
            self.site = SiteWithTables(describe(connector, "Contact").objects, self.db)
        finally:
            connector.close()
        self.described_anew = False

    def _clear_database(self) -> None:
        db = self.db
        db.drop_work(db.work_tables())
        emptied = ("run", "task", "event", "log", "import_window", "tail", "unaccepted", "reject", "option", "audit")
        with db.transaction("as new") as transaction:
            for (name,) in transaction.rows("select table_name from crosstie.tie where table_name <> ''"):
                transaction.execute(f"drop table crosstie.{name}")
            tables = [*(f"crosstie.{one}" for one in (*emptied, "tie")), TABLE, "written"]
            if db.dialect == "postgresql":
                transaction.execute(f"truncate {', '.join(tables)}")
            else:
                for table in tables:
                    transaction.execute(f"delete from {table}")

    def rows(self) -> dict[str, Row]:
        """The marketing database's rows by remote id."""
        listed = ", ".join(COLUMNS)
        with self.db.reading() as transaction:
            found = transaction.rows(f"select {listed} from {TABLE}")
        return {str(row[0]): tuple(_plain(value) for value in row) for row in found}

    def records(self) -> dict[str, Row]:
        """The org's living records by id, as rows, asked for without the connector."""
        self.sandbox.switches(query_page_rows=2000)
        found = self.sandbox.query(
            "SELECT Id, LastName, Title, Score__c, Birthdate, SystemModstamp FROM Contact ORDER BY Id"
        )
        return {one["Id"]: _row(one) for one in found}

    def writes(self) -> dict[str, int]:
        """How many rows of people's table were written since the last call; `in vain` without changing anything."""
        with self.db.transaction("writes are counted") as transaction:
            found = dict(transaction.rows("select what, count(*) from written group by what"))
            transaction.execute("delete from written")
        return found


def _row(record: Mapping[str, Any]) -> Row:
    score = record["Score__c"]
    stamp = record["SystemModstamp"]
    return (
        record["Id"],
        record["LastName"],
        record["Title"],
        None if score is None else float(score),
        record["Birthdate"],
        None if stamp is None else datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z"),
    )


def _plain(value: object) -> object:
    """A value of either database as `_row` has it."""
    match value:
        case datetime():
            return value.astimezone(UTC)
        case date():
            return value.isoformat()
        case str() if value.endswith("Z") and value[10:11] == "T":
            return parse_instant(value)
        case None | str():
            return value
    return float(str(value))


def definition(fields: Sequence[object], *, road: str, errors: bool) -> str:
    """An import into people's table, between two scripts that can be made to fail; with `errors`, a failed read takes
    the Error transition."""

    def script(name: str) -> dict[str, object]:
        code = f"if (getOption('BREAK') === '{name}') throw new Error('it broke {name} the write')"
        return {"type": "javascript", "code": code}

    write = {
        "type": "update_data",
        "into": TABLE,
        "identify": {"Id": "crm_id"},
        "set": {
            "crm_id": "Id",
            "last_name": "LastName",
            "title": "Title",
            "score": "Score__c",
            "birth_date": "Birthdate",
            "changed_at": "SystemModstamp",
        },
    }
    more: dict[str, object] = {
        "before": script("before"),
        "write": write,
        "after": script("after"),
        "done": {"type": "end"},
    }
    if errors:
        more["noted"] = {"type": "javascript", "code": "1"}
    return indexed(list(fields), more=more, road=road, **({"errors": "noted"} if errors else {}))


def _create_tables(db: Database) -> None:
    """People's table, and a count of what is written into it."""
    same = "is not distinct from" if db.dialect == "postgresql" else "is"
    equal = " and ".join(f"new.{name} {same} old.{name}" for name in COLUMNS)
    what = f"case when {equal} then 'in vain' else 'update' end"
    statements = [
        f"create table {TABLE} (crm_id varchar(18) primary key, last_name varchar(80), title varchar(128),"
        f" score numeric(18, 2), birth_date date, changed_at timestamptz)",
        "create table written (what text)",
    ]
    for event, value in (("insert", "'insert'"), ("update", what), ("delete", "'delete'")):
        note = f"begin insert into written values ({value});"
        if db.dialect == "sqlite":
            statements.append(f"create trigger note_{event} after {event} on {TABLE} {note} end")
        else:
            statements += [
                f"create function note_{event}() returns trigger language plpgsql as $$ {note} return null; end $$",
                f"create trigger note_{event} after {event} on {TABLE} for each row execute function note_{event}()",
            ]
    with db.transaction("people's tables") as transaction:
        for statement in statements:
            transaction.execute(statement)


@contextmanager
def a_stage(db: Database, sandbox: NearSandbox, moments: Moments) -> Iterator[Stage]:
    """The stage on an empty database. The records that the sandbox was made with are taken away."""
    _create_tables(db)
    stage = Stage(db=db, sandbox=sandbox, moments=moments, site=SiteWithTables({}, db))
    stage.collect()
    sandbox.control("purge", ids=[one["Id"] for one in sandbox.query("SELECT Id FROM Contact")])
    yield stage
