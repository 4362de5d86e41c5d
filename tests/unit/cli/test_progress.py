"""What a person sees while a workflow runs."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from crosstie.cli.progress import Display, Errors, bar, duration, loaded
from crosstie.workflow.watcher import Message


def said(level: str, activity: str, text: str) -> Message:
    return Message(
        at=datetime(2026, 11, 23, tzinfo=UTC),
        workflow="contact-import",
        run=42,
        task=7,
        activity=activity,
        level=level,
        text=text,
        details={},
    )


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.2, "12 s"), (185, "3 min 5 s"), (7800, "2 h 10 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_line_has_rows_rate_time_left_and_calls() -> None:
    assert loaded(48_210, 51_000, 4, 0.5) == "48,210 of 51,000 rows · 96 k/s · 0.0 s left · 4 calls"
    assert loaded(10, None, 1, 0.0) == "10 rows · 1 call"


def test_bar_is_full_when_more_came_than_expected() -> None:
    assert bar(30, 20) == "█" * 20 + "  "
    assert bar(5, None) == ""


def test_plain_output_is_a_line_per_activity_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(living=False, verbose=False)
    display.run_begun(42, "contact-import", False)
    display.activity_begun(42, 7, "contacts", "crm_import")
    display.rows("contacts", 1000, 2000, 3)
    display.message(said("info", "contacts", "bulk query, for 2,000 rows are expected"))
    display.message(said("warning", "contacts", "Rejected Contact 003"))
    display.activity_ended(42, 7, "contacts", {"rows": 48_210, "rejected": 1}, 0.25)

    assert capsys.readouterr().out.splitlines() == [
        "contact-import  run 42",
        "  ! contacts: Rejected Contact 003",
        "  contacts        48,210 rows · 1 rejected  (0.2 s)",
    ]


def test_an_error_with_which_the_run_goes_on_is_shown_and_another_left_to_the_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = "No answer.\nTry later."
    for watcher in (Display(living=False, verbose=True), Errors()):
        watcher.message(said("error", "send", error))
        assert capsys.readouterr() == ("", "")
        watcher.activity_failed(42, 7, "send", error)
        shown = capsys.readouterr()
        assert shown.out + shown.err == "  ✗ send: No answer.\n    Try later.\n"
        assert bool(shown.err) == isinstance(watcher, Errors)


def test_an_ignored_error_is_shown_once_above_what_is_said_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(living=False, verbose=False)
    display.message(said("error", "send", "No answer."))
    display.message(said("warning", "send", "The error is ignored."))
    display.activity_failed(42, 7, "send", "No answer.")

    assert capsys.readouterr().out == "  ✗ send: No answer.\n  ! send: The error is ignored.\n"


def test_living_output_draws_over_its_own_line(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(living=True, verbose=True)
    display.activity_begun(42, 7, "contacts", "crm_import")
    display.rows("contacts", 10, 20, 1)
    display.activity_ended(42, 7, "contacts", {}, 0.0)

    shown = capsys.readouterr().out
    assert shown.count("\n") == 1
    assert "██████████░░░░░░░░░░" in shown
    assert shown.endswith("\r\x1b[K  contacts        done  (0.0 s)\n")
