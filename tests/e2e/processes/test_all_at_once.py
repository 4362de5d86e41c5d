"""Runners of several workflows, a console that reads and a clerk who changes things, all at once on one database."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from tests.e2e.processes import people
from tests.e2e.processes.conftest import PAGE_ROWS
from tests.e2e.processes.cutting import recipients
from tests.e2e.project import RECIPIENT, Project
from tests.sandboxes import Sandbox
from tests.scale import examples

ROUNDS = examples(1, 40)
OTHERS = ("other", "third")
LOCK_ERRORS = re.compile(r"lock(ed|.?timeout)|deadlock|serializ|SQLITE_|40P01|40001|55P03|Traceback|unexpectedly")


@contextmanager
def person(project: Project, sandbox: Sandbox, role: str, stop: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of `people`, which has to end well once the file `stop` is there."""
    flow = sandbox.sign_in("client_credentials")
    account = {
        "flow": "client_credentials",
        "host": sandbox.salesforce["login_url"],
        "ca_file": str(sandbox.ca_file),
        "client_id": flow["client_id"],
        "client_secret": flow["client_secret"],
    }
    process = subprocess.Popen(
        [sys.executable, str(Path(people.__file__)), role, str(stop), json.dumps(account)],
        cwd=project.folder,
        env=project.env(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
        stop.touch()
        out, err = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert process.returncode == 0, (role, out, err)
    assert not LOCK_ERRORS.search(err), err
    assert json.loads(out)["rounds"] > 0


def run_all(project: Project, names: list[str]) -> dict[str, list[int]]:
    """Starts the workflows at the same moment; their exit codes."""
    codes: dict[str, list[int]] = {}
    with ExitStack() as stack:
        started = [(name, stack.enter_context(project.started("run", name))) for name in names]
        for name, process in started:
            out, err = process.communicate(timeout=120)
            assert not LOCK_ERRORS.search(out + err), (name, out, err)
            codes.setdefault(name, []).append(process.returncode)
    return codes


def test_runners_readers_and_changes_at_once_wait_for_each_other_without_error(
    project_on_both: Project, sandbox: Sandbox, tmp_path: Path
) -> None:
    project = project_on_both
    # Some names are too long, so that there are rejects to dismiss.
    short = ("first_name varchar(80)", "first_name varchar(9)")
    project.make_recipient(short)
    files = {"contact-import": project.workflow(road="pages")}
    serial = "integer primary key" if project.is_sqlite else "bigint generated always as identity primary key"
    for name in OTHERS:
        table = f"recipient_{name}"
        project.sql(RECIPIENT.format(serial=serial).replace("table recipient", f"table {table}").replace(*short))
        files[f"{name}-import"] = project.workflow(
            ("workflow: contact-import", f"workflow: {name}-import"),
            ("        to: recipient", f"        to: {table}"),
            ("    into: recipient", f"    into: {table}"),
            road="bulk",
            name=f"{name}.yaml",
        )

    with person(project, sandbox, "console", tmp_path / "stop"), person(project, sandbox, "clerk", tmp_path / "stop"):
        for _ in range(ROUNDS):
            sandbox.change_contacts(PAGE_ROWS)
            sandbox.advance(timedelta(minutes=3))
            codes = run_all(project, [files["contact-import"], *files.values()])
            assert sorted(codes["contacts.yaml"])[0] in (0, 3)
            assert sorted(codes["contacts.yaml"])[1] in (0, 3, 4)
            assert all(codes[f"{name}.yaml"][0] in (0, 3) for name in OTHERS)

    during = project.rows(
        "select count(*) from crosstie.audit a join crosstie.run r on a.at > r.started_at and a.at < r.ended_at"
        " where a.thing = 'option NOTE'"
    )
    assert during[0][0] > 0
    assert set(project.take_written()) == {row[0] for row in recipients(project)}
    run_all(project, [*files])
    assert project.take_written() == []
    held = recipients(project)
    assert len(held) > 1000
    for name in OTHERS:
        assert recipients(project, f"recipient_{name}") == held
