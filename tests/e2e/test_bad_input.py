"""Bad input: one clear message, the right exit code, nothing half-written, and the next run continues."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tests.e2e.conftest import CONTACTS
from tests.e2e.expired import server_with_expired_certificate
from tests.e2e.project import Project
from tests.sandboxes import Sandbox

FILTER = """\
    index: {field: SystemModstamp}
    filter:
"""

# What is spoiled in the reference workflow, and which words the message must have.
DEFINITIONS = {
    "unknown account": (("account: salesforce", "account: salesfroce"), ["account", "salesfroce", "“salesforce”"]),
    "unknown object": (("object: Contact", "object: Contcat"), ["object", "Contcat", "Contact"]),
    "unknown field": (("- FirstName", "- FristName"), ["fields[0]", "FristName", "“FirstName”"]),
    "unknown conversion": (
        ("- Birthdate", "- {field: Birthdate, conversion: date_olny}"),
        ["fields[3]", "date_olny", "date_only"],
    ),
    "unknown activity": (("type: deduplication", "type: deduplicate"), ["one-each", "deduplicate", "“deduplication”"]),
    "unknown key": (("operation:", "operatoin:"), ["write", "operatoin", "“operation”"]),
    "unknown table": (("into: recipient", "into: recipeint"), ["write.into", "recipeint", "recipient"]),
    "unknown column": (("crm_id: Id\n      first_name", "crm_idd: Id\n      first_name"), ["crm_idd", "crm_id"]),
    "column that does not fit": (("birth_date: Birthdate", "birth_date: score"), ["birth_date", "write"]),
    "mixed operators": (
        (
            "    index: {field: SystemModstamp}\n",
            FILTER + "      all:\n        - {field: Email, is: not empty}\n"
            "      any:\n        - {field: LastName, is: not empty}\n",
        ),
        ["filter", "all", "any"],
    ),
    "text comparison when strict": (
        (
            "    index: {field: SystemModstamp}\n",
            "    strict: true\n" + FILTER + "      all:\n"
            "        - {field: LastName, is: equal to, value: \"'Smith'\"}\n",
        ),
        ["filter.all[0]", "strict"],
    ),
    "operator misspelt": (
        (
            "    index: {field: SystemModstamp}\n",
            FILTER + '      all:\n        - {field: Score__c, is: greather than, value: "3"}\n',
        ),
        ["filter.all[0]", "greather than", "“greater than”"],
    ),
}


@pytest.mark.parametrize("case", DEFINITIONS)
def test_a_wrong_definition_is_refused_before_anything_happens(project: Project, case: str) -> None:
    change, words = DEFINITIONS[case]
    before = project.tables()
    file = project.workflow(change)

    ran = project.crosstie("run", file, expect=2)

    for word in (f"{file}:", *words):
        assert word in ran.err
    assert project.tables() == before
    assert project.rows("select * from crosstie.run") == []


def test_every_mistake_is_reported_at_once(project: Project) -> None:
    changes = [DEFINITIONS[case][0] for case in ("unknown field", "unknown conversion", "unknown key")]

    file = project.workflow(*changes)
    shown = project.crosstie("workflow", "validate", file, expect=2).err

    assert "FristName" in shown
    assert "date_olny" in shown
    assert "operatoin" in shown
    mistakes = project.crosstie("workflow", "validate", file, "--json", expect=2).json["mistakes"]
    assert len(mistakes) >= 3
    assert all(mistake["line"] > 1 and mistake["message"] in shown for mistake in mistakes)


def test_collecting_an_unknown_object_stores_nothing(project: Project) -> None:
    before = project.crosstie("schema", "show", "--json").json

    refused = project.crosstie("collect", "salesforce", "Lead", "Contcat", expect=2)

    assert "Contcat" in refused.err
    assert "Contact" in refused.err
    assert project.crosstie("schema", "show", "--json").json == before


def test_an_unknown_account_on_the_command_line_is_a_mistake(project: Project) -> None:
    for arguments in (["objects", "salesfroce"], ["account", "check", "salesfroce"], ["collect", "salesfroce", "Lead"]):
        refused = project.crosstie(*arguments, expect=2)
        assert "salesfroce" in refused.err
        assert "salesforce" in refused.err.replace("salesfroce", "")


@pytest.mark.parametrize("project_on_both", ["sqlite"], indirect=True)
def test_a_malformed_option_is_a_mistake_and_never_a_full_import(project_on_both: Project, sandbox: Sandbox) -> None:
    project = project_on_both
    file = project.workflow()
    option = "LASTIMPORT_contact-import_contacts"
    project.crosstie("option", "set", option, "23.11.2026")
    before = project.tables()

    refused = project.crosstie("run", file, expect=2)

    assert option in refused.err
    assert "23.11.2026" in refused.err
    assert "yyyy/MM/dd hh:mm:ss" in refused.err
    assert project.tables() == before
    project.crosstie("option", "set", option, "")
    project.crosstie("run", file)
    assert project.count("recipient") > 0

    refused = project.crosstie("option", "set", option, "tomorrow", expect=2)
    assert "“tomorrow” is neither and was not set" in refused.err
    assert "yyyy/MM/dd hh:mm:ss" in refused.err
    project.crosstie("option", "set", option, "2026/11/23 08:00:00")


def test_wrong_credentials(project: Project, sandbox: Sandbox) -> None:
    file = project.workflow()
    project.crosstie(
        "account", "edit", "salesforce", "--secret", "client_secret", CROSSTIE_SECRET_CLIENT_SECRET="not-the-secret"
    )
    before = project.tables()

    checked = project.crosstie("account", "check", "salesforce", expect=1)
    refused = project.crosstie("run", file, expect=1)

    assert "not-the-secret" not in checked.out + checked.err + refused.out + refused.err
    assert "salesforce" in refused.err
    assert "client_credentials" in refused.err
    assert project.tables() == before
    project.crosstie(
        *("account", "edit", "salesforce", "--secret-stdin", "client_secret"),
        given=sandbox.sign_in("client_credentials")["client_secret"],
    )
    project.crosstie("run", file)
    assert project.count("recipient") > 0


def test_an_expired_certificate(project: Project, tmp_path: Path) -> None:
    with server_with_expired_certificate(tmp_path) as (url, ca_file):
        project.crosstie("account", "edit", "salesforce", "--host", url, "--ca-file", str(ca_file))
        before = project.tables()

        checked = project.crosstie("account", "check", "salesforce", expect=1)
        refused = project.crosstie("run", project.workflow(), expect=1)

    for shown in (checked.out + checked.err, refused.err):
        assert "certificate" in shown
        assert "expired" in shown
    assert project.tables() == before


@pytest.mark.parametrize("project_on_both", ["postgresql"], indirect=True)
def test_values_too_long_for_a_column_are_rejects_and_the_others_are_written(project_on_both: Project) -> None:
    project = project_on_both
    project.make_recipient(("last_name varchar(80)", "last_name varchar(4)"))

    shown = project.crosstie("run", project.workflow(), expect=3)

    assert "last_name" in shown.out
    rejects = project.crosstie("rejects", "list", "--json", "--limit", "100000").json
    assert {(one["field"], one["symbol"]) for one in rejects} == {("last_name", "TOO_LONG")}
    assert project.count("recipient") + len(rejects) >= CONTACTS
    assert project.rows("select count(*) from recipient where length(last_name) > 4") == [(0,)]


def test_rejects_are_shown_and_dismissed(project: Project) -> None:
    project.make_recipient(("last_name varchar(80)", "last_name varchar(4)"))
    project.crosstie("run", project.workflow(), expect=3)
    listed = project.crosstie("rejects", "list", "--json", "--limit", "1").json
    number = str(listed[0]["id"])

    shown = project.crosstie("rejects", "show", number)
    project.crosstie("rejects", "dismiss", number)
    project.crosstie("rejects", "dismiss", expect=2)
    rest = project.crosstie("rejects", "dismiss", "--workflow", "contact-import", "--json").json

    assert "last_name" in shown.out
    assert "TOO_LONG" in shown.out
    assert rest["dismissed"] > 0
    assert project.crosstie("rejects", "list", "--json").json == []
    every = project.crosstie("rejects", "list", "--every", "--limit", "100000", "--json").json
    assert {one["status"] for one in every} == {"dismissed"}


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """A library that makes a disk seem full, see full_disk.c. None where there is no C compiler to make it: then the
    system's limit of a file's size stands for the disk."""
    if shutil.which("cc") is None:
        return None
    library = tmp_path_factory.mktemp("full") / "full_disk.so"
    source = Path(__file__).with_name("full_disk.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library


@pytest.mark.parametrize("room_bytes", [0, 100_000, 400_000])
def test_a_full_disk_leaves_the_table_untouched_and_the_next_run_continues(
    project: Project, full_disk: Path | None, room_bytes: int
) -> None:
    file = project.workflow()
    project.crosstie("workflow", "apply", file)
    before = project.tables()
    size = (project.folder / "marketing.db").stat().st_size

    if full_disk is None:
        refused = project.crosstie("run", file, expect=1, most_file_bytes=size + room_bytes)
    else:
        refused = project.crosstie(
            *("run", file),
            expect=1,
            LD_PRELOAD=str(full_disk),
            FULL_DISK=str(project.folder / "marketing.db"),
            FULL_DISK_BYTES=str(room_bytes if room_bytes == 0 else size + room_bytes),
        )

    assert "Make room on the disk" in refused.err or "Check the disk and its free space" in refused.err
    assert project.tables() == before
    project.crosstie("run", file)
    assert project.count("recipient") > 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_gone_on_with(project_on_both: Project, sandbox: Sandbox, sent: signal.Signals) -> None:
    project = project_on_both
    file = project.workflow()
    before = project.tables()
    sandbox.faults([{"match": {"path": "/query"}, "fault": {"type": "latency", "seconds": 3.0}, "times": None}])

    with project.started("run", file) as process:
        assert process.stdout is not None
        assert "run 1" in process.stdout.readline()
        wait_for_task(project)
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)

    assert process.returncode == 130, (out, err)
    assert "goes on from there" in err
    assert "Traceback" not in err
    assert project.tables() == before
    assert project.crosstie("log", "1", "--json").json["status"] == "interrupted"
    sandbox.faults([])
    report = project.crosstie("run", file, "--json").json
    assert report["run"] == 1
    assert report["resumed"] is True
    assert project.count("recipient") == report["counts"]["write"]["inserted"]


def wait_for_task(project: Project) -> None:
    """Until an activity of run 1 is at work."""
    for _ in range(200):
        tasks = project.rows("select status from crosstie.task where run = 1")
        if tasks:
            return
        time.sleep(0.05)
    raise AssertionError("no activity began")


def test_a_second_process_is_told_who_has_the_workflow(project: Project, sandbox: Sandbox) -> None:
    file = project.workflow()
    sandbox.faults([{"match": {"path": "/query"}, "fault": {"type": "latency", "seconds": 4.0}}])

    with project.started("run", file) as process:
        assert process.stdout is not None
        process.stdout.readline()
        refused = project.crosstie("run", file, expect=4)
        process.communicate(timeout=60)

    assert "contact-import" in refused.err
    assert process.returncode == 0
    assert project.count("recipient") > 0


def test_an_unreachable_crm(project: Project) -> None:
    project.crosstie("account", "edit", "salesforce", "--host", "https://localhost:1")
    before = project.tables()

    refused = project.crosstie("run", project.workflow(), expect=1)

    assert "localhost:1" in refused.err
    assert project.tables() == before


def test_http_is_refused(project: Project) -> None:
    refused = project.crosstie("account", "edit", "salesforce", "--host", "http://localhost:1", expect=2)

    assert "https" in refused.err


def test_a_copied_database_asks_to_be_adopted(project: Project, tmp_path: Path, sandbox: Sandbox) -> None:
    project.crosstie("option", "set", "A", "1")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = Project(folder=elsewhere, database=f"sqlite:///{tmp_path / 'copy.db'}")
    project.sql(f"vacuum into '{tmp_path / 'copy.db'}'")
    copy.crosstie("init")

    warned = copy.crosstie("option", "list")
    copy.crosstie("adopt")
    silent = copy.crosstie("option", "list")

    assert "crosstie adopt" in warned.err
    assert silent.err == ""
    assert copy.rows("select value from crosstie.meta where name = 'database_id'") != project.rows(
        "select value from crosstie.meta where name = 'database_id'"
    )


def test_a_window_of_a_failed_run_is_kept_for_the_next(project: Project, sandbox: Sandbox) -> None:
    sandbox.advance(timedelta(hours=1))
    sandbox.faults([{"match": {"path": "/query"}, "fault": {"type": "status", "status": 403}, "times": None}])
    file = project.workflow()
    before = project.tables()

    project.crosstie("run", file, expect=1)

    assert project.tables() == before
    sandbox.faults([])
    report = project.crosstie("run", file, "--json").json
    assert report["resumed"] is True
    assert project.count("recipient") == report["counts"]["write"]["inserted"]
