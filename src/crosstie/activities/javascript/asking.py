"""What a script asks of the database: small results, the rows that came in, and what is to be written with its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from crosstie.activities.javascript.spooling import Spool, open_spool
from crosstie.db.database import Transaction, instant_text
from crosstie.db.statements import for_postgresql, quote_identifier
from crosstie.errors import DatabaseError, ScriptError
from crosstie.script.values import MAX_SAFE_INTEGER, decode, encode
from crosstie.workflow.activity import Context

if TYPE_CHECKING:
    import pyarrow as pa

# What sql.query gives at most, and how many statements of sql.execute are kept: more is for rows() and write().
MOST_ROWS = 10_000
MOST_STATEMENTS = 10_000
MOST_LOG_LINES = 1_000
_PAGE_ROWS = 500

_SECOND = re.compile(r":[0-9]+$")
_QUOTED = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", re.DOTALL)

Values = dict[str, object]


class Asking:
    """Answers one script. `effects` are what it wrote, to be carried out in the transaction that ends the task."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lines = 0
        self._readings: list[Iterator[pa.RecordBatch]] = []
        self._spools: dict[str, Spool] = {}
        self._statements = 0
        self.effects: list[Callable[[Transaction], int]] = []

    def __call__(self, name: str, given: list[Any]) -> object:
        """See `Calls`. Raises ScriptError, which the script may catch; DatabaseError ends it."""
        match name, given:
            case "log", [level, text]:
                self._log(str(level), str(text))
                return None
            case "query", [sql, params]:
                return self._query(str(sql), _values(params, "params"))
            case "execute", [sql, params]:
                self._execute(str(sql), _values(params, "params"))
                return None
            case "rows", []:
                return self._begin_rows()
            case "page", [number]:
                return self._page(int(number))
            case "write", [table, row]:
                self._write(str(table), _values(row, "row"))
                return None
        raise ScriptError(f"{name} is not known to scripts.")

    def finish(self) -> None:
        """The script ended well: what it wrote is ready to be carried out."""
        for spool in self._spools.values():
            spool.finish()

    def close(self) -> None:
        """Ends all that is being read and written."""
        self._readings.clear()  # nobody else has them: their statements end with them
        for spool in self._spools.values():
            spool.close()

    def _log(self, level: str, text: str) -> None:
        self._lines += 1
        if self._lines == MOST_LOG_LINES + 1:
            self._context.log.warning(f"The script has logged {MOST_LOG_LINES:,} lines; further ones are not kept.")
        if self._lines <= MOST_LOG_LINES:
            (self._context.log.warning if level == "warning" else self._context.log.info)(text)

    def _query(self, sql: str, params: Values) -> object:
        _refuse_several(sql, "sql.query")
        _refuse_missing(sql, params)
        asked = f"select * from (\n{sql.rstrip().removesuffix(';')}\n) as crosstie_asked limit {MOST_ROWS + 1}"
        try:
            with self._context.db.reading() as transaction:
                names, found = transaction.named_rows(asked, params)
        except DatabaseError as error:
            if error.retry:
                raise
            raise ScriptError(f"The query failed: {error.message}", hint=error.hint) from error
        if len(found) > MOST_ROWS:
            raise ScriptError(
                f"The query gives more than {MOST_ROWS:,} rows.",
                hint="Let the database sum them up, or let them come in and go through rows().",
            )
        # SQLite calls the second one “a:1”.
        written = [_SECOND.sub("", name) if _SECOND.sub("", name) in names else name for name in names]
        for name in written:
            if written.count(name) > 1:
                raise ScriptError(
                    f"The query gives two columns called {name}.", hint="Name one of them anew with “as”."
                )
        return {"names": names, "rows": [[encode(_plain(value), name) for name, value in
                zip(names, row, strict=True)] for row in found]}  # fmt: skip

    def _execute(self, sql: str, params: Values) -> None:
        _refuse_several(sql, "sql.execute")
        _refuse_missing(sql, params)
        self._statements += 1
        if self._statements > MOST_STATEMENTS:
            raise ScriptError(
                f"The script has more than {MOST_STATEMENTS:,} statements.", hint="Add rows by write(table, row)."
            )
        self.effects.append(lambda transaction: transaction.execute(sql, params))

    def _begin_rows(self) -> int:
        context = self._context
        if not context.inputs:
            raise ScriptError("No rows come in here.", hint="Let an activity lead here that puts out a population.")
        table = context.inputs[0]
        listed = ", ".join(quote_identifier(column.name) for column in table.columns)
        sql = f"select {listed} from crosstie.{table.name}"
        self._readings.append(context.db.read(sql, None, table.columns, batch_rows=_PAGE_ROWS))
        return len(self._readings) - 1

    def _page(self, number: int) -> object:
        batch = next(self._readings[number], None)
        if batch is None:
            return None
        names = batch.schema.names
        columns = [[encode(_typed(value), name) for value in batch.column(place).to_pylist()]
                   for place, name in enumerate(names)]  # fmt: skip
        return {"names": names, "rows": list(zip(*columns, strict=True))}

    def _write(self, table: str, row: Values) -> None:
        if not row:
            raise ScriptError(f"write: a row for {table} needs values, like {{id: 1}}.")
        spool = self._spools.get(table)
        if spool is None:
            spool = open_spool(self._context, table, tuple(row), number=len(self._spools) + 1)
            self._spools[table] = spool
            self.effects.append(spool.insert)
        spool.add(row)


def _values(coded: object, what: str) -> Values:
    if not isinstance(coded, Mapping):
        raise ScriptError(f"{what} takes {{name: value}}.")
    return {str(name): decode(value, f"{what}.{name}") for name, value in coded.items()}


def _refuse_several(sql: str, what: str) -> None:
    if ";" in _QUOTED.sub("", sql).rstrip().removesuffix(";"):
        raise ScriptError(f"{what} takes one statement, without semicolons.", hint="Call it once for each.")
    if "\x00" in sql:
        raise ScriptError(f"{what}: the statement contains a NUL character.")


def _refuse_missing(sql: str, params: Values) -> None:
    """Raises ScriptError for a parameter that has no value, or a value that has no parameter."""
    wanted = for_postgresql(sql)[1]
    for name in sorted(wanted - params.keys()):
        raise ScriptError(f"The statement takes :{name}, and params has no {name}.")
    for name in sorted(params.keys() - wanted):
        raise ScriptError(f"params has {name}, and the statement takes no :{name}.")


def _plain(value: object) -> object:
    """A value of any query, the same on both databases: what is no number or text comes as SQLite keeps it."""
    match value:
        case bool():
            return int(value)
        case datetime():
            return instant_text(value) if value.tzinfo else value.isoformat(timespec="microseconds")
        case date():
            return value.isoformat()
        case time():
            return value.isoformat(timespec="microseconds")
    return _number(value)


def _typed(value: object) -> object:
    """A value of a column whose type is known."""
    match value:
        case datetime() if value.tzinfo is None:
            return value.isoformat(timespec="microseconds")
        case time():
            return value.isoformat(timespec="microseconds")
    return _number(value)


def _number(value: object) -> object:
    """A number that JavaScript cannot hold exactly comes as text."""
    if isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER:
        return str(value)
    if isinstance(value, Decimal):
        return float(value) if Decimal(repr(float(value))) == value else format(value, "f")
    return value
