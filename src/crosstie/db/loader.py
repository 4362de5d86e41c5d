"""The loader child: puts an Arrow stream from standard input into one table of a SQLite file, by ADBC.

ADBC brings a SQLite library of its own, and two copies of that library in one process may damage the file they share
("How To Corrupt An SQLite Database File", 2.2.1). So this process opens the file with nothing else. It is started as
`python -m crosstie.db.loader FILE TABLE PURPOSE`, commits in slices, ends when its input ends, and answers on standard
output with one line of JSON: {"rows": n}, or {"code": "SQLITE_FULL", "message": "…"}.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from io import BufferedReader, FileIO
from pathlib import Path

import adbc_driver_manager as adbc
import adbc_driver_sqlite
import pyarrow as pa
import pyarrow.ipc

from crosstie.db.feeder import Feeder
from crosstie.db.locks import writing_turn

# Others wait for a slice to end: it is committed with the batch that passes this.
SLICE_SECONDS = 0.1
# The lock is not kept while nothing comes.
IDLE_SECONDS = 0.02
BUSY_MILLISECONDS = 60_000
CACHE_KIB = 16_384
# What ADBC says of each of SQLite's codes that a person can mend; the rest keeps its text.
_CODES = (
    (re.compile("disk is full"), "SQLITE_FULL"),
    (re.compile("readonly"), "SQLITE_READONLY"),
    (re.compile("locked"), "SQLITE_BUSY"),
    (re.compile("malformed"), "SQLITE_CORRUPT"),
    (re.compile("disk I/O"), "SQLITE_IOERR"),
    (re.compile("unable to open"), "SQLITE_CANTOPEN"),
)


class Loader:
    """The table being loaded. A slice is a transaction of whole batches."""

    def __init__(self, database: Path, table: str, purpose: str) -> None:
        self.rows = 0
        self._database = database
        self._purpose = purpose
        self._stack = contextlib.ExitStack()
        self._turn: contextlib.ExitStack | None = None
        self._begun = 0.0
        handle = self._stack.enter_context(
            contextlib.closing(adbc.AdbcDatabase(driver=adbc_driver_sqlite._driver_path(), uri=str(database)))
        )
        connection = self._stack.enter_context(contextlib.closing(adbc.AdbcConnection(handle)))
        self._command = self._stack.enter_context(contextlib.closing(adbc.AdbcStatement(connection)))
        self._ingest = self._stack.enter_context(contextlib.closing(adbc.AdbcStatement(connection)))
        self._ingest.set_options(
            **{
                adbc.StatementOptions.INGEST_TARGET_TABLE.value: table,
                adbc.StatementOptions.INGEST_MODE.value: adbc.INGEST_OPTION_MODE_APPEND,
            }
        )
        self._run(f"pragma busy_timeout = {BUSY_MILLISECONDS}")
        # Work tables need not outlive a crash of the machine, the file does.
        self._run("pragma synchronous = normal")
        self._run(f"pragma cache_size = -{CACHE_KIB}")

    def write(self, batch: pa.RecordBatch) -> None:
        """Adds a batch, and commits when the slice is old enough."""
        if self._turn is None:
            turn = contextlib.ExitStack()
            turn.enter_context(writing_turn(self._database, self._purpose))
            self._turn = turn
            self._run("begin immediate")
            self._begun = time.monotonic()
        self._ingest.bind(batch)
        self._ingest.execute_update()
        self.rows += batch.num_rows
        if time.monotonic() - self._begun > SLICE_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Ends the slice, if there is one."""
        if self._turn is None:
            return
        self._run("commit")
        self._turn.close()
        self._turn = None

    def close(self) -> None:
        """Closes the file; an open slice is taken back."""
        if self._turn is not None:
            with contextlib.suppress(adbc.Error):  # the error that brought us here may have ended it
                self._run("rollback")
            self._turn.close()
        self._stack.close()

    def _run(self, sql: str) -> None:
        self._command.set_sql_query(sql)
        reader, _ = self._command.execute_query()
        with contextlib.closing(pa.RecordBatchReader._import_from_c(reader.address)) as answers:
            answers.read_all()


def load(database: Path, table: str, purpose: str, stream: BufferedReader) -> int:
    """Loads the whole stream; the number of rows. What was committed before an error stays."""
    loader = Loader(database, table, purpose)
    try:
        feeder = Feeder("loader", loader.write, loader.commit, idle_seconds=IDLE_SECONDS)
        try:
            if stream.peek(1):  # else nothing was sent at all
                with pa.ipc.open_stream(stream) as batches:
                    for batch in batches:
                        feeder.write(batch)
        except BaseException:
            feeder.abandon()
            raise
        feeder.finish()
        return loader.rows
    finally:
        loader.close()


def main() -> int:
    """Runs the child; the exit code."""
    file, table, purpose = sys.argv[1:]
    answer: dict[str, object]
    try:
        answer = {"rows": load(Path(file), table, purpose, BufferedReader(FileIO(0)))}
    except (adbc.Error, OSError, pa.ArrowException) as error:
        code = next((code for pattern, code in _CODES if pattern.search(str(error))), "LOADER")
        answer = {"code": code, "message": str(error)}
    print(json.dumps(answer), flush=True)  # noqa: T201 - the parent reads it
    return 0 if "rows" in answer else 1


if __name__ == "__main__":
    sys.exit(main())
