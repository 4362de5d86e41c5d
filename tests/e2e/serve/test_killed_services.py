"""Two services and a command line on one database, one of them killed again and again: every schedule fires once, no
task is published twice, and none is executed by two runners at once."""

from __future__ import annotations

import random
import re
import time
from datetime import UTC, datetime, timedelta

from crosstie.app import App
from crosstie.workflow.state import read_vars
from tests.e2e.project import Project
from tests.e2e.serve.fleet import PATIENCE_SECONDS, Fleet, wait_until
from tests.scale import examples

ROWS = 3
EVERY = timedelta(seconds=2)
DAY = datetime(2026, 1, 1, tzinfo=UTC)
FIRINGS = examples(3, 60)
KILLS = examples(3, 150)
FLOW = """\
workflow: {name}
activities:
  tick: {{type: scheduler, every: 2s, times: {firings}}}
  read: {{type: query, from: {source}, add: {{id: id}}}}
  write: {{type: update_data, into: published, operation: insert, set: {{source: id, workflow: "'{name}'"}}}}
"""
# Whoever reads this view while another one does is noted, with the process of both: two runners of one workflow.
GUARD = """\
create function guarded(key bigint) returns boolean language plpgsql volatile as $$
declare other text;
begin
  if not pg_try_advisory_lock(key) then
    select a.application_name into other from pg_locks l join pg_stat_activity a on a.pid = l.pid
      where l.locktype = 'advisory' and l.granted and l.classid = 0 and l.objid = key;
    insert into clash values (other, current_setting('application_name'));
    return true;
  end if;
  perform pg_sleep(0.1);
  perform pg_advisory_unlock(key);
  return true;
end $$"""


def prepare(project: Project, names: list[str]) -> None:
    serial = "integer primary key" if project.is_sqlite else "bigint generated always as identity primary key"
    project.sql(
        "create table source (id bigint primary key)",
        *(f"insert into source values ({number})" for number in range(1, ROWS + 1)),
        f"create table published (id {serial}, source bigint, workflow varchar(20))",
        "create table clash (holder varchar(80), mine varchar(80))",
    )
    if not project.is_sqlite:
        project.sql(GUARD)
    for number, name in enumerate(names, start=1):
        source = "source"
        if not project.is_sqlite:
            source = f"source_{number}"
            project.sql(f"create view {source} as select id from source where (select guarded({number}))")
        project.write(f"{name}.yaml", FLOW.format(name=name, source=source, firings=FIRINGS))
    with App.open(project.folder, database=project.database) as app:
        for name in names:
            app.workflows.apply(project.folder / f"{name}.yaml")
            app.control.start(name)


def run(project: Project, name: str) -> bool:
    """`crosstie run`; whether it was its turn: a service may hold the workflow just then."""
    with project.started("run", name) as process:
        _, error = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode in (0, 4), error
    return process.returncode == 0


def disturb(project: Project, fleet: Fleet, names: list[str]) -> int:
    """Kills services and runners, and meanwhile runs, pauses and starts workflows; how many runs that were."""
    chance = random.Random(7)
    ran = 0
    for number in range(KILLS):
        time.sleep(chance.uniform(0.2, 1.8))
        victim = chance.choice(fleet.living())
        match number % 3:
            case 0:
                fleet.kill(victim, with_runners=False)
            case 1:
                fleet.kill(victim, with_runners=True)
            case 2:
                fleet.kill_runner(victim)
        while len(fleet.living()) < 2:
            fleet.begin()
        name = chance.choice(names)
        if number % 3 == 1:
            ran += run(project, name)
        if number % 3 == 2:
            project.crosstie("workflow", "pause", name)
            project.crosstie("workflow", "start", name)
    return ran


def test_every_schedule_fires_once_and_nothing_is_published_twice(plain: Project, fleet: Fleet) -> None:
    names = ["one", "two"]
    prepare(plain, names)
    fleet.begin()
    fleet.begin()
    ran = disturb(plain, fleet, names)

    def over() -> bool:
        return {status for (status,) in plain.rows("select status from crosstie.workflow")} == {"finished"}

    wait_until(over, f"all workflows are finished: {plain.crosstie('status').out}")
    fleet.end()
    assert "Traceback" not in fleet.output()
    assert not (plain.folder / ".crosstie" / "unexpected.log").exists()

    for name in names:
        fired = plain.rows(
            "select e.vars from crosstie.run r join crosstie.event e on e.run = r.id and e.target = 'tick'"
            f" where r.workflow = '{name}' and r.served = 1 order by r.id"
        )
        at = [moment for (vars,) in fired if isinstance(moment := read_vars(str(vars))["scheduledAt"], datetime)]
        assert len(at) == len(set(at)) == FIRINGS, name
        assert at == sorted(at)
        assert all((one - DAY) % EVERY == timedelta() for one in at)
        assert plain.rows(f"select fired from crosstie.schedule where workflow = '{name}'") == [(FIRINGS,)]
    assert {str(status) for (status,) in plain.rows("select status from crosstie.run")} == {"done"}
    runs = plain.count("crosstie.run")
    assert runs == FIRINGS * len(names) + ran
    finished = plain.rows(
        "select run, activity, count(*) from crosstie.task where status = 'finished' group by run, activity"
    )
    assert len(finished) == 3 * runs
    assert {count for _, _, count in finished} == {1}
    assert {status for (status,) in plain.rows("select status from crosstie.task")} <= {"finished", "lost"}
    assert plain.count("published") == ROWS * runs
    assert plain.count("crosstie.event") == 4 * runs

    processes = re.compile(r"process (\d+) on ")
    for holder, mine in plain.rows("select holder, mine from clash"):
        found = [int(one) for one in processes.findall(f"{holder} {mine}")]
        assert set(found) & fleet.killed, (holder, mine)
