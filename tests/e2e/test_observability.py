"""What a run says to machines: JSON lines on standard error, and the log as it grows."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.project import Project

KEYS = {"time", "level", "workflow", "run", "activity", "task", "text", "details"}
WORKFLOW = """\
workflow: tidy
sql_log: true
activities:
  begin: {type: start}
  work: {type: sql_code, code: "update person set name = 'Ines' where id = 1"}
  done: {type: end}
"""


@pytest.fixture
def local(tmp_path: Path) -> Project:
    """A project that knows no CRM."""
    project = Project(folder=tmp_path, database=f"sqlite:///{tmp_path / 'marketing.db'}")
    project.crosstie("init")
    project.write("tidy.yaml", WORKFLOW)
    return project


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def lines_of(stream: Iterable[str]) -> Iterator[dict[str, Any]]:
    """Each line as it comes."""
    for line in stream:
        yield json.loads(line)


def test_a_run_says_json_lines_and_its_log_can_be_followed(local: Project) -> None:
    failed = local.crosstie("run", "tidy.yaml", "--log-format", "json", expect=1)
    said = lines(failed.err)

    assert all(set(line) == KEYS for line in said)
    assert {line["workflow"] for line in said} == {"tidy"}
    (sql,) = [line for line in said if line["text"].startswith("SQL: ")]
    assert (sql["level"], sql["run"], sql["activity"]) == ("info", 1, "work")
    assert sql["task"] is not None and sql["details"]["failed"]
    assert "Ines" not in failed.err
    last = said[-1]
    assert (last["level"], last["run"], last["activity"]) == ("error", 1, "work")

    followed = local.crosstie("log", "--follow", "--workflow", "tidy", "--json")
    assert [line["level"] for line in lines(followed.out)] == ["info", "error"]
    assert lines(followed.out)[0]["text"] == sql["text"]
    assert "run 1: failed" in followed.err
    assert "--follow needs" in local.crosstie("log", "--follow", expect=2).err


def test_serve_says_where_its_metrics_are_and_serves_them(local: Project) -> None:
    local.crosstie("workflow", "apply", "tidy.yaml")
    with local.started("serve", "--metrics", "0", "--log-format", "json") as service:
        assert service.stderr is not None
        said = next(line for line in lines_of(service.stderr) if line["text"].startswith("metrics at "))
        with urllib.request.urlopen(said["text"].removeprefix("metrics at "), timeout=60) as answer:
            shown = answer.read().decode()
        service.terminate()
        assert service.wait(timeout=60) == 0

    assert said["text"].startswith("metrics at http://127.0.0.1:")
    assert "crosstie_up 1.0" in shown
