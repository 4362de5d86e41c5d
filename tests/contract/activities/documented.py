"""The examples in the documentation, read and carried out.

An example is the section “## Example” of a page, or another one. What stands in it is carried out from top to bottom:

- a ```sql block: statements, which people ran on their database;
- a table below “`OBJECT` in Salesforce:”: records of a sandbox, reached by the account `salesforce`; so with the names
  of the other kinds of CRM (`remotes`), one of them in an example;
- a table below “`OBJECT` deleted in Salesforce:” or “`OBJECT` merged in Salesforce:”: records with such a value of its
  first column are deleted, or merged into the record with the value of its second;
- a block below a line that ends with “the file `NAME`:”: a file of the project;
- a ```yaml block that begins with `workflow:`: it is applied and run, or only applied where the line above it says
  “is applied”;
- a block “crosstie run NAME”: that workflow is run again;
- a table below “`OBJECT` in Salesforce holds:”: the records there that came with the example, in any order; a column
  may be that of a parent (`Account.Name`);
- a table below “`TABLE` holds:” or “`ACTIVITY.TRANSITION` put out:”: the rows there, in any order; empty is null;
- a block below “the file `NAME` holds:”: the text of a file afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from crosstie import App
from crosstie.accounts import create_key_file
from crosstie.db import open_database
from crosstie.db.statements import quote_identifier
from crosstie.model import ColumnType, WorkTable
from crosstie.workflow import state
from tests.contract.activities.remotes import SALESFORCE, Remote
from tests.sandboxes import Sandbox

DOCS = Path(__file__).parents[3] / "docs" / "activities"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_TABLE = re.compile(r"^\|.*\|\n\|[ :|-]+\|\n(?:\|.*\|(?:\n|\Z))*", flags=re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block (its language and text) or a table (language `table`), and the line that leads to it."""

    language: str
    text: str
    lead: str

    def names(self, pattern: str) -> str:
        """What the line names where it has that pattern, else ''."""
        found = re.search(pattern, self.lead)
        return found[1] if found else ""

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """The header and the cells of a table."""
        header, _, *lines = [
            [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
            for line in self.text.strip().splitlines()
        ]
        return header, lines


def example(page: Path, heading: str = "Example") -> tuple[Block, ...]:
    """The blocks of a page's example, none where it has no section of that heading."""
    _, _, section = page.read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    section = re.split(r"^## ", section, maxsplit=1, flags=re.MULTILINE)[0]
    fences = [(found.start(), found.end(), found[1] or "text", found[2]) for found in _FENCE.finditer(section)]
    tables = [
        (found.start(), found.end(), "table", found[0])
        for found in _TABLE.finditer(section)
        if not any(start < found.start() < end for start, end, _, _ in fences)
    ]
    blocks, before = [], 0
    for start, end, language, text in sorted(fences + tables):
        lead = section[before:start].strip().rpartition("\n\n")[2].replace("\n", " ")
        blocks.append(Block(language=language, text=text, lead=lead))
        before = end
    return tuple(blocks)


def workflows(page: Path) -> tuple[str, ...]:
    """The workflow files in a page's example."""
    return tuple(
        block.text for block in example(page) if block.language == "yaml" and block.text.startswith("workflow:")
    )


class FastClock:
    """A thousand times as fast as ours: a wait of ten minutes is over in less than a second."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)

    def now(self) -> datetime:
        """The present instant of a hasty world."""
        return self._began + (datetime.now(UTC) - self._began) * 1000


@dataclass(slots=True, kw_only=True)
class Stage:
    """A project on which an example is carried out. `asserted` counts the rows that were compared, `before` are the
    records that were in the CRM before, by object; `remote` is which kind of CRM that is."""

    app: App
    folder: Path
    sandbox: Callable[[], Sandbox]
    remote: Remote = SALESFORCE
    run: int = 0
    asserted: int = 0
    before: dict[str, set[str]] = field(default_factory=dict)

    def play(self, blocks: Sequence[Block]) -> None:
        """Carries out an example."""
        for block in blocks:
            self._step(block)

    def _step(self, block: Block) -> None:
        crm = self.remote.word
        if block.language == "sql":
            self._sql(block.text)
        elif block.language == "yaml" and block.text.startswith("workflow:"):
            self._workflow(block)
        elif block.text.startswith("crosstie run "):
            self.again(block.text.split()[2])
        elif block.language == "table" and (name := block.names(rf"`(\w+)` in {crm}:$")):
            self._remote(name, *block.rows())
        elif block.language == "table" and (name := block.names(rf"`(\w+)` (?:deleted|merged) in {crm}:$")):
            self._take_away(name, *block.rows())
        elif block.language == "table" and (name := block.names(rf"`(\w+)` in {crm} holds:$")):
            self._compare_records(block, name)
        elif block.language == "table" and (name := block.names(r"`([\w-]+\.[\w-]+)` put out:$")):
            self._compare(block, *self._work_table(*name.split(".")))
        elif block.language == "table" and (name := block.names(r"`(\w+)` holds:$")):
            self._compare(block, self.app.db.quote_table(name), self._types(name))
        elif name := block.names(r"the file `([^`]+)` holds:$"):
            assert (self.folder / name).read_text(encoding="utf-8") == block.text
            self.asserted += 1
        elif name := block.names(r"the file `([^`]+)`:$"):
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(block.text, encoding="utf-8")
        else:
            raise AssertionError(f"nothing says what to do with the {block.language} block after “{block.lead}”")

    def _sql(self, text: str) -> None:
        with self.app.db.transaction("people") as transaction:
            for statement in re.split(r";\s*$", text, flags=re.MULTILINE):
                if statement.strip():
                    transaction.execute(statement)

    def _workflow(self, block: Block) -> None:
        # Kept, so that what every transition carried can be looked at afterwards.
        text = re.sub(r"\A(workflow: .*\n)", r"\1keep_interim: true\n", block.text)
        file = self.folder / "example.yaml"
        file.write_text(text, encoding="utf-8")
        applied = self.app.workflows.apply(file)
        if "is applied" not in block.lead:
            self.run = self.app.workflows.run(applied.definition.name).run

    def add_account(self) -> None:
        """The sandbox as an account, once."""
        account = self.remote.kind
        if account not in self.app.accounts.names():
            self.app.accounts.add(account, account, self.remote.settings(self.sandbox()))
            self.app.accounts.check(account)

    def again(self, name: str) -> None:
        """Runs a workflow once more."""
        self.run = self.app.workflows.run(name).run

    def _remote(self, name: str, header: list[str], lines: list[list[str]]) -> None:
        sandbox = self.sandbox()
        self.before.setdefault(name, {one["Id"] for one in self._records(name, ["Id"])})
        self.add_account()
        list(self.app.schemas.collect(self.remote.kind, [name]))
        sandbox.insert(name, [dict(zip(header, line, strict=True)) for line in lines])
        sandbox.advance(timedelta(minutes=5))  # past the guard of an automatic index

    def _take_away(self, name: str, header: list[str], lines: list[list[str]]) -> None:
        sandbox = self.sandbox()

        def record(value: str) -> str:
            (found,) = (one for one in self._records(name, ["Id", header[0]]) if one[header[0]] == value)
            return str(found["Id"])

        for value, *into in lines:
            if into:
                sandbox.control("merge", object=name, master=record(into[0]), losers=[record(value)])
            else:
                sandbox.control("delete", object=name, ids=[record(value)])
        sandbox.advance(timedelta(minutes=5))

    def _records(self, name: str, fields: Sequence[str]) -> list[dict[str, Any]]:
        """The living records of an object, read by requests of its own."""
        return self.remote.records(self.sandbox(), name, fields)

    def made(self, name: str, *fields: str) -> list[dict[str, Any]]:
        """The records of an object that are new since it was first mentioned."""
        before = self.before[name]
        return [one for one in self._records(name, ["Id", *fields]) if one["Id"] not in before]

    def _compare_records(self, block: Block, name: str) -> None:
        header, expected = block.rows()
        found = [[_wire_text(one, path) for path in header] for one in self.made(name, *header)]
        assert sorted(found) == sorted(_plain_numbers(expected)), block.lead
        self.asserted += len(expected)

    def _work_table(self, activity: str, transition: str) -> tuple[str, dict[str, ColumnType]]:
        with self.app.db.reading() as transaction:
            tables = [
                event.table
                for event in state.events(transaction, self.run)
                if (event.source, event.transition) == (activity, transition) and event.table is not None
            ]
        assert tables, f"{activity}.{transition} put out nothing"
        table: WorkTable = tables[-1]
        return f"crosstie.{quote_identifier(table.name)}", {one.name: one.type for one in table.columns}

    def _types(self, name: str) -> dict[str, ColumnType]:
        table = self.app.db.reflect(name)
        assert table is not None, f"there is no table {name}"
        return {column.name: column.type for column in table.columns}

    def _compare(self, block: Block, table: str, types: dict[str, ColumnType]) -> None:
        header, expected = block.rows()
        exact = {name.lower(): name for name in types}  # PostgreSQL writes names small that nobody quoted
        names = [exact[name.lower()] for name in header]
        listed = ", ".join(self.app.db.quote(name) for name in names)
        with self.app.db.reading() as transaction:
            found = transaction.rows(f"select {listed} from {table}")
        kinds = [types[name] for name in names]
        shown = [[_text(value, kind) for value, kind in zip(row, kinds, strict=True)] for row in found]
        assert sorted(shown) == sorted(_plain_numbers(expected)), block.lead
        self.asserted += len(expected)


def _text(value: Any, kind: ColumnType) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case int() if kind is ColumnType.BOOLEAN:
            return str(bool(value)).lower()
        case datetime():
            return f"{value.astimezone(UTC) if value.tzinfo else value:%Y-%m-%d %H:%M:%S}"
        case date():
            return value.isoformat()
        case str() if kind is ColumnType.INSTANT:
            return _text(datetime.fromisoformat(value), kind)
        case _:
            return _plain_number(str(value))


def _wire_text(record: dict[str, Any], path: str) -> str:
    """A field of a record, or of its parent, in JSON."""
    value: Any = record
    for name in path.split("."):
        value = None if value is None else value[name]
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else _plain_number(str(value))


def _plain_numbers(rows: list[list[str]]) -> list[list[str]]:
    return [[_plain_number(cell) for cell in row] for row in rows]


def _plain_number(text: str) -> str:
    """10.50 and 10.5 are the same number, which one database shows in this way and the other in that."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    return f"{number.normalize():f}" if number.is_finite() else text


@contextmanager
def staged(folder: Path, database: str, sandbox: Callable[[], Sandbox], remote: Remote = SALESFORCE) -> Iterator[Stage]:
    """A new project in that folder, on that database; `sandbox` is asked for by the first example that needs one."""
    (folder / ".crosstie").mkdir(parents=True)
    (folder / "crosstie.toml").write_text("", encoding="utf-8")
    create_key_file(folder / ".crosstie" / "key")
    open_database(database).close()
    with App.open(folder, database=database, clock=FastClock()) as app:
        yield Stage(app=app, folder=folder, sandbox=sandbox, remote=remote)
