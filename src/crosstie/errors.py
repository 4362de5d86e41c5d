"""Every error of Crosstie, on one screen.

CrosstieError            message, hint, code, request_id, retry_after; `retryable` is a class attribute
  ConfigError            the operator must edit a file or an argument; names it
    DefinitionError      a workflow that cannot run; carries every mistake found, each with its line
    MappingError         a field that does not exist or cannot hold the type
  ConnectorError         account, operation, remote request id, remote code as text
    AuthError            credentials or permission refused
    UnavailableError     network, throttling, quota, 5xx; retryable
    RequestError         the CRM understood and refused the whole request
    ProtocolError        an answer we do not understand: our bug or their change
  DatabaseError          retryable for deadlock, serialisation and a lock held too long
  ScriptError            JavaScript failed; line and column
  FileError              a file that is not there, cannot be read or written, or is not what it was said to be
  SendingError           a mail or webhook could not be sent; `final` when trying again is of no use
  BrakeError             the brake stopped the run, or a person must decide
  TaskError              raised by the runner only: wraps one above with workflow, run, activity

The axis is what happens next: fix a file, fix an account, wait, report a bug, decide.
A row that the CRM or the database refuses is a reject, not an exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar


class CrosstieError(Exception):
    """Root of all errors that a person may see. `message` says what happened and to what, `hint` what to do next."""

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str = "",
        request_id: str = "",
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after

    def __str__(self) -> str:
        tail = ", ".join(part for part in (self.code, self.request_id and f"request {self.request_id}") if part)
        lines = [self.message]
        if self.hint:
            lines.append(self.hint)
        if tail:
            lines.append(f"[{tail}]")
        return "\n".join(lines)


class ConfigError(CrosstieError):
    """The operator must edit a file, an option or an argument."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One mistake in a definition: `line` and `column` count from 1, `path` is like `contacts.filter.all[1].is`."""

    line: int
    column: int
    path: str
    message: str


class DefinitionError(ConfigError):
    """A workflow definition that cannot run. Carries every mistake, in the order of the file."""

    def __init__(self, source: str, mistakes: list[Mistake]) -> None:
        self.source = source
        self.mistakes = sorted(mistakes, key=lambda mistake: (mistake.line, mistake.column))
        super().__init__(
            "\n".join(f"{source}:{one.line}:{one.column}  {one.path}: {one.message}" for one in self.mistakes)
        )


class MappingError(ConfigError):
    """A field that does not exist, or cannot hold what is mapped to it."""


class ConnectorError(CrosstieError):
    """Something between us and a CRM."""


class AuthError(ConnectorError):
    """Credentials or permission refused."""


class UnavailableError(ConnectorError):
    """Network, throttling, quota, 5xx: nothing is wrong with the request, try later."""

    retryable = True


class RequestError(ConnectorError):
    """The CRM understood the request and refused it as a whole."""


class ProtocolError(ConnectorError):
    """An answer we do not understand, or must not trust: our bug or their change."""


class DatabaseError(CrosstieError):
    """The marketing database refused or failed. `retry` says whether the same statement may succeed later."""

    def __init__(self, message: str, *, hint: str = "", code: str = "", retry: bool = False) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retry = retry


class ScriptError(CrosstieError):
    """JavaScript failed. `line` and `column` count from 1; 0 when unknown."""

    def __init__(self, message: str, *, hint: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        self.column = column


class FileError(CrosstieError):
    """A file that is not there, cannot be read or written, or is not what it was said to be."""


class SendingError(CrosstieError):
    """A message could not be sent. `final` says that trying again is of no use."""

    def __init__(
        self, message: str, *, hint: str = "", code: str = "", retry_after: timedelta | None = None, final: bool = False
    ) -> None:
        super().__init__(message, hint=hint, code=code, retry_after=retry_after)
        self.final = final


class BrakeError(CrosstieError):
    """The brake stopped the run, or something waits for a person's decision."""


class TaskError(CrosstieError):
    """A task failed: raised by the runner only, wraps the cause with workflow, run and activity."""

    def __init__(self, cause: CrosstieError, *, workflow: str, run: int, activity: str) -> None:
        super().__init__(
            cause.message, hint=cause.hint, code=cause.code, request_id=cause.request_id, retry_after=cause.retry_after
        )
        self.cause = cause
        self.workflow = workflow
        self.run = run
        self.activity = activity
