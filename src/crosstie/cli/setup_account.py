"""The first steps of `crosstie setup`: an external account that is proved. What was answered wrongly is asked again,
and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crosstie.cli import failures
from crosstie.cli.settings import (
    choices,
    extra,
    from_environment,
    given_settings,
    prompt_secret,
    prompt_setting,
    say_findings,
    secrets_from_stdin,
    wanted,
)
from crosstie.errors import AuthError, ConfigError, ConnectorError, UnavailableError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from crosstie.app import App
    from crosstie.cli.draft import Draft
    from crosstie.cli.setup import Wishes

Say = Callable[[str], None]


def settings_given(
    given: Mapping[str, Any], sandbox: Path | None, kind: str | None, secrets_stdin: bool, secret_stdin: str | None
) -> dict[str, Any]:
    """The settings of a new account that the command line, standard input and a sandbox's file say. Raises UsageError,
    ConfigError."""
    if kind is None:
        if sandbox is not None or secrets_stdin or secret_stdin is not None:
            raise click.UsageError("Say of which kind the CRM is: --kind KIND.")
        return {key.removeprefix("setting_"): value for key, value in given.items() if value not in (None, ())}
    fields = _fields(kind)
    settings = sandbox_settings(sandbox, kind, str(given.get("setting_flow") or "")) if sandbox is not None else {}
    return {**settings, **given_settings(given, fields), **secrets_from_stdin(fields, secrets_stdin, secret_stdin)}


def sandbox_settings(file: Path, kind: str, flow: str) -> dict[str, Any]:
    """The settings and secrets with which an account reaches a sandbox, from its sandbox.json, for the way to sign in
    that is wished, else the first that has all it needs. Raises ConfigError."""
    from pydantic import ValidationError

    from crosstie.crm import kind_of

    try:
        info = json.loads(file.read_text(encoding="utf-8"))
        told = info[kind]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{file} does not say how to reach a {kind} sandbox.",
            hint=f"It is written by: crosstie sandbox start --state DIR --crm {kind}",
        ) from error
    model = kind_of(kind).settings_model()
    common = {name: told[name] for name in model.model_fields if isinstance(told.get(name), str)}
    common |= {"host": told.get("login_url") or told.get("url"), "ca_file": info.get("ca_file")}
    order = choices(model.model_fields["flow"]) if "flow" in model.model_fields else []
    ways = [
        way for way in told.get("sign_in") or [{"flow": one} for one in order] if way.get("flow") in (flow or order)
    ]
    for way in sorted(ways, key=lambda way: order.index(way["flow"])):
        settings = {**common, **{name: value for name, value in way.items() if name in model.model_fields}}
        settings = {name: value for name, value in settings.items() if value not in (None, "")}
        try:
            model.model_validate(settings)
        except ValidationError:
            continue
        return settings
    raise ConfigError(f"{file} has no way to sign in to the {kind} sandbox{f' by {flow}' if flow else ''}.")


def account_step(app: App, wishes: Wishes, draft: Draft, say: Say) -> str:
    """The name of an account that works: the one that is meant, or a new one. Raises UsageError where nobody can be
    asked, and whatever the CRM says."""
    name = _existing(app, wishes, draft)
    if name is None:
        name = _added(app, wishes, draft, say)
    else:
        if wishes.settings:
            app.accounts.edit(name, wishes.settings)
        say(f"✓ account {name} is there")
    account = app.accounts.get(name)
    if account.checked_at is None or wishes.settings:
        _prove(app, wishes, name, say)
    return name


def _existing(app: App, wishes: Wishes, draft: Draft) -> str | None:
    names = app.accounts.names()
    if wishes.account is not None:
        return wishes.account if wishes.account in names else None
    if wishes.kind is not None or draft.text("kind"):
        named = draft.text("account") or wishes.kind or ""
        return named if named in names else None
    if len(names) <= 1:
        return names[0] if names else None
    if not wishes.choosing:
        raise click.UsageError(f"Say which account is meant: --account {' or --account '.join(names)}.")
    click.echo("\nThere are several accounts. Which one is meant?")
    return str(click.prompt("Account", type=click.Choice(list(names)), default=names[0]))


def _added(app: App, wishes: Wishes, draft: Draft, say: Say) -> str:
    """Asks for what is missing of a new account, and adds it."""
    kind = _kind(wishes, draft)
    name = _name(app, wishes, draft, kind)
    fields = _fields(kind)
    settings: dict[str, Any] = {**draft.settings(), **given_settings(wishes.settings, fields)}
    _complete(kind, settings, fields, wishes, draft)
    while True:
        try:
            made = app.accounts.add(name, kind, settings)
        except ConfigError as error:
            if not wishes.asking:
                raise
            click.echo(f"\n{error}", err=True)
            _mend(kind, settings, fields, _asked(fields, settings)[:1])
            _complete(kind, settings, fields, wishes, draft)
            _keep(draft, settings, fields)
            continue
        draft.drop("kind", "account", "settings")
        say(f"✓ account {made.name} added ({made.kind}, {made.host}); its secrets are sealed")
        return name


def _kind(wishes: Wishes, draft: Draft) -> str:
    from crosstie.crm import CONNECTORS, kind_of

    named = wishes.kind or draft.text("kind") or (wishes.account if wishes.account in CONNECTORS else "")
    if named:
        kind_of(named)
        return named
    if not wishes.asking:
        raise click.UsageError(f"Say of which kind the CRM is: --kind {' or --kind '.join(CONNECTORS)}.")
    click.echo("\nWhich CRM is it?")
    for word, one in CONNECTORS.items():
        click.echo(f"  {word:<18} {one.label}")
    kind = str(click.prompt("CRM", type=click.Choice(list(CONNECTORS)), show_choices=False))
    draft.keep("kind", kind)
    return kind


def _name(app: App, wishes: Wishes, draft: Draft, kind: str) -> str:
    named = wishes.account or draft.text("account")
    names = app.accounts.names()
    if not named and wishes.choosing:
        click.echo("\nUnder which name is the account known here? Tables are named after it, like NAME_contact.")
        while not named:
            wish = str(click.prompt("Account name", default=kind if kind not in names else None))
            named = "" if wish in names else wish
            if not named:
                click.echo(f"There is an account {wish} already. Choose another name.")
    named = named or kind
    draft.keep("account", named)
    draft.keep("kind", kind)
    return named


def _complete(
    kind: str, settings: dict[str, Any], fields: Mapping[str, FieldInfo], wishes: Wishes, draft: Draft
) -> None:
    """Adds what is missing, from the environment and by asking; each answer is judged at once and kept, secrets are
    not."""
    for name, field in fields.items():
        if name in settings or not wanted(name, field, fields, settings):
            continue
        if extra(field).get("secret"):
            secret = from_environment(name)
            if not secret and wishes.asking and not settings.get(f"{name}_file"):
                secret = prompt_secret(name, field)
            if secret:
                settings[name] = secret
        elif wishes.asking:
            _ask(kind, name, field, settings)
            _keep(draft, settings, fields)


def _ask(kind: str, name: str, field: FieldInfo, settings: dict[str, Any]) -> None:
    """Asks for one setting until it is one."""
    possible = choices(field)
    while True:
        settings[name] = prompt_setting(field)
        if possible and settings[name] not in possible:
            click.echo(f"“{settings[name]}” is none of: {', '.join(possible)}.", err=True)
            continue
        trouble = _trouble(kind, name, settings)
        if not trouble:
            return
        click.echo(trouble, err=True)


def _trouble(kind: str, name: str, settings: Mapping[str, Any]) -> str:
    """What is wrong with one setting by itself, '' when nothing is."""
    from pydantic import ValidationError

    from crosstie.crm import kind_of

    try:
        kind_of(kind).settings_model().model_validate({name: settings[name]})
    except ConfigError as error:
        return str(error)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False):
            if one["loc"] == (name,):
                return f"“{settings[name]}” {str(one['msg']).removeprefix('Value error, ').rstrip('.')}."
    return ""


def _keep(draft: Draft, settings: Mapping[str, Any], fields: Mapping[str, FieldInfo]) -> None:
    plain = {name: value for name, value in settings.items() if not extra(fields[name]).get("secret")}
    draft.keep("settings", plain)


def _prove(app: App, wishes: Wishes, name: str, say: Say) -> None:
    """Checks the account; a person can change one answer after the other until it works, or leave."""
    while True:
        guess = ""
        try:
            found = app.accounts.check(name)
        except (ConnectorError, ConfigError) as error:
            if not wishes.asking:
                raise
            click.echo(f"\n✗ {error}")
            guess = _guess(app, name, error)
        else:
            say_findings(found, say)
            if found.passed:
                return
            if not wishes.asking:
                raise failures.Stopped(failures.FAILED)
        _change(app, name, guess)


def _guess(app: App, name: str, error: Exception) -> str:
    """Which answer was probably wrong."""
    account = app.accounts.get(name)
    fields = _fields(account.kind)
    asked = _asked(fields, account.settings)
    if isinstance(error, UnavailableError) and "host" in asked:
        return "host"
    secrets = [one for one in asked if extra(fields[one]).get("secret")]
    return secrets[0] if isinstance(error, AuthError) and secrets else asked[0]


def _change(app: App, name: str, guess: str) -> None:
    """Lets a person answer one question again, and keeps that."""
    account = app.accounts.get(name)
    fields = _fields(account.kind)
    while True:
        settings: dict[str, Any] = {**account.settings}
        changed = _mend(account.kind, settings, fields, (guess,) if guess else ())
        if not changed:
            return
        given = {one: settings[one] for one in changed}
        for one, field in fields.items():  # another way to sign in needs other answers
            if one in account.settings or one in given or not wanted(one, field, fields, settings):
                continue
            if "flow" in changed:
                secret = bool(extra(field).get("secret"))
                given[one] = settings[one] = prompt_secret(one, field) if secret else prompt_setting(field)
        try:
            app.accounts.edit(name, given)
        except ConfigError as error:
            click.echo(f"\n{error}", err=True)
            continue
        return


def _mend(kind: str, settings: dict[str, Any], fields: Mapping[str, FieldInfo], guess: tuple[str, ...]) -> list[str]:
    """Asks which answer is to be given again, and for it; the names of what was changed, none to try once more."""
    asked = _asked(fields, settings)
    click.echo("\nWhich answer was wrong? 0 changes nothing and tries again; Ctrl-C leaves, and all is kept.")
    for number, name in enumerate(asked, 1):
        field = fields[name]
        value = "" if extra(field).get("secret") else str(settings.get(name) or field.default)
        click.echo(f"  {number}  {field.title}{f' ({value})' if value else ''}")
    default = asked.index(guess[0]) + 1 if guess and guess[0] in asked else 0
    chosen = int(click.prompt("Answer", type=click.IntRange(0, len(asked)), default=default))
    if not chosen:
        return []
    name = asked[chosen - 1]
    if extra(fields[name]).get("secret"):
        settings[name] = prompt_secret(name, fields[name])
    else:
        _ask(kind, name, fields[name], settings)
    return [name]


def _asked(fields: Mapping[str, FieldInfo], settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What a person is asked for, for the way to sign in that was chosen, and what was given besides."""
    return tuple(name for name, field in fields.items() if name in settings or wanted(name, field, fields, settings))


def _fields(kind: str) -> Mapping[str, FieldInfo]:
    from crosstie.crm import kind_of

    found: Mapping[str, FieldInfo] = kind_of(kind).settings_model().model_fields
    return found
