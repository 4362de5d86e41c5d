"""The settings of an external account, asked for by the kind's own model: as options, from the environment, from
standard input, or at a terminal. Secrets are never options."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from crosstie.crm.connector import Check

_PREFIX = "setting_"


class WithSettings(click.Command):
    """Has an option for each setting of every kind of CRM, made from the kind's own model when it is needed."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters and the derived ones."""
        own = super().get_params(ctx)
        return [*own[:-1], *_setting_options(), *own[-1:]]


def secret_options(command: Any) -> Any:
    """Adds the options by which secrets come from standard input."""
    for decorate in (
        click.option(
            "--secret-stdin", metavar="FIELD", help="Read this one secret from standard input, like private_key."
        ),
        click.option("--secrets-stdin", is_flag=True, help="Read all secrets from standard input, as a JSON object."),
    ):
        command = decorate(command)
    return command


def _setting_options() -> list[click.Parameter]:
    from crosstie.crm import CONNECTORS

    settings: dict[str, dict[str, FieldInfo]] = {}
    for kind in CONNECTORS.values():
        for name, field in kind.settings_model().model_fields.items():
            if not extra(field).get("secret"):
                settings.setdefault(name, {})[kind.label] = field
    return [_setting_option(name, fields) for name, fields in settings.items()]


def _setting_option(name: str, fields: Mapping[str, FieldInfo]) -> click.Option:
    """The option of a setting, which kinds of CRM may share: `fields` by their labels."""
    possible = dict.fromkeys(choice for field in fields.values() for choice in choices(field))
    several = any(isinstance(field.default, tuple) for field in fields.values())
    said = {label: field.description or "" for label, field in fields.items()}
    alike = len(set(said.values())) == 1
    told = " ".join(dict.fromkeys(text if alike else f"{label}: {text}" for label, text in said.items()))
    return click.Option(
        [f"--{name.replace('_', '-')}", f"{_PREFIX}{name}"],
        type=click.Choice(list(possible)) if possible else str,
        multiple=several,
        default=None,
        metavar=None if possible else "TEXT",
        help=told + (" Can be repeated." if several else ""),
    )


def choices(field: FieldInfo) -> list[str]:
    """What a setting can be, where that is a closed list."""
    kind = field.annotation
    return [str(one.value) for one in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def extra(field: FieldInfo) -> Mapping[str, Any]:
    """How the model marks a setting: secret, advanced, flows, file."""
    marks = field.json_schema_extra
    return marks if isinstance(marks, dict) else {}


def given_settings(given: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> dict[str, Any]:
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


def secrets_from_stdin(fields: Mapping[str, FieldInfo], every: bool, one: str | None) -> dict[str, str]:
    """The secrets that standard input holds. Raises UsageError without showing what was read."""
    if every and one is not None:
        raise click.UsageError("Standard input is read once: give --secrets-stdin or --secret-stdin FIELD.")
    if one is not None:
        known_secret(one, fields)
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
        known_secret(name, fields)
    return read


def known_secret(name: str, fields: Mapping[str, FieldInfo]) -> None:
    """Raises UsageError for what is no secret of the kind."""
    secrets = [one for one, field in fields.items() if extra(field).get("secret")]
    if name not in secrets:
        raise click.UsageError(f"“{name}” is not a secret of this kind of CRM. It has: {', '.join(secrets)}.")


def complete(settings: dict[str, Any], fields: Mapping[str, FieldInfo], *, asking: bool) -> None:
    """Adds what the environment holds and, on a terminal, what a person answers."""
    for name, field in fields.items():
        if name in settings or not wanted(name, field, fields, settings):
            continue
        if extra(field).get("secret"):
            secret = from_environment(name)
            if not secret and asking and not settings.get(f"{name}_file"):
                secret = prompt_secret(name, field)
            if secret:
                settings[name] = secret
        elif asking:
            settings[name] = prompt_setting(field)


def wanted(name: str, field: FieldInfo, fields: Mapping[str, FieldInfo], settings: Mapping[str, Any]) -> bool:
    """Whether the chosen way to sign in needs it. A secret that can also stand in a file is not typed."""
    marks = extra(field)
    if marks.get("secret") and f"{name}_file" in fields and not from_environment(name):
        return False
    flows = marks.get("flows")
    flow = settings.get("flow") or (fields["flow"].default if "flow" in fields else "")
    return not marks.get("advanced") and (flows is None or str(flow) in flows)


def from_environment(name: str) -> str:
    """The secret that the environment holds, or ''."""
    return os.environ.get(f"CROSSTIE_SECRET_{name.upper()}", "")


def prompt_setting(field: FieldInfo) -> str:
    """Asks a person for a setting, and explains it."""
    click.echo(f"\n{field.description}", err=True)
    possible = choices(field)
    if possible:
        click.echo(f"It can be {', '.join(possible)}.", err=True)
    default = str(field.default)
    answer = click.prompt(field.title or "", default=default, show_default=bool(default), err=True)
    return str(answer)


def prompt_secret(name: str, field: FieldInfo) -> str:
    """Asks a person for a secret, which is not shown. Raises UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"The secret {name} is missing: put it into CROSSTIE_SECRET_{name.upper()}, or use --secret-stdin {name}."
        )
    click.echo(f"\n{field.description}", err=True)
    answer = click.prompt(field.title or name, default="", show_default=False, hide_input=True, err=True)
    return str(answer)


def say_findings(result: Check, say: Callable[[str], object] = click.echo) -> None:
    """What a check found, for people."""
    for finding in result.findings:
        say(f"{'✓' if finding.ok else '!' if finding.warning else '✗'} {finding.text}")
        if finding.hint:
            say(f"  {finding.hint}")
