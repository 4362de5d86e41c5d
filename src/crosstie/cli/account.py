"""`crosstie account`: how to reach a CRM. Settings are options; secrets never are."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

from crosstie.cli import failures
from crosstie.cli.output import emit_json, json_option, table, text
from crosstie.cli.session import Session, pass_session
from crosstie.errors import ConfigError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from crosstie.accounts import ExternalAccount
    from crosstie.crm.connector import Check

_PREFIX = "setting_"
_HOW = (
    "Settings are options, see crosstie account add --help. Secrets come by CROSSTIE_SECRET_<FIELD>, --secret-stdin"
    " FIELD or --secrets-stdin; on a terminal they are asked for."
)


class _WithSettings(click.Command):
    """Has an option for each setting of every kind of CRM, made from the kind's own model when it is needed."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters and the derived ones."""
        own = super().get_params(ctx)
        return [*own[:-1], *_setting_options(), *own[-1:]]


@click.group()
def account() -> None:
    """External accounts: how to reach a CRM."""


def _secret_options(command: Any) -> Any:
    for decorate in (
        click.option(
            "--secret-stdin", metavar="FIELD", help="Read this one secret from standard input, like private_key."
        ),
        click.option("--secrets-stdin", is_flag=True, help="Read all secrets from standard input, as a JSON object."),
    ):
        command = decorate(command)
    return command


@account.command("add", cls=_WithSettings)
@click.argument("name")
@click.option("--kind", help="The kind of CRM. By default NAME if it is one.")
@_secret_options
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
        settings = _given(given, fields)
        settings.update(_secrets_from_stdin(fields, secrets_stdin, secret_stdin))
        asking = sys.stdin.isatty() and not secrets_stdin and secret_stdin is None
        _complete(settings, fields, asking=asking)
        try:
            made = app.accounts.add(name, chosen, settings)
        except ConfigError as error:
            raise ConfigError(error.message, hint=error.hint or _HOW) from error
    if as_json:
        emit_json(_plain(made))
        return
    click.echo(f"✓ account {made.name} added ({made.kind}, {made.host}); its secrets are sealed")
    click.echo(f"Prove it: crosstie account check {made.name}")


@account.command("edit", cls=_WithSettings)
@click.argument("name")
@click.option("--secret", "secrets", multiple=True, metavar="FIELD", help="Ask for this secret anew; can be repeated.")
@_secret_options
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
        settings = _given(given, fields)
        settings.update(_secrets_from_stdin(fields, secrets_stdin, secret_stdin))
        for field in secrets:
            _known_secret(field, fields)
            settings[field] = _from_environment(field) or _prompt_secret(field, fields[field])
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
        for finding in result.findings:
            click.echo(f"{'✓' if finding.ok else '!' if finding.warning else '✗'} {finding.text}")
            if finding.hint:
                click.echo(f"  {finding.hint}")
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


def _setting_options() -> list[click.Parameter]:
    from crosstie.crm import CONNECTORS

    settings: dict[str, dict[str, FieldInfo]] = {}
    for kind in CONNECTORS.values():
        for name, field in kind.settings_model().model_fields.items():
            if not _extra(field).get("secret"):
                settings.setdefault(name, {})[kind.label] = field
    return [_setting_option(name, fields) for name, fields in settings.items()]


def _setting_option(name: str, fields: Mapping[str, FieldInfo]) -> click.Option:
    """The option of a setting, which kinds of CRM may share: `fields` by their labels."""
    choices = dict.fromkeys(choice for field in fields.values() for choice in _choices(field))
    several = any(isinstance(field.default, tuple) for field in fields.values())
    said = {label: field.description or "" for label, field in fields.items()}
    alike = len(set(said.values())) == 1
    told = " ".join(dict.fromkeys(text if alike else f"{label}: {text}" for label, text in said.items()))
    return click.Option(
        [f"--{name.replace('_', '-')}", f"{_PREFIX}{name}"],
        type=click.Choice(list(choices)) if choices else str,
        multiple=several,
        default=None,
        metavar=None if choices else "TEXT",
        help=told + (" Can be repeated." if several else ""),
    )


def _choices(field: FieldInfo) -> list[str]:
    kind = field.annotation
    return [str(one.value) for one in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def _extra(field: FieldInfo) -> Mapping[str, Any]:
    extra = field.json_schema_extra
    return extra if isinstance(extra, dict) else {}


def _given(given: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
    """The settings named on the command line. Raises UsageError for one that this kind of CRM does not have."""
    settings: dict[str, Any] = {}
    for key, value in given.items():
        name = key.removeprefix(_PREFIX)
        if value is None or value == ():
            continue
        if name not in fields:
            raise click.UsageError(f"This kind of CRM has no setting --{name.replace('_', '-')}.")
        settings[name] = value
    return settings


def _secrets_from_stdin(fields: Mapping[str, FieldInfo], every: bool, one: str | None) -> dict[str, str]:
    if every and one is not None:
        raise click.UsageError("Standard input is read once: give --secrets-stdin or --secret-stdin FIELD.")
    if one is not None:
        _known_secret(one, fields)
        return {one: sys.stdin.read().rstrip("\r\n")}
    if not every:
        return {}
    try:
        read = json.loads(sys.stdin.read())
    except json.JSONDecodeError as error:
        # The error itself would show a part of what was read.
        raise click.UsageError(f"Standard input is not JSON (line {error.lineno}, column {error.colno}).") from None
    if not isinstance(read, dict) or not all(isinstance(value, str) for value in read.values()):
        raise click.UsageError('Standard input must be a JSON object of texts, like {"password": "…"}.')
    for name in read:
        _known_secret(name, fields)
    return read


def _known_secret(name: str, fields: Mapping[str, FieldInfo]) -> None:
    secrets = [one for one, field in fields.items() if _extra(field).get("secret")]
    if name not in secrets:
        raise click.UsageError(f"“{name}” is not a secret of this kind of CRM. It has: {', '.join(secrets)}.")


def _complete(settings: dict[str, Any], fields: Mapping[str, FieldInfo], *, asking: bool) -> None:
    """Adds what the environment holds and, on a terminal, what a person answers."""
    for name, field in fields.items():
        if name in settings or not _wanted(name, field, fields, settings):
            continue
        if _extra(field).get("secret"):
            secret = _from_environment(name)
            if not secret and asking and not settings.get(f"{name}_file"):
                secret = _prompt_secret(name, field)
            if secret:
                settings[name] = secret
        elif asking:
            settings[name] = _prompt_setting(field)


def _wanted(name: str, field: FieldInfo, fields: Iterable[str], settings: Mapping[str, Any]) -> bool:
    """Whether the chosen way to sign in needs it. A secret that can also stand in a file is not typed."""
    extra = _extra(field)
    if extra.get("secret") and f"{name}_file" in fields and not _from_environment(name):
        return False
    flows = extra.get("flows")
    return not extra.get("advanced") and (flows is None or str(settings.get("flow")) in flows)


def _from_environment(name: str) -> str:
    return os.environ.get(f"CROSSTIE_SECRET_{name.upper()}", "")


def _prompt_setting(field: FieldInfo) -> str:
    click.echo(f"\n{field.description}", err=True)
    default = str(field.default)
    answer = click.prompt(field.title or "", default=default, show_default=bool(default), err=True)
    return str(answer)


def _prompt_secret(name: str, field: FieldInfo) -> str:
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"The secret {name} is missing: put it into CROSSTIE_SECRET_{name.upper()}, or use --secret-stdin {name}."
        )
    click.echo(f"\n{field.description}", err=True)
    answer = click.prompt(field.title or name, default="", show_default=False, hide_input=True, err=True)
    return str(answer)


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
