"""What a person sees when a command fails: one message, the right exit code, never a secret."""

from __future__ import annotations

import errno
import io
from pathlib import Path

import click
import pytest

from crosstie.cli.failures import Stopped, report
from crosstie.errors import (
    AuthError,
    BrakeError,
    ConfigError,
    CrosstieError,
    DatabaseError,
    DefinitionError,
    MappingError,
    Mistake,
    TaskError,
    UnavailableError,
)


def task_error(cause: CrosstieError) -> TaskError:
    return TaskError(cause, workflow="contact-import", run=7, activity="contacts")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (MappingError("x"), 2),
        (DefinitionError("f.yaml", [Mistake(line=1, column=1, path="a", message="x")]), 2),
        (AuthError("x"), 1),
        (UnavailableError("x"), 1),
        (DatabaseError("x"), 1),
        (BrakeError("x"), 4),
        (task_error(ConfigError("x")), 2),
        (task_error(AuthError("x")), 1),
        (task_error(BrakeError("x")), 4),
        (click.UsageError("x"), 2),
        (click.ClickException("x"), 2),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (Stopped(3), 3),
        (ValueError("x"), 1),
    ],
)
def test_exit_code(error: BaseException, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert report(error) == code


@pytest.mark.parametrize("given", ["n\n", ""])
def test_a_question_that_is_not_answered_by_yes_is_no_interruption(
    given: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def command() -> None:
        click.confirm("End the runs?", abort=True)

    monkeypatch.setattr("sys.stdin", io.StringIO(given))
    with pytest.raises(click.Abort) as caught:
        command.main([], standalone_mode=False)

    assert report(caught.value) == 130
    assert capsys.readouterr().err == "Nothing was done.\n"


def test_an_interruption_says_that_the_command_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def command() -> None:
        raise KeyboardInterrupt

    with pytest.raises(click.Abort) as caught:
        command.main([], standalone_mode=False)

    assert report(caught.value) == 130
    assert "the same command goes on from there" in capsys.readouterr().err


def test_a_task_error_says_where_it_happened(capsys: pytest.CaptureFixture[str]) -> None:
    report(task_error(UnavailableError("The org is away.", hint="Try later.", code="HTTP 503", request_id="7f3c")))

    shown = capsys.readouterr().err
    assert shown.splitlines() == [
        "contact-import, run 7, activity “contacts”:",
        "The org is away.",
        "Try later.",
        "[HTTP 503, request 7f3c]",
        "When that is mended, crosstie run contact-import goes on where it stopped.",
    ]


def test_a_full_disk_is_no_fault_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    code = report(OSError(errno.ENOSPC, "No space left on device", "/data/x"))

    assert code == 1
    assert capsys.readouterr().err == ("The disk is full: /data/x cannot be written. Make room and run it again.\n")


def test_an_unexpected_error_is_one_line_and_its_details_hold_no_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "crosstie.toml").touch()
    try:
        raise RuntimeError("token 00Dxx!hush")
    except RuntimeError as error:
        code = report(error, tmp_path)

    shown = capsys.readouterr().err
    log = tmp_path / ".crosstie" / "unexpected.log"
    written = log.read_text(encoding="utf-8")
    assert code == 1
    assert len(shown.splitlines()) == 1
    assert str(log) in shown
    assert "RuntimeError" in written
    assert "test_failures.py" in written
    assert "hush" not in shown + written
    assert log.stat().st_mode & 0o777 == 0o600
