"""`make bench`: imports by Bulk beside the floor, the reference workflow step by step, a run without change, activities
beside SQL by hand, exports beside the floor, both ways with Dynamics and with Oracle CRM On Demand.

python -m bench [--rows 1000000] [--runs 5] [--latency-ms 0]
                [--only import|workflow|idle|activities|exports|dynamics|oracle_on_demand]
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from tests.databases import PostgresServer, postgres_server

from bench.activities import activities
from bench.dynamics import dynamics, dynamics_project
from bench.exports import exports
from bench.floor import FinishedJob, finished_job, postgres_floor, sqlite_floor
from bench.measured import Measured, measure
from bench.oracle_on_demand import CONTACTS, oracle_on_demand, oracle_project
from bench.stage import Project, SandboxProcess, project, sandbox

STATE = Path(__file__).parent / ".state"
BACKENDS = ("postgresql", "sqlite")
DYNAMICS_ROWS = 200_000
PARTS = ("import", "workflow", "idle", "activities", "exports", "dynamics", "oracle_on_demand")


def main() -> None:
    """Runs what is asked for and prints tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--backend", choices=BACKENDS)
    asked = parser.parse_args()
    if asked.only in (None, "activities"):
        with postgres_server() as postgres:
            activities(postgres, asked.rows, asked.runs)
    if asked.only == "activities":
        return
    backends = [asked.backend] if asked.backend else list(BACKENDS)
    if asked.only in (None, "dynamics"):
        both_ways(backends, min(asked.rows, DYNAMICS_ROWS), asked.runs)
    if asked.only in (None, "oracle_on_demand"):
        in_groups(backends, asked.runs)
    if asked.only in ("dynamics", "oracle_on_demand"):
        return
    with sandbox(STATE / f"sandbox-{asked.rows}", asked.rows) as served, postgres_server() as postgres:
        projects = {
            backend: project(
                STATE / f"{backend}-{asked.rows}", backend, served, postgres if backend == "postgresql" else None
            )
            for backend in backends
        }
        if asked.only != "exports":
            for made in projects.values():
                warm(made)
        if asked.latency_ms:
            served.control("latency", milliseconds=asked.latency_ms)
        print(f"rows {asked.rows:,} · runs {asked.runs} · latency {asked.latency_ms} ms\n")
        if asked.only in (None, "import"):
            imports(projects, served, postgres, asked.rows, asked.runs)
        if asked.only in (None, "workflow"):
            for made in projects.values():
                workflow(made, asked.rows)
        if asked.only in (None, "idle"):
            for made in projects.values():
                idle(made, served, asked.runs)
        if asked.only in (None, "exports"):
            exports(projects, served, asked.runs)


def both_ways(backends: Sequence[str], rows: int, runs: int) -> None:
    """Imports and exports of Dynamics, with a sandbox of its own."""
    with sandbox(STATE / f"dynamics-{rows}", rows, "dynamics") as served, postgres_server() as postgres:
        served.control("switches", requests_limit=0, execution_seconds_limit=0)
        projects = {
            backend: dynamics_project(
                STATE / f"dynamics-{backend}-{rows}", backend, served, postgres if backend == "postgresql" else None
            )
            for backend in backends
        }
        dynamics(projects, served, rows, runs)


def in_groups(backends: Sequence[str], runs: int) -> None:
    """Imports and exports of Oracle CRM On Demand, with a sandbox of its own, at the pace that it allows."""
    with sandbox(STATE / "oracle-on-demand", CONTACTS, "oracle_on_demand") as served, postgres_server() as postgres:
        projects = {
            backend: oracle_project(
                STATE / f"oracle-{backend}", backend, served, postgres if backend == "postgresql" else None
            )
            for backend in backends
        }
        oracle_on_demand(projects, served, runs)


def warm(made: Project) -> None:
    """Lets the sandbox render what will be asked for: its own work is not what is measured."""
    for name in ("load", "reference"):
        made.fresh()
        made.call("run", str(made.folder / f"{name}.yaml"))


def imports(
    projects: dict[str, Project], served: SandboxProcess, postgres: PostgresServer, rows: int, runs: int
) -> None:
    """Import of everything by Bulk, in turn with the floor."""
    print("| import | rows/s best | rows/s median | CPU s (client) median | peak MiB (PSS, all processes) |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for backend, made in projects.items():
        job = finished_job(served, made.folder)
        ours: list[Measured] = []
        floors: list[Measured] = []
        floor = floor_of(backend, job, postgres, made)
        for _ in range(runs):
            floors.append(checked(floor()))
            made.fresh()
            ours.append(checked(measure(made.command("run", str(made.folder / "load.yaml")), env=made.env)))
        tell(f"{backend}: floor (curl piped)", floors, rows)
        tell(f"{backend}: crosstie run", ours, rows)
        ratio = [one.wall / other.wall for one, other in zip(floors, ours, strict=True)]
        print(f"| {backend}: times the floor | {max(ratio):.2f} | {statistics.median(ratio):.2f} | | |", flush=True)
    print()


def floor_of(backend: str, job: FinishedJob, postgres: PostgresServer, made: Project) -> Callable[[], Measured]:
    """The floor of a backend, to be run in turn."""
    if backend == "postgresql":
        return lambda: postgres_floor(job, postgres)
    return lambda: sqlite_floor(job, made.folder)


def checked(one: Measured) -> Measured:
    """Only a run that went well counts."""
    if one.code:
        raise SystemExit(one.output)
    return one


def tell(name: str, runs: Sequence[Measured], rows: int) -> None:
    """A line of the table."""
    speeds = [rows / one.wall for one in runs]
    print(
        f"| {name} | {max(speeds):,.0f} | {statistics.median(speeds):,.0f}"
        f" | {statistics.median(one.cpu for one in runs):.2f} | {max(one.peak_mib for one in runs):.0f} |",
        flush=True,
    )


def workflow(made: Project, rows: int) -> None:
    """The whole reference workflow, first into an empty table, then with a thousand changes; step by step."""
    made.fresh()
    run = checked(measure(made.command("run", str(made.folder / "reference.yaml"), "--json"), env=made.env))
    print(f"| {made.backend}: reference workflow, {rows:,} new rows | seconds |")
    print("| --- | ---: |")
    steps(made, json.loads(run.output)["run"])
    print(f"| whole process | {run.wall:.2f} |")
    print(f"| CPU of the client | {run.cpu:.2f} |")
    print(f"| peak MiB | {run.peak_mib:.0f} |\n", flush=True)


def steps(made: Project, run: int) -> None:
    """A line per task of a run."""
    for task in json.loads(made.call("log", str(run), "--json"))["tasks"]:
        began, ended = (datetime.fromisoformat(task[name]) for name in ("started_at", "ended_at"))
        print(f"| {task['activity']} | {(ended - began).total_seconds():.2f} |")


def idle(made: Project, served: SandboxProcess, runs: int) -> None:
    """Runs without change, after a load: requests, CPU, wall."""
    made.fresh()
    made.call("run", str(made.folder / "reference.yaml"))
    measured = []
    calls = []
    for _ in range(runs):
        served.control("advance", seconds=300)
        served.control("counters", reset=True)
        one = checked(measure(made.command("run", "reference", "--json"), env=made.env))
        measured.append(one)
        calls.append(served.control("counters")["requests_total"])
    print(f"| {made.backend}: run without change | |")
    print("| --- | ---: |")
    print(f"| requests, each run | {calls} |")
    print(f"| CPU s, median | {statistics.median(one.cpu for one in measured):.2f} |")
    print(f"| wall s, median | {statistics.median(one.wall for one in measured):.2f} |")
    print(f"| peak MiB | {max(one.peak_mib for one in measured):.0f} |\n", flush=True)


if __name__ == "__main__":
    main()
