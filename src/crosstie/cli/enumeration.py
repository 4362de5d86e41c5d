"""`crosstie enumeration`: closed lists of values, kept in step with the picklists of CRMs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from crosstie.cli.failures import FAILED, Stopped
from crosstie.cli.output import emit_json, json_option, table
from crosstie.cli.session import Session, pass_session

if TYPE_CHECKING:
    from crosstie.app import App
    from crosstie.app.enumerations import Candidate, Enumeration, Synced

Command = TypeVar("Command", bound=Callable[..., Any])


def _settings(command: Command) -> Command:
    """Adds what is set of an enumeration."""
    unknown = click.option(
        "--unknown",
        type=click.Choice(["report", "add", "ignore"]),
        help="What imports do with values that the list does not have.",
    )
    replaces = click.option(
        "--replace/--keep",
        "replaces",
        default=None,
        help="Make the values those of the CRM, or only add new ones (as it is at first).",
    )
    return replaces(unknown(command))


@click.group()
def enumeration() -> None:
    """Closed lists of values, and the picklists of CRMs that they follow."""


@enumeration.command("list")
@click.argument("account", required=False)
@json_option
@pass_session
def list_(session: Session, account: str | None, as_json: bool) -> None:
    """Lists the enumerations; with an ACCOUNT, the picklists of its collected objects that they can follow."""
    with session.app() as app:
        if account:
            _show_candidates(app.enumerations.candidates(account), account, as_json=as_json)
            return
        found = app.enumerations.list()
    if as_json:
        emit_json([_facts(one) for one in found])
        return
    table(
        ["name", "label", "values", "active", "CRM replaces", "unknown values", "follows", "synchronised (UTC)"],
        [
            (
                one.name,
                one.label,
                len(one.values),
                sum(value.active for value in one.values),
                one.replaces,
                one.on_unknown.value,
                ", ".join(str(source) for source in one.sources),
                one.synced_at,
            )
            for one in found
        ],
        empty="There is no enumeration yet. What can be followed: crosstie enumeration list ACCOUNT",
    )


def _show_candidates(found: Sequence[Candidate], account: str, *, as_json: bool) -> None:
    if as_json:
        emit_json(
            [
                {
                    "account": one.source.account,
                    "object": one.source.object,
                    "field": one.source.field,
                    "label": one.label,
                    "several": one.several,
                    "values": one.values,
                    "restricted": one.restricted,
                    "followed_by": one.followed_by,
                }
                for one in found
            ]
        )
        return
    table(
        ["field", "label", "values", "several", "restricted", "followed by"],
        [
            (
                f"{one.source.object}.{one.source.field}",
                one.label,
                one.values,
                one.several,
                one.restricted,
                one.followed_by,
            )
            for one in found
        ],
        empty=f"Nothing that was collected of {account} has a list of values. Collect: crosstie collect {account}",
    )


@enumeration.command("show")
@click.argument("name")
@json_option
@pass_session
def show(session: Session, name: str, as_json: bool) -> None:
    """Shows the values of the enumeration NAME, and what it follows."""
    with session.app() as app:
        one = app.enumerations.get(name)
    if as_json:
        emit_json(_facts(one))
        return
    how = "become those of the CRM" if one.replaces else "stay, new ones of the CRM are added"
    click.echo(f"{one.name} “{one.label}”: values {how}; imports {_UNKNOWN[one.on_unknown.value]}")
    for source in one.sources:
        click.echo(f"follows {source}")
    for place, column in one.columns:
        click.echo(f"held by {place}.{column}")
    table(
        ["value", "label", "active", "default", "other languages", "only with"],
        [
            (
                value.name,
                value.label,
                value.active,
                value.default,
                ", ".join(f"{language}: {text}" for language, text in value.labels),
                ", ".join(value.valid_for),
            )
            for value in one.values
        ],
        empty="It has no values yet.",
    )


_UNKNOWN = {
    "report": "report values that it does not have",
    "add": "add values that it does not have",
    "ignore": "say nothing of values that it does not have",
}


@enumeration.command("sync")
@click.argument("account", required=False)
@click.argument("fields", metavar="[OBJECT[.FIELD]]…", nargs=-1)
@click.option("--into", default="", metavar="NAME", help="The enumeration that follows these fields; by default found.")
@click.option("--name", "names", multiple=True, metavar="NAME", help="Only this enumeration; can be repeated.")
@_settings
@click.option("--dry-run", is_flag=True, help="Show the difference, change nothing.")
@json_option
@pass_session
def sync(
    session: Session,
    account: str | None,
    fields: tuple[str, ...],
    into: str,
    names: tuple[str, ...],
    replaces: bool | None,
    unknown: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Fetches the values of picklists.

    OBJECT.FIELDs are followed from now on, all of an OBJECT's by its name alone; on a terminal, an ACCOUNT of which
    nothing is followed lets you choose. Without any, all that is followed is synchronised."""
    if names and (into or replaces is not None or unknown):
        raise click.UsageError("What is set of an enumeration is changed by: crosstie enumeration edit NAME")
    if names and (fields or account):
        raise click.UsageError("--name says which enumerations are synchronised; leave out the account and the fields.")
    with session.app() as app:
        if account and not fields and not app.enumerations.list(account):
            fields = tuple(_choose(app, account))
        if not fields and (into or replaces is not None or unknown):
            raise click.UsageError("--into, --replace, --keep and --unknown are for fields: ACCOUNT OBJECT.FIELD")
        if account and fields:
            from crosstie.app.enumerations import Unknown

            found = app.enumerations.follow(
                account,
                fields,
                into=into,
                replaces=replaces,
                on_unknown=Unknown(unknown) if unknown else None,
                dry_run=dry_run,
            )
        else:
            found = app.enumerations.sync(names, account=account or "", dry_run=dry_run)
    if as_json:
        emit_json([_synced(one) for one in found])
    elif not found:
        click.echo("No enumeration follows a CRM yet. What there is to choose: crosstie enumeration list ACCOUNT")
    else:
        for one in found:
            _say(one, dry_run=dry_run)
    if any(one.problem for one in found):
        raise Stopped(FAILED)


def _choose(app: App, account: str) -> Sequence[str]:
    found = app.enumerations.candidates(account)
    if not (found and sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError(
            f"Name the fields to follow, like: crosstie enumeration sync {account} Contact.LeadSource"
            f" (crosstie enumeration list {account} lists them; without names a terminal is needed to choose.)"
        )
    import questionary

    named = [f"{one.source.object}.{one.source.field}" for one in found]
    answer = questionary.checkbox(
        "Which lists of values? (type to search, space to choose, enter to go on)",
        choices=[
            questionary.Choice(f"{name}  {one.label}, {one.values} values", value=name)
            for name, one in zip(named, found, strict=True)
        ],
        use_search_filter=True,
        use_jk_keys=False,
    ).ask()
    if not answer:
        raise click.Abort
    return [str(name) for name in answer]


def _say(one: Synced, *, dry_run: bool) -> None:
    enumeration, changes = one.enumeration, one.changes
    if one.problem:
        click.echo(f"✗ {enumeration.name}: {one.problem}", err=True)
        return
    verb = "would be made" if dry_run else "made"
    told = f"{verb} with {len(enumeration.values)} values" if one.made else f"{len(enumeration.values)} values"
    follows = ", ".join(str(source) for source in enumeration.sources)
    click.echo(f"✓ {enumeration.name}: {told}, follows {follows}")
    if one.made:
        return
    if changes.empty:
        click.echo("  nothing changed")
    for mark, names in (("+", changes.added), ("~", changes.changed), ("-", changes.removed)):
        for name in names:
            value = enumeration.value(name)
            click.echo(f"  {mark} {name}{f' “{value.label}”' if value is not None else ''}")
    for name, rows in changes.kept:
        click.echo(f"  ! {name} is gone on the CRM, and {rows:,} rows here hold it: it stays, inactive")
    if changes.moved:
        click.echo("  the order is another one")


@enumeration.command("edit")
@click.argument("name")
@click.option("--create", is_flag=True, help="Make it, as an enumeration of your own, before it is edited.")
@click.option("--delete", is_flag=True, help="Remove it with its values; what rows hold stays.")
@click.option("--label", help="What people see instead of its name.")
@click.option("--add", multiple=True, metavar="VALUE=LABEL", help="A new value.")
@click.option("--relabel", multiple=True, metavar="VALUE=LABEL", help="Another label for a value.")
@click.option("--activate", multiple=True, metavar="VALUE", help="A value that may be chosen again.")
@click.option("--deactivate", multiple=True, metavar="VALUE", help="A value that is only there for old rows.")
@click.option("--remove", multiple=True, metavar="VALUE", help="A value to remove; refused when rows hold it.")
@click.option("--default", metavar="VALUE", help="The value of new rows; '' for none.")
@click.option("--first", multiple=True, metavar="VALUE", help="Values that come first, in this order.")
@click.option("--column", "columns", multiple=True, metavar="TABLE.COLUMN", help="A column of yours with its values.")
@click.option("--not-column", "without", multiple=True, metavar="TABLE.COLUMN", help="No longer such a column.")
@click.option("--unfollow", multiple=True, metavar="ACCOUNT.OBJECT.FIELD", help="A field that it no longer follows.")
@_settings
@json_option
@pass_session
def edit(
    session: Session,
    name: str,
    create: bool,
    delete: bool,
    label: str | None,
    add: tuple[str, ...],
    relabel: tuple[str, ...],
    activate: tuple[str, ...],
    deactivate: tuple[str, ...],
    remove: tuple[str, ...],
    default: str | None,
    first: tuple[str, ...],
    columns: tuple[str, ...],
    without: tuple[str, ...],
    unfollow: tuple[str, ...],
    replaces: bool | None,
    unknown: str | None,
    as_json: bool,
) -> None:
    """Changes the enumeration NAME: its values, their labels and order, and what synchronisation and imports do."""
    from crosstie.app.enumerations import Edit, Source, Unknown

    change = Edit(
        label=label,
        add=dict(_pair(one, "=", "VALUE=LABEL") for one in add),
        labels=dict(_pair(one, "=", "VALUE=LABEL") for one in relabel),
        activate=activate,
        deactivate=deactivate,
        remove=remove,
        default=default,
        order=first,
        replaces=replaces,
        on_unknown=Unknown(unknown) if unknown else None,
        columns=[_column(one) for one in columns],
        without_columns=[_column(one) for one in without],
        unfollow=[_source(one, Source) for one in unfollow],
    )
    with session.app() as app:
        if delete:
            app.enumerations.remove(name)
            click.echo(f"✓ enumeration {name} removed", err=as_json)
            return
        one = app.enumerations.edit(name, change, create=create)
    if as_json:
        emit_json(_facts(one))
    else:
        click.echo(f"✓ {one.name}: {len(one.values)} values")


def _pair(text: str, separator: str, form: str) -> tuple[str, str]:
    left, found, right = text.partition(separator)
    if not (left and found and right):
        raise click.UsageError(f"“{text}” has not the form {form}.")
    return left, right


def _column(text: str) -> tuple[str, str]:
    column, found, place = text[::-1].partition(".")
    if not (column and found and place):
        raise click.UsageError(f"“{text}” has not the form TABLE.COLUMN.")
    return place[::-1], column[::-1]


def _source(text: str, make: Callable[..., Any]) -> Any:
    parts = text.split(".")
    if len(parts) != 3:
        raise click.UsageError(f"“{text}” has not the form ACCOUNT.OBJECT.FIELD.")
    return make(account=parts[0], object=parts[1], field=parts[2])


def _facts(one: Enumeration) -> dict[str, object]:
    return {
        "name": one.name,
        "label": one.label,
        "replaces": one.replaces,
        "unknown": one.on_unknown.value,
        "follows": [{"account": it.account, "object": it.object, "field": it.field} for it in one.sources],
        "columns": [{"table": place, "column": column} for place, column in one.columns],
        "synced_at": one.synced_at,
        "values": [
            {
                "value": value.name,
                "label": value.label,
                "active": value.active,
                "default": value.default,
                "labels": dict(value.labels),
                "valid_for": list(value.valid_for),
            }
            for value in one.values
        ],
    }


def _synced(one: Synced) -> dict[str, object]:
    changes = one.changes
    return {
        "enumeration": one.enumeration.name,
        "made": one.made,
        "problem": one.problem,
        "added": list(changes.added),
        "changed": list(changes.changed),
        "removed": list(changes.removed),
        "kept_inactive": [{"value": value, "rows": rows} for value, rows in changes.kept],
        "moved": changes.moved,
        "values": len(one.enumeration.values),
    }
