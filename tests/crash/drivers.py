"""Commits, told of before and after they happen: in the database drivers of a process, below the code of ours.

The drivers' connections are replaced by subclasses that hold the commit until the conductor has answered; if it decides
to kill, it never answers.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import threading
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

LINE = "CRASH_LINE"
"""The environment variable that tells the loader child of our line: the socket's path and the passage's number."""

_READS = frozenset({"select", "begin", "savepoint", "release", "pragma", "explain", "set", "show", "rollback"})
_PURPOSE = re.compile(r"application_name = 'crosstie: (.*?)'")


class Line:
    """The way to the conductor. `role`: runner or loader."""

    def __init__(self, address: str, role: str) -> None:
        path, _, passage = address.rpartition("#")
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._stream = self._socket.makefile("rwb")
        self._lock = threading.Lock()
        self.tell(passage=int(passage), role=role, pid=os.getpid())

    def tell(self, **message: object) -> int:
        """Says something and waits for the answer, a number."""
        with self._lock:
            self._stream.write(json.dumps(message, default=str).encode() + b"\n")
            self._stream.flush()
            answer = self._stream.readline()
        if not answer:
            raise ConnectionError("the conductor is gone")
        return int(answer)

    def close(self) -> None:
        """Hangs up."""
        self._stream.close()
        self._socket.close()


def report_commits(line: Line) -> None:
    """From now on every commit of this process by sqlite3 and psycopg is told."""

    class Sqlite(sqlite3.Connection):
        """A connection that tells of its commits."""

        said = ""

        def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
            if not _commits(sql, self.in_transaction):
                self.said = sql
                return super().execute(sql, *given)
            number = line.tell(event="before", label=self.said if _ends(sql) else sql)
            done = super().execute(sql, *given)
            line.tell(event="after", number=number)
            return done

        def executemany(self, sql: str, *given: Any) -> sqlite3.Cursor:
            self.said = sql
            return super().executemany(sql, *given)

    class Postgresql(psycopg.Connection[Any]):
        """A connection that tells of its commits, but for those of transactions that only read."""

        reads = False
        purpose = ""

        def execute(self, query: Any, *given: Any, **more: Any) -> Any:
            sql = query.decode() if isinstance(query, bytes) else str(query)
            if sql.startswith("begin"):
                self.reads = "read only" in sql
                purpose = _PURPOSE.search(sql)
                self.purpose = purpose[1] if purpose else "load of rows"
            in_transaction = self.info.transaction_status is not TransactionStatus.IDLE
            if not _commits(sql, in_transaction) or (self.reads and in_transaction):
                return super().execute(query, *given, **more)
            number = line.tell(event="before", label=self.purpose if _ends(sql) else sql)
            done = super().execute(query, *given, **more)
            line.tell(event="after", number=number)
            return done

    def connect(*given: Any, **named: Any) -> Any:
        return opened(*given, **{**named, "factory": Sqlite})

    opened = sqlite3.connect
    sqlite3.connect = connect
    psycopg.connect = Postgresql.connect


def report_loads(line: Line) -> None:
    """From now on every commit of this process by ADBC is told: it is the loader child."""
    import adbc_driver_manager as adbc

    class Statement(adbc.AdbcStatement):
        """A statement that tells when it commits."""

        said = ""

        def set_sql_query(self, query: str) -> None:
            self.said = query
            super().set_sql_query(query)

        def execute_query(self) -> Any:
            if not _ends(self.said):
                return super().execute_query()
            number = line.tell(event="before", label="slice of the loader child")
            done = super().execute_query()
            line.tell(event="after", number=number)
            return done

    adbc.AdbcStatement = Statement  # type: ignore[misc]


def _verb(sql: str) -> str:
    found = re.match(r"\s*(\w+)", sql)
    return found[1].lower() if found else ""


def _ends(sql: str) -> bool:
    return _verb(sql) in {"commit", "end"}


def _commits(sql: str, in_transaction: bool) -> bool:
    """Whether the statement ends a transaction well, or is one by itself."""
    return _ends(sql) if in_transaction else _verb(sql) not in _READS
