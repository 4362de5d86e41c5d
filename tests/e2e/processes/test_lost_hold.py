"""A runner that loses its hold in mid-work: it sends and writes nothing more, says so, and another one takes over."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
from typing import Any

import pytest

from crosstie.sandbox.http import Request
from tests.e2e.processes.cutting import (
    Gate,
    crash_server,
    cut_hold,
    process_is_stopped,
    recipients,
    wait_for,
    wire_to,
    written,
)
from tests.e2e.project import Project, Result
from tests.sandboxes import Sandbox
from tests.scale import SOAK

ROADS = (("pages", "/query"), ("pages", "/services"), ("bulk", "/jobs/query"))
# Two imports, one behind the other: the first one's work table waits while the second one reads.
TWICE = (
    "  reconcile:\n",
    "  again:\n    type: crm_import\n    account: salesforce\n    object: Contact\n    fields: [Title]\n"
    "    population: {ids: Id, keep: [FirstName, LastName, Email, Birthdate, score, last_activity, interests,"
    " SystemModstamp]}\n  reconcile:\n",
)


DATABASES = ("project", "project_on_postgresql")
# Database, road, and the request at which the hold is cut: the n-th whose path has that part.
CUTS = (
    [(one, road, part, n) for one in DATABASES for road, part in ROADS for n in range(1, 9)]
    if SOAK
    else [
        ("project", "pages", "/query", 4),
        ("project_on_postgresql", "pages", "/query", 4),
        ("project_on_postgresql", "bulk", "/jobs/query/", 3),
    ]
)


def ended(project: Project, *arguments: str) -> Result:
    """A run that fails."""
    result = project.crosstie("run", *arguments, expect=1)
    assert "Traceback" not in result.err and "failed unexpectedly" not in result.err
    return result


def is_mended(project: Project, expected: list[tuple[Any, ...]]) -> None:
    """The next run goes on to the state of an undisturbed one."""
    report = project.crosstie("run", "contact-import", "--json").json
    assert (report["run"], report["resumed"], report["status"]) == (1, True, "done")
    assert recipients(project) == expected


@pytest.mark.parametrize(("database", "road", "part", "number"), CUTS)
def test_a_runner_whose_hold_is_cut_sends_and_writes_nothing_more(
    request: pytest.FixtureRequest,
    sandbox: Sandbox,
    gate: Gate,
    expected: list[tuple[Any, ...]],
    database: str,
    road: str,
    part: str,
    number: int,
) -> None:
    project: Project = request.getfixturevalue(database)
    file = project.workflow(road=road)
    at_cut: list[Any] = []

    def cut() -> None:
        cut_hold(project)
        at_cut.extend([len(gate.paths), written(project)])

    switches = sandbox.switches(bulk_in_progress_polls=5)
    gate.at(number, part, cut)
    result = ended(project, file)
    gate.wait()
    sandbox.switches(**{**switches, "bulk_in_progress_polls": 0})

    assert "The hold of workflow contact-import was lost" in result.err
    assert "crosstie run contact-import goes on where it stopped" in result.err
    requests, before = at_cut
    assert len(gate.paths) == requests
    assert written(project) == before
    is_mended(project, expected)


def test_a_runner_is_taken_over_while_it_reads(
    project_on_both: Project, gate: Gate, expected: list[tuple[Any, ...]]
) -> None:
    project = project_on_both
    file = project.workflow(road="pages")
    second: list[Any] = []

    def take_over() -> None:
        cut_hold(project)
        second.append(project.crosstie("run", "contact-import", "--json").json)
        second.extend([len(gate.paths), written(project)])

    gate.at(4, "/query", take_over)
    result = ended(project, file)
    gate.wait()

    report, requests, after = second
    assert (report["run"], report["resumed"], report["status"]) == (1, True, "done")
    assert "The hold of workflow contact-import was lost" in result.err
    assert len(gate.paths) == requests
    assert written(project) == after
    assert recipients(project) == expected


def test_a_runner_that_is_cut_off_from_the_server_stops(
    project_on_postgresql: Project, gate: Gate, expected: list[tuple[Any, ...]]
) -> None:
    project = project_on_postgresql
    project.workflow(road="pages")
    with wire_to(project.database) as (wire, url):
        at_cut: list[int] = []

        def cut() -> None:
            wire.cut()
            at_cut.append(len(gate.paths))

        gate.at(4, "/query", cut)
        result = ended(dataclasses.replace(project, database=url), "contacts.yaml")
        gate.wait()

    assert "The hold of workflow contact-import was lost" in result.err
    assert len(gate.paths) == at_cut[0]
    is_mended(project, expected)


def test_a_runner_survives_nothing_of_a_crash_of_the_server_but_its_run_does(
    project_on_postgresql: Project, gate: Gate, expected: list[tuple[Any, ...]]
) -> None:
    project = project_on_postgresql
    project.workflow(TWICE, road="pages")

    def second_import_begins(request: Request) -> bool:
        return bool(project.rows("select id from crosstie.task where status = 'finished'"))

    gate.when(second_import_begins, lambda: crash_server(project))
    result = ended(project, "contacts.yaml")
    gate.wait()

    assert "The hold of workflow contact-import was lost" in result.err
    assert "crosstie run contact-import goes on where it stopped" in result.err
    assert project.count("recipient") == 0
    is_mended(project, expected)
    tasks = project.rows("select activity, status from crosstie.task where run = 1 order by id")
    assert tasks[:2] == [("contacts", "lost"), ("again", "lost")]
    assert ("contacts", "finished") in tasks


def test_a_stopped_runner_keeps_its_workflow_and_is_named(
    project_on_both: Project, gate: Gate, expected: list[tuple[Any, ...]]
) -> None:
    project = project_on_both
    file = project.workflow(road="pages")
    refused: list[Result] = []

    def stop() -> None:
        os.kill(process.pid, signal.SIGSTOP)
        wait_for(lambda: process_is_stopped(process.pid))
        try:
            refused.append(project.crosstie("run", file, expect=4))
        finally:
            os.kill(process.pid, signal.SIGCONT)

    started = False

    def act() -> None:
        nonlocal started
        wait_for(lambda: started)
        stop()

    gate.at(4, "/query", act)
    with project.started("run", file) as process:
        started = True
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0, (out, err)
    assert f"(process {process.pid} on {socket.gethostname()}, since 20" in refused[0].err
    assert "crosstie log --workflow contact-import" in refused[0].err
    assert recipients(project) == expected
