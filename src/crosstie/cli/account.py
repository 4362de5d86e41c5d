"""`crosstie account`: how to reach a CRM. Settings are options; secrets never are."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from crosstie.cli import failures
from crosstie.cli.output import emit_json, json_option, table, text
from crosstie.cli.session import Session, pass_session
from crosstie.cli.settings import (
    WithSettings,
    complete,
    from_environment,
    given_settings,
    known_secret,
    prompt_secret,
    say_findings,
    secret_options,
    secrets_from_stdin,
)
from crosstie.errors import ConfigError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from crosstie.accounts import ExternalAccount
    from crosstie.crm.connector import Check

_HOW = (
    "Settings are options, see crosstie account add --help. Secrets come by CROSSTIE_SECRET_<FIELD>, --secret-stdin"
    " FIELD or --secrets-stdin; on a terminal they are asked for."
)


@click.group()
def account() -> None:
    """External accounts: how to reach a CRM."""


@account.command("add", cls=WithSettings)
@click.argument("name")
@click.option("--kind", help="The kind of CRM. By default NAME if it is one.")
@secret_options
@json_option
@pass_session
def add(
    session: Session,
    /,
    name: str,
    kind: str | None,
    secrets_stdin: bool,
    secret_stdin: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Adds the external account NAME.

    What is missing is asked for on a terminal. Secrets come by prompt, from the environment (CROSSTIE_SECRET_PASSWORD
    for the field password), or from standard input; never as an argument, which everybody on the machine can read."""
    from crosstie.crm import CONNECTORS, kind_of

    chosen = kind or name
    if kind is None and name not in CONNECTORS:
        raise click.UsageError(f"Say of which kind the CRM is: --kind {' or --kind '.join(CONNECTORS)}.")
    fields: Mapping[str, FieldInfo] = kind_of(chosen).settings_model().model_fields
    with session.app() as app:
        app.accounts.refuse_existing(name)
        settings = given_settings(given, fields)
        settings.update(secrets_from_stdin(fields, secrets_stdin, secret_stdin))
        asking = sys.stdin.isatty() and not secrets_stdin and secret_stdin is None
        complete(settings, fields, asking=asking)
        try:
            made = app.accounts.add(name, chosen, settings)
        except ConfigError as error:
            raise ConfigError(error.message, hint=error.hint or _HOW) from error
    if as_json:
        emit_json(_plain(made))
        return
    click.echo(f"✓ account {made.name} added ({made.kind}, {made.host}); its secrets are sealed")
    click.echo(f"Prove it: crosstie account check {made.name}")


@account.command("edit", cls=WithSettings)
@click.argument("name")
@click.option("--secret", "secrets", multiple=True, metavar="FIELD", help="Ask for this secret anew; can be repeated.")
@secret_options
@json_option
@pass_session
def edit(
    session: Session,
    /,
    name: str,
    secrets: Sequence[str],
    secrets_stdin: bool,
    secret_stdin: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Changes the given settings of the external account NAME; the others stay.

    When their key was lost, all its secrets are given again at once."""
    from crosstie.crm import kind_of

    with session.app() as app:
        before = app.accounts.get(name)
        fields: Mapping[str, FieldInfo] = kind_of(before.kind).settings_model().model_fields
        settings = given_settings(given, fields)
        settings.update(secrets_from_stdin(fields, secrets_stdin, secret_stdin))
        for field in secrets:
            known_secret(field, fields)
            settings[field] = from_environment(field) or prompt_secret(field, fields[field])
        if not settings:
            raise click.UsageError("Say what to change, like --username NAME or --secret password.")
        after = app.accounts.edit(name, settings)
    if as_json:
        emit_json(_plain(after))
    else:
        click.echo(f"✓ account {name}: changed {', '.join(settings)}")


@account.command("list")
@json_option
@pass_session
def list_(session: Session, as_json: bool) -> None:
    """Lists the external accounts."""
    with session.app() as app:
        found = app.accounts.list()
    if as_json:
        emit_json([_plain(one) for one in found])
        return
    table(
        ["name", "kind", "host", "org", "last check (UTC)"],
        [
            (one.name, one.kind, one.host, f"{one.org_id} {one.org_name}".strip(), text(one.checked_at) or "never")
            for one in found
        ],
        empty="There is no external account yet. Begin with: crosstie account add NAME --kind KIND",
    )


@account.command()
@click.argument("name")
@json_option
@pass_session
def check(session: Session, name: str, as_json: bool) -> None:
    """Signs in, and says in plain words what is missing. Exit code 1 when something stands in the way (✗); a warning
    (!) does not change it."""
    with session.app() as app:
        result = app.accounts.check(name)
    if as_json:
        emit_json(_findings(name, result))
    else:
        say_findings(result)
    if not result.passed:
        raise failures.Stopped(failures.FAILED)


@account.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Don't ask.")
@json_option
@pass_session
def remove(session: Session, name: str, yes: bool, as_json: bool) -> None:
    """Removes the external account NAME with its secrets. Collected tables and their rows stay."""
    with session.app() as app:
        app.accounts.get(name)
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError(f"Removing {name} needs --yes when nobody can be asked.")
            click.confirm(f"Remove account {name} with its secrets?", abort=True)
        app.accounts.remove(name)
    if as_json:
        emit_json({"removed": name})
    else:
        click.echo(f"✓ account {name} removed")


def _plain(one: ExternalAccount) -> dict[str, object]:
    return {
        "name": one.name,
        "kind": one.kind,
        "host": one.host,
        "org_id": one.org_id,
        "org_name": one.org_name,
        "time_zone": one.time_zone,
        "checked_at": one.checked_at,
        "settings": one.shown_settings(),
    }


def _findings(name: str, result: Check) -> dict[str, object]:
    return {
        "account": name,
        "passed": result.passed,
        "org_id": result.org_id,
        "org_name": result.org_name,
        "time_zone": result.time_zone,
        "findings": [
            {"ok": one.ok, "warning": one.warning, "text": one.text, "hint": one.hint} for one in result.findings
        ],
    }
