"""What only a person at a terminal sees: questions, hidden answers, a line that lives."""

from __future__ import annotations

from tests.e2e.project import Project
from tests.e2e.terminal import at_terminal
from tests.sandboxes import Sandbox


def test_an_account_is_asked_for_and_its_secret_is_not_shown(project: Project, sandbox: Sandbox) -> None:
    flow = sandbox.sign_in("password")

    code, shown = at_terminal(
        project,
        *("account", "add", "second", "--kind", "salesforce", "--ca-file", str(sandbox.ca_file)),
        answers=[
            ("Login host", sandbox.salesforce["login_url"]),
            ("Way to sign in", "password"),
            ("User name", flow["username"]),
            ("Password", flow["password"]),
            ("Security token", flow["security_token"]),
            ("Consumer key", flow["client_id"]),
            ("Consumer secret", flow["client_secret"]),
        ],
    )

    assert code == 0, shown
    for secret in ("password", "security_token", "client_secret"):
        assert flow[secret] not in shown
    assert "account second added" in shown
    project.crosstie("account", "check", "second")


def test_a_removal_is_confirmed(project: Project) -> None:
    refused, _ = at_terminal(project, "account", "remove", "salesforce", answers=[("Remove account", "n")])
    kept = project.crosstie("account", "list", "--json").json
    removed, _ = at_terminal(project, "account", "remove", "salesforce", answers=[("Remove account", "y")])

    assert refused == 130
    assert [one["name"] for one in kept] == ["salesforce"]
    assert removed == 0
    assert project.crosstie("account", "list", "--json").json == []


def test_objects_can_be_chosen(project: Project) -> None:
    code, shown = at_terminal(project, "collect", "salesforce", answers=[("Which objects", " ")])

    assert code == 0, shown
    collected = project.crosstie("schema", "show", "--json").json
    assert [one["object"] for one in collected] == ["Account", "Contact"]


def test_a_run_shows_rows_rate_and_calls_as_it_works(project: Project, sandbox: Sandbox) -> None:
    sandbox.control("latency", milliseconds=100)

    code, shown = at_terminal(project, "run", project.workflow())

    assert code == 0, shown
    assert "\r\x1b[K" in shown
    assert " rows" in shown
    assert " calls" in shown
    assert "done in" in shown
