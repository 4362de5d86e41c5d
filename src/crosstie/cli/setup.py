"""`crosstie setup`: from nothing to a first import, step by step.

What is done is kept in the project as any command would keep it, so that the wizard can be left at any question: the
next time it goes on with the first step that is not done. Answers to questions of an unfinished step are kept in
`.crosstie/setup.json`, without secrets.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from crosstie.cli import failures
from crosstie.cli.draft import Draft
from crosstie.cli.output import emit_json, json_option
from crosstie.cli.session import Session, pass_session
from crosstie.cli.settings import WithSettings, secret_options
from crosstie.errors import ConfigError

if TYPE_CHECKING:
    from crosstie.app import App
    from crosstie.app.enumerations import Synced
    from crosstie.model import RemoteObject
    from crosstie.schema.store import Schema


Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What was said on the command line. `asking`: there is a person at a terminal; `yes`: who takes every proposal."""

    account: str | None
    kind: str | None
    settings: Mapping[str, Any]
    objects: tuple[str, ...]
    fields: Mapping[str, tuple[str, ...]]
    enumerations: bool | None
    run: bool | None
    asking: bool
    yes: bool

    @property
    def choosing(self) -> bool:
        """Whether proposals are shown to be changed."""
        return self.asking and not self.yes


@click.command(cls=WithSettings)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@click.option("--database", metavar="PATH_OR_URL", help="Where a new project keeps its data, see crosstie init.")
@click.option("--account", metavar="NAME", help="The account to work with; made if it is not there.")
@click.option("--kind", help="The kind of CRM of a new account.")
@click.option(
    "--sandbox", type=click.Path(path_type=Path), metavar="FILE", help="Take a new account from sandbox.json."
)
@click.option("--object", "objects", multiple=True, metavar="OBJECT", help="Collect this object. Can be repeated.")
@click.option(
    "--fields", multiple=True, metavar="OBJECT=FIELD,…", help="The fields of an object to import. Can be repeated."
)
@click.option("--enumerations/--no-enumerations", default=None, help="Synchronise the enumerations of those fields.")
@click.option("--run/--no-run", default=None, help="Run the first workflow when it is written.")
@click.option("--yes", is_flag=True, help="Take every proposal instead of asking.")
@secret_options
@json_option
@pass_session
def setup(
    session: Session,
    /,
    folder: Path | None,
    database: str | None,
    account: str | None,
    kind: str | None,
    sandbox: Path | None,
    objects: tuple[str, ...],
    fields: tuple[str, ...],
    enumerations: bool | None,
    run: bool | None,
    yes: bool,
    secrets_stdin: bool,
    secret_stdin: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Sets up a first import, step by step: project, account, check, tables, fields, enumerations, workflow, run.

    Can be left with Ctrl-C at any question and taken up by the same command: what was answered is not asked again.
    Every question has an option; without a terminal all that has no proposal has to be given so."""
    from crosstie.cli.setup_account import account_step, settings_given

    asking = sys.stdin.isatty() and sys.stdout.isatty() and not secrets_stdin and secret_stdin is None and not as_json
    wishes = Wishes(
        account=account,
        kind=kind,
        settings=settings_given(given, sandbox, kind, secrets_stdin, secret_stdin),
        objects=objects,
        fields=_fields(fields),
        enumerations=enumerations,
        run=run,
        asking=asking,
        yes=yes or not asking,
    )
    say = _quiet if as_json else _say
    _project(session, folder, database, say)
    written: list[Path] = []
    try:
        with session.app() as app:
            draft = Draft.read(app.config.state_folder / "setup.json")
            name = account_step(app, wishes, draft, say)
            schemas = _tables(app, wishes, draft, name, say)
            for schema in schemas:
                written.append(_workflow(app, wishes, draft, schema, say))
            draft.forget()
            applied = {one.source for one in app.workflows.list()}
        if as_json:
            emit_json({"account": name, "objects": [one.object.name for one in schemas], "files": [*map(str, written)]})
        else:
            _last_words(name, written)
    except (click.Abort, KeyboardInterrupt):
        click.echo(
            "\nLeft. What was done and answered is kept, except secrets; go on with the same command: crosstie setup",
            err=True,
        )
        raise failures.Stopped(failures.INTERRUPTED) from None
    _run(wishes, written, applied)


def _say(text: str) -> None:
    click.echo(text)


def _quiet(text: str) -> None:
    pass


def _fields(written: Sequence[str]) -> dict[str, tuple[str, ...]]:
    found = {}
    for one in written:
        name, equals, fields = one.partition("=")
        names = tuple(part.strip() for part in fields.split(",") if part.strip())
        if not equals or not names:
            raise click.UsageError(f"--fields is written OBJECT=FIELD,FIELD, not {one}.")
        found[name.strip().lower()] = names
    return found


def _project(session: Session, folder: Path | None, database: str | None, say: Say) -> None:
    """Finds the project, or makes one."""
    from crosstie.app import init_project
    from crosstie.config import find_project

    start = folder or session.project or Path.cwd()
    known = find_project(start)
    if known is not None and (folder is None or known == folder.resolve()) and database is None:
        session.project = known
        say(f"✓ project {known}")
        return
    made = init_project(start, database=database)
    session.project = made.project
    for thing in made.created:
        say(f"✓ {thing}")
    if made.created:
        say(f"  Keep {made.key_file} safe and apart from backups of the database: it opens the sealed secrets.")


def _tables(app: App, wishes: Wishes, draft: Draft, account: str, say: Say) -> tuple[Schema, ...]:
    """Chooses objects and makes their local tables. Those that were collected before are not asked for again."""
    known = app.schemas.names(account)
    chosen = tuple(wishes.objects) or tuple(draft.texts("objects"))
    if not chosen and not known:
        chosen = _choose_objects(app, wishes, account)
        draft.keep("objects", list(chosen))
    lowered = {name.lower() for name in known}
    missing = [name for name in chosen if name.lower() not in lowered]
    if missing:
        from crosstie.cli.objects import say_collected

        for one in app.schemas.collect(account, missing):
            say_collected(one, dry_run=False, say=say)
    wanted = [app.schemas.get(account, name) for name in (chosen or known)]
    if not chosen:  # some may have been collected for other ends than an import of their own
        imported = [one for one in wanted if _importing(app.config.project, one) is not None]
        wanted = imported or wanted
    for schema in wanted:
        if schema.object.name.lower() in lowered:
            say(f"✓ {schema.object.name}: table {schema.table}")
    return tuple(wanted)


def _choose_objects(app: App, wishes: Wishes, account: str) -> tuple[str, ...]:
    from crosstie.app.first_workflow import usual_objects

    found = app.schemas.remote(account)
    usual = usual_objects(one.name for one in found)
    if not wishes.choosing:
        if not usual:
            raise ConfigError(
                f"There is no proposal which of the {len(found):,} objects of {account} to begin with.",
                hint=f"Name them: crosstie setup --object NAME. All of them: crosstie objects {account}",
            )
        return usual[:1]
    import questionary

    from crosstie.cli.asking import choose

    click.echo(
        "\nWhich tables of the CRM are to be imported? Each gets a local table with all its fields; more can be added"
        " later."
    )
    counts = app.schemas.about(account, usual)
    first = [one for name in usual for one in found if one.name == name]
    rest = sorted((one for one in found if one.name not in usual), key=lambda one: one.label.casefold())
    width = max((len(one.label) for one in found), default=0)
    return choose(
        "Tables",
        [
            questionary.Choice(
                f"{one.label:<{width}}  {one.name}  {'custom' if one.custom else 'standard'}"
                + (f"  {counts[one.name]:,} records" if counts.get(one.name) is not None else ""),
                value=one.name,
                checked=one.name in usual[:1],
            )
            for one in (*first, *rest)
        ],
        "Choose at least one table: move with the arrows, mark with space.",
    )


def _workflow(app: App, wishes: Wishes, draft: Draft, schema: Schema, say: Say) -> Path:
    """Writes and validates the first workflow of an object, unless there is one that imports it."""
    from crosstie.app.first_workflow import first_workflow, workflow_name
    from crosstie.crm import kind_of

    folder = app.config.project
    there = _importing(folder, schema)
    if there is not None:
        aside = "; its fields are changed in the file" if schema.object.name.lower() in wishes.fields else ""
        say(f"✓ {there.name} imports {schema.object.name} already{aside}")
        return there
    chosen = _chosen_fields(wishes, draft, schema.object)
    _enumerations(app, wishes, schema, chosen, say)
    taken = {one.workflow for one in app.workflows.list()} | {one.stem for one in folder.glob("*.yaml")}
    name = workflow_name(schema, taken)
    crm = kind_of(app.accounts.get(schema.account).kind).label
    file = folder / f"{name}.yaml"
    _write(file, first_workflow(schema, name, crm, chosen))
    try:
        definition = app.workflows.validate(file)
    except ConfigError:
        file.unlink()
        raise
    say(f"✓ {file.name} is written and valid:")
    for line in definition.graph().splitlines():
        say(f"    {line}")
    if schema.object.safe_index:
        say(f"    automatic index: {schema.object.safe_index}, as recommended for {schema.object.name}")
    return file


def _importing(folder: Path, schema: Schema) -> Path | None:
    """The workflow file in the project that imports the object already."""
    from crosstie.app.schema_effects import imports

    for file in sorted(folder.glob("*.yaml")):
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue  # no file of ours
        if imports(text, schema):
            return file
    return None


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}", hint="Make the folder writable.") from error


def _chosen_fields(wishes: Wishes, draft: Draft, remote: RemoteObject) -> tuple[str, ...]:
    from crosstie.app.first_workflow import importable, usual_fields

    given = wishes.fields.get(remote.name.lower())
    if given is not None:
        unknown = [name for name in given if remote.field(name) is None]
        if unknown:
            raise ConfigError(
                f"{remote.name} has no field {', '.join(unknown)} that this user can see.",
                hint=f"All of them: crosstie schema show {remote.name}",
            )
        added = (remote.key.lower(), remote.safe_index.lower())
        return tuple(field.name for name in given if (field := remote.field(name)) and field.name.lower() not in added)
    usual = usual_fields(remote)
    if not wishes.choosing:
        return usual
    kept = f"fields of {remote.name}"
    if draft.texts(kept):
        return draft.texts(kept)
    import questionary

    from crosstie.cli.asking import choose

    fields = sorted(importable(remote), key=lambda field: field.name not in usual)
    width = max((len(field.label) for field in fields), default=0)
    click.echo(
        f"\nWhich fields of {remote.label} are to be imported? {remote.key}"
        f"{f' and {remote.safe_index}' if remote.safe_index else ''} are imported by themselves."
    )
    chosen = choose(
        f"Fields of {remote.name}",
        [
            questionary.Choice(
                f"{field.label:<{width}}  {field.name}  {field.type.value}",
                value=field.name,
                checked=field.name in usual,
            )
            for field in fields
        ],
        "Choose at least one field: move with the arrows, mark with space.",
    )
    draft.keep(kept, list(chosen))
    return chosen


def _enumerations(app: App, wishes: Wishes, schema: Schema, fields: Sequence[str], say: Say) -> None:
    """Has enumerations follow those fields that have a closed list of values."""
    name = schema.object.name
    lists = [field.name for one in fields if (field := schema.object.field(one)) is not None and field.values]
    if not lists:
        return
    wanted = wishes.enumerations
    if wanted is None:
        wanted = True
        if wishes.choosing:
            click.echo(
                f"\n{', '.join(lists)} can only hold listed values. An enumeration keeps the list here, in step with"
                " the CRM, so that unknown values are told."
            )
            wanted = click.confirm("Make enumerations of them?", default=True)
    if not wanted:
        return
    for one in app.enumerations.follow(schema.account, [f"{name}.{field}" for field in lists]):
        say(f"! {one.problem}" if one.problem else f"✓ enumeration {one.enumeration.name}: {_counted(one)}")


def _counted(synced: Synced) -> str:
    return f"{len(synced.enumeration.values):,} values"


def _last_words(account: str, written: Sequence[Path]) -> None:
    click.echo("")
    click.echo("Everything is set up.")
    for file in written:
        click.echo(f"  run it:             crosstie run {file.name}")
    click.echo(f"  another table:      crosstie setup --account {account} --object NAME")
    click.echo("  another CRM:        crosstie setup --account NAME --kind KIND")


def _run(wishes: Wishes, written: Sequence[Path], applied: Collection[str]) -> None:
    """Offers to run what never ran."""
    from crosstie.cli.runs import run

    for file in written:
        wanted = wishes.run
        if wanted is None and wishes.choosing and str(file.resolve()) not in applied:
            wanted = click.confirm(f"\nRun {file.name} now?", default=True)
        if wanted:
            click.get_current_context().invoke(run, target=str(file))
