"""Supervisors are told when a workflow is suspended, aborted, or rests for long: exactly when that is recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstie import App
from crosstie.accounts import create_key_file
from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.errors import CrosstieError, TaskError
from crosstie.workflow.runner import RunKind
from tests.contract.notify.post import PASSWORD, USER, mail_server
from tests.contract.workflow.desk import Desk
from tests.contract.workflow.test_dispatch import PLAY, fail

CHAIN = "  a: {type: act}\n  b: {type: act}\n"
TOLD = "label: The flow\nsupervisors: [ann@example.com, 'https://hooks.example.com/x']\n"


@pytest.fixture(autouse=True)
def _play() -> Iterator[None]:
    PLAY.acts.clear()
    PLAY.calls.clear()
    yield


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def told(desk: Desk) -> list[tuple[str, dict[str, object]]]:
    """What was put into the outbox since the last call."""
    with desk.db.transaction("test") as transaction:
        found = transaction.rows("select recipient, message from crosstie.outbox order by id")
        transaction.execute("delete from crosstie.outbox")
    return [(recipient, json.loads(text)) for recipient, text in found]


def test_a_suspended_workflow_says_what_failed_and_how_to_go_on(desk: Desk) -> None:
    desk.apply(CHAIN, top=TOLD)
    PLAY.acts["b"] = fail
    with pytest.raises(TaskError):
        desk.run()
    (_, mail), (recipient, payload) = told(desk)
    assert mail["subject"] == "Crosstie: flow suspended at activity “b”"
    text = str(mail["text"])
    assert text.startswith("Workflow flow (The flow) was suspended: run 1 failed at activity “b”.\n\n")
    assert "crosstie workflow start flow (where it is served), or crosstie run flow" in text
    assert text.endswith("crosstie log 1\n")
    assert recipient == "https://hooks.example.com/x"
    assert (payload["event"], payload["run"], payload["activity"]) == ("suspended", 1, "b")
    assert str(payload["message"]) in text


def test_an_aborted_one_cannot_be_gone_on_with(desk: Desk) -> None:
    desk.apply(CHAIN, top=TOLD + "on_error: abort\n")
    PLAY.acts["a"] = fail
    with pytest.raises(TaskError):
        desk.run()
    (_, mail), _ = told(desk)
    assert "was aborted" in str(mail["text"]) and "It cannot be gone on with." in str(mail["text"])


def test_nobody_is_told_of_what_is_ignored_or_simulated(desk: Desk) -> None:
    PLAY.acts["a"] = fail
    desk.apply(CHAIN, top=TOLD + "on_error: ignore\n")
    desk.run()
    desk.apply(CHAIN, top=TOLD)
    with pytest.raises(CrosstieError):
        desk.run(kind=RunKind(simulated=True))
    assert told(desk) == []


def test_a_served_workflow_that_can_no_longer_be_carried_on_is_told_of_once(desk: Desk) -> None:
    desk.apply(CHAIN, top=TOLD)
    desk.carries_on = False
    desk.control.start("flow")
    desk.apply("  a: {type: nothing}\n", top=TOLD)
    desk.carries_on = True
    desk.tick(3)
    assert desk.status == "failed"
    found = told(desk)
    assert [recipient for recipient, _ in found] == ["ann@example.com", "https://hooks.example.com/x"]
    assert "it cannot be carried on" in str(found[0][1]["text"])


def test_a_workflow_that_rests_for_long_is_told_of_by_one_of_several_services(desk: Desk) -> None:
    desk.apply(CHAIN, top=TOLD + "report_paused: 1d\nstop_paused: 20d\n")
    PLAY.acts["a"] = fail
    desk.control.start("flow")
    desk.tick()
    assert len(told(desk)) == 2
    others = [desk.another() for _ in range(2)]
    for _ in range(30):
        desk.tick(days=1)
        for one in others:
            one.tick()
    found = [str(message["text"]) for recipient, message in told(desk) if recipient == "ann@example.com"]
    assert [text.split(".")[0] for text in found] == [
        "Workflow flow (The flow): paused for long",
        "Workflow flow (The flow): paused for long",
        "Workflow flow (The flow): paused for long",
        "Workflow flow (The flow): stopped",
    ]
    assert "crosstie workflow start flow" in found[0]


def test_the_mail_of_a_failed_run_has_arrived_when_it_ends(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(tmp_path / "post") as mailbox:
        (tmp_path / ".crosstie").mkdir()
        create_key_file(tmp_path / ".crosstie" / "key")
        (tmp_path / "crosstie.toml").write_text(
            f'[smtp]\nhost = "localhost"\nport = {mailbox.port}\nfrom = "crosstie@example.com"\n'
            f'user = "{USER}"\nca_file = "{mailbox.ca_file}"\n'
        )
        flow = tmp_path / "flow.yaml"
        flow.write_text(
            "workflow: flow\nsupervisors: ann@example.com\nactivities:\n"
            '  tell: {type: alert, to: bob@example.com, subject: "<%= 1 + 1 %> things"}\n'
            '  broken: {type: javascript, code: "logError(`it is broken`)"}\n'
        )
        open_database(database_url).close()
        monkeypatch.setenv("CROSSTIE_SMTP_PASSWORD", PASSWORD)
        with App.open(tmp_path, database=database_url) as app:
            with pytest.raises(TaskError):
                app.workflows.run(flow)
            assert app.courier.waiting().waiting == 0
            with app.db.reading() as transaction:
                log = [text for (text,) in transaction.rows("select text from crosstie.log")]
    assert sorted((mail["To"], mail["Subject"]) for mail in mailbox.mails) == [
        ("ann@example.com", "Crosstie: flow suspended at activity “broken”"),
        ("bob@example.com", "2 things"),
    ]
    assert PASSWORD not in "\n".join(log) + repr(app.config)
