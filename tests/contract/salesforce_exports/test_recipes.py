"""The workflows of docs/recipes.md, played as they stand there, and with a CRM that fails meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crosstie.workflow import state
from tests.contract.activities.documented import DOCS, Stage, example, staged
from tests.contract.activities.remotes import ORACLE_ON_DEMAND
from tests.sandboxes import Sandbox, running_sandbox
from tests.scale import SOAK

PAGE = DOCS.parent / "recipes.md"
NIGHTLY, UNION, RETRY, PARENTS, DELETIONS, FROM_ORACLE, TO_ORACLE = (
    "A nightly export, with what was refused in a table",
    "Two populations, one export",
    "Trying again until it is there",
    "Parents before their children",
    "Deleted on both sides",
    "Contacts from Oracle CRM On Demand, one row each",
    "Two queries, one export to Oracle CRM On Demand",
)
LATER: dict[str, Any] = {"status": 503, "retry_after": 900}  # longer than an export waits by itself
QUOTA: dict[str, Any] = {"status": 403, "code": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests Limit exceeded."}


def fault(kind: str, times: int = 1, after: int = 0, **what: Any) -> dict[str, Any]:
    """A rule of the fault plan."""
    return {"match": {"kind": kind}, "times": times, "after": after, "fault": {"type": "status", **what}}


COLLECTIONS: dict[str, tuple[int, list[dict[str, Any]]]] = {
    "outage": (5, [fault("collection_upsert", 5, **LATER)]),
    "lost reply": (0, [fault("collection_upsert", type="drop_after")]),
    "lost reply, then an outage": (2, [fault("collection_upsert", type="drop_after"), fault("query", 2, **LATER)]),
    "expired session": (0, [fault("collection_upsert", type="expire_session")]),
    "quota": (2, [fault("collection_upsert", 2, **QUOTA)]),
}
BULK: dict[str, tuple[int, list[dict[str, Any]]]] = {
    "outage": (5, [fault("ingest_create", 5, **LATER)]),
    "lost reply": (0, [fault("ingest_state", type="drop_after")]),
    "lost reply, then an outage": (
        2,
        [fault("ingest_state", type="drop_after"), fault("ingest_status", 2, **LATER)],
    ),
    "expired session": (0, [fault("ingest_upload", type="expire_session")]),
    "quota": (2, [fault("ingest_create", 2, **QUOTA)]),
}
"""By fault: how often the Error transition is taken, and the fault plan."""
DATABASES = ("sqlite", "postgresql")
CASES = [
    pytest.param(database, batches, *case, id=f"{database}, {batches}, {name}")
    for row, (batches, cases) in enumerate((("off", COLLECTIONS), ("on", BULK)))
    for place, (name, case) in enumerate(cases.items())
    for number, database in enumerate(DATABASES)
    if SOAK or (row + place) % 2 == number or "then" in name
]
"""Each on one of the databases, and what is the hardest on both; `make soak` plays all on both."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """One for all recipes."""
    with running_sandbox(records=20) as running:
        yield running


@pytest.fixture
def stage(database_url: str, tmp_path: Path, sandbox: Sandbox) -> Iterator[Stage]:
    """A new project; what it made in the sandbox goes with it."""
    with staged(tmp_path / "project", database_url, lambda: sandbox) as made:
        yield made
        sandbox.faults([])
        for name in made.before:
            ids = [one["Id"] for one in made.made(name)]
            sandbox.control("delete", object=name, ids=ids)
            sandbox.control("purge", object=name, ids=ids)


def writes(sandbox: Sandbox) -> dict[str, int]:
    """The requests since the last call that write."""
    found: dict[str, int] = sandbox.counters(reset=True)["requests"]
    return {kind: number for kind, number in found.items() if kind.startswith(("collection_", "ingest_"))}


def transitions(stage: Stage, source: str) -> list[str]:
    """The transitions that an activity took in the run, in their order."""
    with stage.app.db.reading() as transaction:
        return [one.transition for one in state.events(transaction, stage.run) if one.source == source]


def play(stage: Stage, heading: str, faults: list[dict[str, Any]], *changes: tuple[str, str]) -> None:
    """Plays an example whose workflow is changed in some words, with faults while it runs."""
    for block in example(PAGE, heading):
        if block.language != "yaml":
            stage.play([block])
            continue
        for before, after in changes:
            assert before in block.text
            block = replace(block, text=block.text.replace(before, after))
        stage.sandbox().faults(faults)
        stage.play([block])
        stage.sandbox().faults([])


@pytest.mark.parametrize("heading", [NIGHTLY, UNION, RETRY, PARENTS, DELETIONS])
def test_what_the_page_shows_comes_out(stage: Stage, heading: str) -> None:
    blocks = example(PAGE, heading)
    stage.play(blocks)
    assert stage.asserted >= sum(len(one.rows()[1]) for one in blocks if one.lead.endswith("holds:"))


@pytest.mark.parametrize(
    ("database_url", "heading"), [("postgresql", FROM_ORACLE), ("sqlite", TO_ORACLE)], indirect=["database_url"]
)
def test_what_the_page_shows_of_oracle_comes_out(tmp_path: Path, database_url: str, heading: str) -> None:
    with (
        running_sandbox(records=20, kind="oracle_on_demand") as sandbox,
        staged(tmp_path / "project", database_url, lambda: sandbox, ORACLE_ON_DEMAND) as stage,
    ):
        blocks = example(PAGE, heading)
        stage.play(blocks)
        assert stage.asserted >= sum(len(one.rows()[1]) for one in blocks if one.lead.endswith("holds:"))
        assert sandbox.counters()["sessions"]["open"] == 0


def test_every_recipe_is_played() -> None:
    headings = [line[3:] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("## ")]
    assert headings == [NIGHTLY, UNION, RETRY, PARENTS, DELETIONS, FROM_ORACLE, TO_ORACLE]


@pytest.mark.parametrize(("database_url", "batches", "errors", "faults"), CASES, indirect=["database_url"])
def test_a_retry_loop_ends_without_duplicate_and_without_omission(
    stage: Stage, sandbox: Sandbox, batches: str, errors: int, faults: list[dict[str, Any]]
) -> None:
    play(stage, RETRY, faults, ("    key: {ERP", f"    batches: {batches}\n    key: {{ERP"))

    assert transitions(stage, "send")[:-2] == ["errors"] * errors
    assert sorted(transitions(stage, "send")[-2:]) == ["ok", "rejects"]
    (report,) = stage.app.journal.show(stage.run)
    assert report.totals == {("accepted", "created"): 2, ("accepted", "updated"): 1, ("rejected", ""): 1}
    assert {one.status for one in report.shipments} <= {"answered", "dissolved"}
    ids = {one["Id"] for one in stage.made("Contact")}
    with stage.app.db.reading() as transaction:
        known = transaction.rows("select crm_id from person where crm_id is not null")
    assert {row[0] for row in known} == ids
    assert len(stage.app.rejects.list(workflow="patient-export")) == 1
    with stage.app.db.transaction("people") as transaction:
        transaction.execute("delete from person where code = 'P3'")
    writes(sandbox)
    stage.again("patient-export")
    assert writes(sandbox) == {}, "nothing has changed"


def test_the_night_after_an_outage_sends_what_is_still_to_be_sent(stage: Stage, sandbox: Sandbox) -> None:
    *before, workflow = example(PAGE, NIGHTLY)[:3]
    stage.play(before)
    sandbox.faults([fault("ingest_create", **QUOTA)])
    stage.play([workflow])
    assert transitions(stage, "send") == ["errors"]
    with stage.app.db.reading() as transaction:
        ((code, said),) = transaction.rows("select code, said from outage")
    assert code == "REQUEST_LIMIT_EXCEEDED"
    assert "used its API calls of the last 24 hours" in str(said)
    assert len(stage.made("Contact")) == 1

    stage.again("nightly-export")

    assert len(stage.made("Contact")) == 3
    stage.play(example(PAGE, NIGHTLY)[3:5])


@pytest.mark.parametrize(
    ("database_url", "faults"),
    [
        ("sqlite", BULK["lost reply, then an outage"][1]),
        ("postgresql", [fault("ingest_state", type="drop_after"), fault("ingest_successful", 2, **LATER)]),
    ],
    indirect=["database_url"],
    ids=["the job is not to be asked", "its results are not to be had"],
)
def test_records_without_any_key_are_created_once_whatever_is_lost(
    stage: Stage, sandbox: Sandbox, faults: list[dict[str, Any]]
) -> None:
    loop = "    next: later\n  later: {type: wait, for: 10m, attempts: 9, next: send}\n  done:"
    play(stage, NIGHTLY, faults, ("    next: done\n  done:", loop))
    with stage.app.db.reading() as transaction:
        assert len(transaction.rows("select code from outage")) == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_person_in_both_populations_is_one_row_of_one_call(stage: Stage, sandbox: Sandbox) -> None:
    *before, workflow = example(PAGE, UNION)[:3]
    stage.play(before)
    writes(sandbox)
    stage.play([workflow])
    assert writes(sandbox) == {"collection_upsert": 1}
    assert stage.app.journal.show(stage.run)[0].shipments[0].rows == 3
