"""What PostgreSQL says, in our words and without the password."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import psycopg

from crosstie.errors import DatabaseError

# Retried by themselves: serialisation, deadlock, lock time-out; the server going down or full; a broken connection.
_RETRY = {"40001", "40P01", "55P03", "57P01", "57P02", "57P03", "53300"}
_NO_CONNECTIONS = ("the server takes no more connections", "Raise max_connections on the server, or try later.")
# By SQLSTATE or its class: what it means, and what to do.
_KNOWN = {
    "28": ("sign-in was refused", "Check user and password in the URL of the database, and pg_hba.conf on the server."),
    "3D000": ("there is no such database", "Create it (createdb), or check its name in the URL."),
    "42501": (
        "permission was refused",
        "Grant the user of the URL what it lacks; Crosstie needs CREATE on the database.",
    ),
    "53100": ("the server's disk is full", "Make room on the server's disk, then run again."),
    "53300": _NO_CONNECTIONS,
    "57014": (
        "the server ended a statement that ran longer than it allows",
        "Give the user of the URL more time (alter role … set statement_timeout), then run again.",
    ),
    "57P01": ("the server ended the connection", "Run again; nothing is half-written."),
    "57P02": ("the server crashed or was stopped", "Run again when it is up; nothing is half-written."),
    "57P03": ("the server is starting or stopping", "Try again in a moment."),
    "25006": ("the server is read-only", "Name the primary server in the URL, not a standby."),
}
# Failures to connect have no SQLSTATE; the words are those of libpq.
_UNREACHABLE = {
    "Connection refused": ("no server answers there", "Start the server, or check host and port in the URL."),
    "could not translate host name": ("the host is not known", "Check the host in the URL."),
    "resolve host": ("the host is not known", "Check the host in the URL."),
    "timeout expired": ("the server did not answer in time", "Check host, port and firewall."),
    "No such file or directory": ("no server listens on that socket", "Start the server, or name a host in the URL."),
    "too many clients": _NO_CONNECTIONS,
    "connection slots are reserved": _NO_CONNECTIONS,
    "too many connections": _NO_CONNECTIONS,
    "closed the connection unexpectedly": (
        "the connection was lost",
        "Look whether the server runs, then run again; nothing is half-written.",
    ),
    "is starting up": _KNOWN["57P03"],
    "is shutting down": _KNOWN["57P03"],
    "in recovery mode": _KNOWN["57P03"],
}
# The same, but trying again would not help.
_REFUSED = {
    "password authentication failed": ("sign-in was refused", "Check user and password in the URL of the database."),
    "no password supplied": ("a password is needed", "Put it into the URL of the database or into the password file."),
    "does not exist": ("there is no such database or user", "Create it (createdb), or check the URL."),
    "certificate": ("its certificate was refused", "Check sslmode and sslrootcert in the URL."),
}


# Data exceptions, and violations of integrity constraints.
_ABOUT_VALUES = ("22", "23")
_QUOTED = re.compile(r'".*"', re.DOTALL)


def database_error(place: str, error: psycopg.Error, secret: str = "") -> DatabaseError:
    """The error for what the server or the driver reports."""
    code = error.sqlstate or ""
    said = error.diag.message_primary or str(error).strip() or type(error).__name__
    details = [said, error.diag.message_detail, error.diag.context]
    if code[:2] in _ABOUT_VALUES:  # the details show the row, and the message of a data exception its value
        details = [_QUOTED.sub("“…”", said) if code.startswith("22") else said]
    text = "; ".join(part.strip().replace("\n", " ") for part in details if part)
    return explained(
        place,
        code,
        text,
        hint=error.diag.message_hint or "",
        lost=not code and isinstance(error, psycopg.OperationalError),
        secret=secret,
    )


def explained(place: str, code: str, text: str, *, hint: str, lost: bool, secret: str) -> DatabaseError:
    """The error for an SQLSTATE and what the server or a driver said with it. `lost` is for one without SQLSTATE: that
    there was no connection, or is none any more."""
    if secret:
        text = text.replace(secret, "***")
    known = _KNOWN.get(code) or _KNOWN.get(code[:2])
    if lost:
        words = next((words for words in (*_UNREACHABLE, *_REFUSED) if words in text), "")
        known = {**_UNREACHABLE, **_REFUSED}.get(words)
        lost = words not in _REFUSED
    message = f"PostgreSQL {place}: {known[0]} ({text})." if known else f"PostgreSQL {place}: {text}."
    return DatabaseError(
        message,
        hint=known[1] if known else hint,
        code=code,
        retry=code in _RETRY or code.startswith("08") or lost,
    )


@contextlib.contextmanager
def in_our_words(place: str, secret: str = "") -> Iterator[None]:
    """Turns what psycopg raises inside the block into DatabaseError."""
    try:
        yield
    except psycopg.Error as error:
        raise database_error(place, error, secret) from error
