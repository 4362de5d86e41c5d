"""Serving by the command line: what people do and see, and what becomes of work when a service ends."""

from __future__ import annotations

import signal

from crosstie.app import App
from crosstie.db.audit import who
from tests.e2e.project import Project
from tests.e2e.serve.fleet import PATIENCE_SECONDS, Fleet, children, wait_until

TWO_STEPS = """\
workflow: steps
activities:
  tick: {type: scheduler, at: "03:00", next: pause}
  pause: {type: wait, for: 1h, next: note}
  note: {type: javascript, code: "setOption('NOTED', 'yes')"}
"""
WORKING = """\
workflow: working
activities:
  read: {type: query, from: slow, add: {id: id}}
  write: {type: update_data, into: written, operation: insert, set: {id: "cast(id as text)"}}
"""
# About so many steps are counted before the one row comes.
SLOW = (
    "create view slow as with recursive n (i) as (select 1 union all select i + 1 from n where i < 400000000)"
    " select count(*) as id from n"
)


def noted(project: Project) -> bool:
    return bool(project.rows("select 1 from crosstie.option where name = 'NOTED'"))


def statuses(project: Project, table: str = "run") -> list[str]:
    return [str(status) for (status,) in project.rows(f"select status from crosstie.{table} order by 1")]


def test_a_workflow_is_started_woken_watched_and_stopped(plain: Project, fleet: Fleet) -> None:
    plain.crosstie("workflow", "apply", plain.write("steps.yaml", TWO_STEPS))
    started = plain.crosstie("workflow", "start", "steps")
    assert "✓ steps is started\n  tick  fires next " in started.out
    assert "Nothing serves this database. Begin with: crosstie serve" in started.err
    service = fleet.begin()
    assert plain.crosstie("workflow", "wake", "steps").out == "✓ 0 waiting tasks woken, 1 schedules fired.\n"
    wait_until(lambda: statuses(plain) == ["waiting"], "the run waits")

    told = plain.crosstie("status", "--json").json
    (flow,) = told["workflows"]
    assert (flow["workflow"], flow["status"], flow["last_status"]) == ("steps", "started", "waiting")
    assert flow["next_at"].endswith("T03:00:00+00:00")
    (task,) = flow["tasks"]
    assert (task["activity"], task["status"], bool(task["due_at"])) == ("pause", "waiting", True)
    assert [f"process {service.pid} " in one for one in told["services"]] == [True]
    shown = plain.crosstie("status").out
    assert f"served by process {service.pid} on" in shown
    assert "pause waiting, run 1, since" in shown

    refused = plain.crosstie("workflow", "signal", "steps", "pause", expect=4)
    assert "Nothing in steps listens at “pause” now" in refused.err
    assert plain.crosstie("workflow", "wake", "steps", "pause").out == "✓ 1 waiting tasks woken.\n"
    wait_until(lambda: noted(plain), "the run ends")
    assert plain.crosstie("workflow", "stop", "steps").out == "✓ steps is stopped.\n"
    fleet.end()
    assert plain.crosstie("workflow", "purge", "steps", "--yes").out.startswith("✓ 0 runs and")
    actions = plain.rows("select action, before, after from crosstie.audit where thing = 'workflow steps' order by id")
    assert actions == [
        ("apply", "", "version 1"),
        ("start", "edited", "started"),
        ("wake", "started", "started"),
        ("wake", "started", "started pause"),
        ("stop", "started", "finished"),
        ("purge", "", "0 runs, 0 messages removed"),
    ]


def begin_work(project: Project) -> None:
    """Starts a workflow that counts for very long."""
    project.sql(SLOW, "create table written (id varchar(20))")
    project.write("working.yaml", WORKING)
    with App.open(project.folder, database=project.database) as app:
        app.workflows.apply(project.folder / "working.yaml")
        app.control.start("working")


def test_what_is_at_work_ends_at_once_when_its_service_does_and_is_gone_on_with(plain: Project, fleet: Fleet) -> None:
    begin_work(plain)
    first = fleet.begin()
    wait_until(lambda: "running" in statuses(plain, "task"), "the query works")
    runners = children(first.pid)
    first.send_signal(signal.SIGTERM)
    assert first.wait(60) == 0
    wait_until(lambda: not any(children(one) for one in runners), "its runner ends")
    assert (statuses(plain), statuses(plain, "task")) == (["interrupted"], ["lost"])
    assert plain.rows("select status from crosstie.workflow") == [("started",)]

    fleet.begin()
    wait_until(lambda: statuses(plain, "task") == ["lost", "running"], "the query works again")
    stopped = plain.crosstie("workflow", "stop", "working", "--json").json
    assert (stopped["applied"], stopped["outcome"]) == (True, "stopped")
    wait_until(lambda: not any(children(one.pid) for one in fleet.living()), "its runner ends")
    assert (statuses(plain), statuses(plain, "task")) == (["stopped"], ["aborted", "lost"])
    assert plain.count("written") == 0


def test_a_run_that_somebody_stops_says_who_and_does_not_end_well(plain: Project) -> None:
    plain.sql(SLOW, "create table written (id varchar(20))")
    plain.write("working.yaml", WORKING)
    with plain.started("run", "working.yaml") as process:
        wait_until(lambda: "running" in statuses(plain, "task"), "the query works")
        assert plain.crosstie("workflow", "stop", "working").out == "✓ working is stopped.\n"
        _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 4
    assert f"Run 1 of working was stopped by {who()}.\n" in err
    assert "crosstie run working begins anew." in err
    assert plain.crosstie("workflow", "pause", "working").out == "working is edited: there is nothing to pause.\n"


def test_what_is_at_work_ends_when_its_service_is_killed(plain: Project, fleet: Fleet) -> None:
    begin_work(plain)
    service = fleet.begin()
    wait_until(lambda: "running" in statuses(plain, "task"), "the query works")
    fleet.kill(service, with_runners=False)
    wait_until(lambda: statuses(plain) == ["interrupted"], "its runner ends by itself")
    killed = plain.crosstie("workflow", "kill", "working", "--yes").out
    assert killed == "✓ working is finished: 1 runs ended.\n"


def test_one_workflow_is_carried_on_without_a_service_and_an_edit_is_confirmed(plain: Project) -> None:
    failing = (
        TWO_STEPS.replace('type: scheduler, at: "03:00"', "type: start")
        .replace("for: 1h, next: note", "for: 0s, next: note")
        .replace("setOption('NOTED', 'yes')", "logError('not today')")
    )
    plain.crosstie("workflow", "apply", plain.write("steps.yaml", failing))
    plain.crosstie("workflow", "start", "steps")
    plain.crosstie("serve", "--only", "steps", expect=1)
    assert plain.rows("select status, message from crosstie.workflow")[0][0] == "failed"
    plain.crosstie("workflow", "apply", plain.write("steps.yaml", failing.replace("logError('not today')", "1")))
    refused = plain.crosstie("workflow", "resume", "steps", expect=4)
    assert "stopped at “note”, and that was edited since (version 1 → 2)" in refused.err
    assert "confirm it with --accept-edit" in refused.err
    assert "going on with run 1" in plain.crosstie("workflow", "resume", "steps", "--accept-edit").out
    plain.crosstie("serve", "--only", "steps")
    assert statuses(plain) == ["done"]
    assert "simulated in" in plain.crosstie("run", "steps", "--simulate").out
