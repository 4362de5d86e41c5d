"""Keeping a folder of workflow files and the database in step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from crosstie.app.schemas import Draft
from crosstie.app.versions import Version, difference, is_superseded, newest_versions, read_file, was_version
from crosstie.app.workflows import Applied, Workflows
from crosstie.db.audit import record
from crosstie.db.database import Database
from crosstie.errors import BrakeError, ConfigError, CrosstieError
from crosstie.workflow.clock import Clock
from crosstie.workflow.definition import Definition, workflow_name

_SUFFIXES = (".yaml", ".yml")


class Standing(StrEnum):
    """How a workflow's file and its newest version stand to one another."""

    NEW = "new"
    CHANGED = "changed"
    SAME = "same"
    BEHIND = "behind"
    ONLY_IN_DATABASE = "only in the database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One workflow. `behind`: the database has an edit that the file never had. `difference` is what applying the file
    would change, as a unified diff. `file` and `version` are missing where there is none."""

    workflow: str
    standing: Standing
    file: Path | None = None
    version: int | None = None
    source: str = ""
    difference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """A workflow that was written into a folder. `changed` is False when the file had that text already."""

    workflow: str
    version: int
    file: Path
    changed: bool


class Folders:
    """`app.folders`. Files are those named *.yaml and *.yml in a folder, not those in folders within."""

    def __init__(self, db: Database, workflows: Workflows, clock: Clock) -> None:
        self._db = db
        self._workflows = workflows
        self._clock = clock

    def apply(self, folder: Path, *, force: bool = False) -> tuple[Applied, ...]:
        """Applies every file of a folder, or none when one of them has a mistake or is behind. Raises ConfigError with
        every mistake of every file, BrakeError where a file is behind, unless `force`. Deletes nothing."""
        read: list[tuple[Path, Definition]] = []
        mistakes: list[str] = []
        files = self._files(folder)
        drafts = dict(_drafts(files))
        for file in files:
            try:
                read.append((file, self._workflows.validate(file, beside=drafts)))
            except ConfigError as error:
                mistakes.append(str(error))
        mistakes += _doubles([(file, definition.name) for file, definition in read])
        if mistakes:
            raise ConfigError("\n".join(mistakes), hint="Nothing was applied.")
        return self._workflows.store(read, force=force)

    def compare(self, folder: Path) -> tuple[Compared, ...]:
        """How each workflow stands: those of the folder's files, and those that are only in the database. Raises
        ConfigError where a file is no workflow at all; what else is wrong in it says `apply`."""
        named = self._named(folder)
        with self._db.reading() as transaction:
            newest = {one.workflow: one for one in newest_versions(transaction)}
            found = []
            for name, (file, text) in named.items():
                version = newest.get(name)
                if version is None:
                    found.append(Compared(workflow=name, standing=Standing.NEW, file=file))
                    continue
                behind = version.text != text and is_superseded(transaction, version, file, text)
                found.append(_compared(version, file, text, behind=behind))
        found += [
            Compared(workflow=one.workflow, standing=Standing.ONLY_IN_DATABASE, version=one.version, source=one.source)
            for one in newest.values()
            if one.workflow not in named
        ]
        return tuple(sorted(found, key=lambda one: one.workflow))

    def export(self, folder: Path, names: Sequence[str] = (), *, force: bool = False) -> tuple[Exported, ...]:
        """Writes the newest version of each workflow, or of those named, into its file in a folder: the one that
        defines it, else NAME.yaml. Raises ConfigError for an unknown name, BrakeError where a file has a text that was
        never applied, unless `force`; nothing is written then."""
        chosen = [self._workflows.get(name) for name in names] or list(self._workflows.list())
        folder.mkdir(parents=True, exist_ok=True)
        named = self._named(folder)
        refused = []

        def place(version: Version) -> tuple[Path, str | None]:
            return named.get(version.workflow, (folder / f"{version.workflow}.yaml", None))

        with self._db.reading() as transaction:
            for version in chosen:
                file, text = place(version)
                if text is not None and not force and not was_version(transaction, version.workflow, text):
                    shown = difference(version, file, text)
                    refused.append(f"{file} was never applied as it is. Exporting would undo this:\n{shown}")
        if refused:
            raise BrakeError(
                "\n".join(refused),
                hint="Nothing was written. Apply the file first: crosstie workflow apply. Or overwrite it: --force",
            )
        return tuple(self._write(version, *place(version)) for version in chosen)

    def _write(self, version: Version, file: Path, text: str | None) -> Exported:
        if text != version.text:
            try:
                file.write_text(version.text, encoding="utf-8", newline="")
            except OSError as error:
                raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
        if not version.is_of_file():
            self._attach(version, file)
        return Exported(workflow=version.workflow, version=version.version, file=file, changed=text != version.text)

    def _attach(self, version: Version, file: Path) -> None:
        """From now on that version is the file's: what is changed in the file has seen it."""
        source = str(file.resolve())
        with self._db.transaction(f"{version.workflow} is exported") as transaction:
            transaction.execute(
                "update crosstie.workflow_version set source = :source where workflow = :name and version = :version",
                {"source": source, "name": version.workflow, "version": version.version},
            )
            thing = f"workflow {version.workflow} version {version.version}"
            record(transaction, self._clock.now(), "export", thing, version.source, source)

    def _files(self, folder: Path) -> list[Path]:
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder.")
        files = sorted(one for one in folder.iterdir() if one.suffix in _SUFFIXES and one.is_file())
        if not files:
            raise ConfigError(f"There is no workflow file in {folder}.", hint="They are named *.yaml or *.yml.")
        return files

    def _named(self, folder: Path) -> dict[str, tuple[Path, str]]:
        """File and text by the name that each file gives its workflow; none where there is no file."""
        read: dict[str, tuple[Path, str]] = {}
        mistakes: list[str] = []
        named: list[tuple[Path, str]] = []
        files = sorted(folder.iterdir()) if folder.is_dir() else self._files(folder)
        for file in files:
            if file.suffix not in _SUFFIXES or not file.is_file():
                continue
            try:
                text = read_file(file)
                name = workflow_name(str(file), text)
            except CrosstieError as error:
                mistakes.append(str(error))
                continue
            named.append((file, name))
            read.setdefault(name, (file, text))
        mistakes += _doubles(named)
        if mistakes:
            raise ConfigError("\n".join(mistakes))
        return read


def _drafts(files: Sequence[Path]) -> Iterator[tuple[str, Draft]]:
    """The texts of the files that are workflows, by name: one may run another."""
    for file in files:
        try:
            text = read_file(file)
            yield workflow_name(str(file), text), Draft(str(file), text)
        except ConfigError:
            continue  # told when the file itself is validated


def _doubles(named: Sequence[tuple[Path, str]]) -> list[str]:
    """What is said where two files define one workflow."""
    first: dict[str, Path] = {}
    return [
        f"{file}: workflow {name} is defined in {first[name].name} already."
        for file, name in named
        if first.setdefault(name, file) != file
    ]


def _compared(version: Version, file: Path, text: str, *, behind: bool) -> Compared:
    same = version.text == text
    return Compared(
        workflow=version.workflow,
        standing=Standing.SAME if same else Standing.BEHIND if behind else Standing.CHANGED,
        file=file,
        version=version.version,
        source=version.source,
        difference="" if same else difference(version, file, text),
    )
