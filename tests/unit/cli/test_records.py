"""What the product says by `logging`, as people and machines get it."""

from __future__ import annotations

import json
import logging
import re

import pytest

from crosstie.cli.records import Records
from crosstie.cli.session import Session

WAITING = logging.LogRecord("crosstie.db", logging.WARNING, "", 0, "Waiting for %s", ("x.db",), None)


@pytest.mark.parametrize(
    ("session", "said"),
    [
        (Session(), r"! Waiting for x\.db\n"),
        (Session(timed=True), r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ! Waiting for x\.db\n"),
    ],
)
def test_a_record_is_a_line_of_text(session: Session, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Records(session).handle(WAITING)
    assert re.fullmatch(said, capsys.readouterr().err)


def test_a_record_is_json_where_the_log_is(capsys: pytest.CaptureFixture[str]) -> None:
    Records(Session(json_log=True, timed=True)).handle(WAITING)
    line = json.loads(capsys.readouterr().err)
    assert (line["level"], line["text"], line["run"]) == ("warning", "Waiting for x.db", None)
