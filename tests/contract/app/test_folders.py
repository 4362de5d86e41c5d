"""A folder of workflow files and the database, kept in step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstie import App
from crosstie.app.folders import Standing
from crosstie.cli import commands
from crosstie.cli.failures import Stopped
from crosstie.cli.session import Session
from crosstie.db import open_database
from crosstie.errors import BrakeError, ConfigError

TABLE = "create table visitor (id integer primary key, name text)"
TEXT = """\
workflow: {name}
# a remark that stays
activities:
  everybody: {{type: query, from: visitor{more}}}
"""


def text(name: str, more: str = "") -> str:
    return TEXT.format(name=name, more=more)


@pytest.fixture
def app(tmp_path: Path, database_url: str) -> Iterator[App]:
    project = tmp_path / "project"
    project.mkdir()
    (project / "crosstie.toml").write_text("", encoding="utf-8")
    open_database(database_url).close()
    with App.open(project, database=database_url) as app:
        with app.db.transaction("people") as transaction:
            transaction.execute(TABLE)
        yield app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two workflow files, and something else."""
    folder = tmp_path / "workflows"
    folder.mkdir()
    (folder / "one.yaml").write_text(text("one"), encoding="utf-8")
    (folder / "two.yml").write_text(text("two"), encoding="utf-8")
    (folder / "notes.txt").write_text("no workflow", encoding="utf-8")
    return folder


def standings(app: App, folder: Path) -> dict[str, Standing]:
    return {one.workflow: one.standing for one in app.folders.compare(folder)}


def versions(app: App) -> dict[str, int]:
    return {one.workflow: one.version for one in app.workflows.list()}


def test_it_says_what_is_new_changed_and_only_in_the_database(app: App, folder: Path) -> None:
    app.workflows.save(text("third"), "console")
    assert standings(app, folder) == {
        "one": Standing.NEW,
        "two": Standing.NEW,
        "third": Standing.ONLY_IN_DATABASE,
    }

    app.folders.apply(folder)
    (folder / "two.yml").write_text(text("two", ", limit: 5"), encoding="utf-8")

    assert standings(app, folder) == {
        "one": Standing.SAME,
        "two": Standing.CHANGED,
        "third": Standing.ONLY_IN_DATABASE,
    }
    (two,) = [one for one in app.folders.compare(folder) if one.workflow == "two"]
    assert "-  everybody: {type: query, from: visitor}" in two.difference
    assert "+  everybody: {type: query, from: visitor, limit: 5}" in two.difference
    app.folders.apply(folder)
    assert versions(app) == {"one": 1, "two": 2, "third": 1}
    assert [one.changed for one in app.folders.apply(folder)] == [False, False]


def test_all_are_applied_or_none_and_every_mistake_is_told(app: App, folder: Path) -> None:
    (folder / "bad.yaml").write_text(text("bad", ", limit: few"), encoding="utf-8")
    (folder / "worse.yaml").write_text(text("worse", ", order_by: id"), encoding="utf-8")
    (folder / "again.yaml").write_text(text("two"), encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        app.folders.apply(folder)

    for told in ("bad.yaml:4", "worse.yaml:4", "two.yml: workflow two is defined in again.yaml already"):
        assert told in caught.value.message
    assert versions(app) == {}


def test_an_edit_made_elsewhere_is_not_undone(app: App, folder: Path) -> None:
    app.folders.apply(folder)
    app.workflows.save(text("two", ", limit: 7"), "console")
    (folder / "one.yaml").write_text(text("one", ", limit: 1"), encoding="utf-8")
    assert standings(app, folder) == {"one": Standing.CHANGED, "two": Standing.BEHIND}

    with pytest.raises(
        BrakeError, match=r"(?s)two\.yml is behind.*-  everybody: \{type: query, from: visitor, limit: 7\}"
    ) as told:
        app.folders.apply(folder)
    with pytest.raises(BrakeError):
        app.workflows.apply(folder / "two.yml")

    assert "from console" in told.value.message
    assert versions(app) == {"one": 1, "two": 2}
    app.folders.apply(folder, force=True)
    assert app.workflows.get("two").text == text("two")
    assert versions(app) == {"one": 2, "two": 3}


def test_an_edit_of_the_console_goes_into_the_file_and_on_from_there(app: App, folder: Path) -> None:
    app.folders.apply(folder)
    app.workflows.save(text("two", ", limit: 7"), "console")

    exported = app.folders.export(folder, ["two"])

    assert [(one.file.name, one.changed) for one in exported] == [("two.yml", True)]
    assert (folder / "two.yml").read_text(encoding="utf-8") == text("two", ", limit: 7")
    assert standings(app, folder) == {"one": Standing.SAME, "two": Standing.SAME}
    (folder / "two.yml").write_text(text("two", ", limit: 8"), encoding="utf-8")
    app.folders.apply(folder)
    assert app.workflows.get("two").text == text("two", ", limit: 8")


def test_an_old_copy_elsewhere_does_not_undo_what_replaced_it(app: App, folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.yaml"
    copy.write_text(text("one"), encoding="utf-8")
    app.folders.apply(folder)
    (folder / "one.yaml").write_text(text("one", ", limit: 1"), encoding="utf-8")
    app.folders.apply(folder)

    with pytest.raises(BrakeError, match="behind"):
        app.workflows.apply(copy)
    copy.write_text(text("one", ", limit: 2"), encoding="utf-8")

    assert app.workflows.apply(copy).version == 3
    (folder / "one.yaml").write_text(text("one"), encoding="utf-8")
    with pytest.raises(BrakeError, match="behind"):
        app.folders.apply(folder)


def test_export_writes_what_is_missing_and_overwrites_nothing_new(app: App, folder: Path, tmp_path: Path) -> None:
    app.folders.apply(folder)
    other = tmp_path / "other"

    assert sorted(one.file.name for one in app.folders.export(other)) == ["one.yaml", "two.yaml"]
    assert (other / "one.yaml").read_text(encoding="utf-8") == text("one")
    assert [one.changed for one in app.folders.export(other)] == [False, False]
    (other / "one.yaml").write_text(text("one", ", limit: 3"), encoding="utf-8")
    with pytest.raises(BrakeError, match=r"one\.yaml was never applied"):
        app.folders.export(other)
    app.folders.export(other, force=True)

    assert (other / "one.yaml").read_text(encoding="utf-8") == text("one")
    with pytest.raises(ConfigError, match="no workflow nobody"):
        app.folders.export(other, ["nobody"])


def test_the_commands_say_so(
    app: App, folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROSSTIE_DATABASE", database_url)

    def crosstie(*arguments: str) -> str:
        commands.main(
            ["--project", str(app.config.project), "workflow", *arguments], standalone_mode=False, obj=Session()
        )
        return capsys.readouterr().out

    with pytest.raises(Stopped) as stopped:
        crosstie("diff", str(folder))
    assert stopped.value.code == 3
    assert re.search(r"two +two\.yml +new", capsys.readouterr().out)
    assert crosstie("apply", str(folder)) == "✓ one version 1\n✓ two version 1\n"
    assert re.search(r"one +one\.yaml +1 +same", crosstie("diff", str(folder)))
    app.workflows.save(text("third"), "console")
    assert "! third has no file" in crosstie("apply", str(folder))
    assert "✓ " in crosstie("export", str(folder), "third")
    assert '"changed": false' in crosstie("export", str(folder), "third", "--json")


def test_schedules_of_the_past_are_warned_of_before_a_start(
    app: App, tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CROSSTIE_DATABASE", database_url)
    (tmp_path / "late.yaml").write_text(
        "workflow: late\nactivities:\n  launch: {type: scheduler, once: 2020-01-01 08:00, next: []}\n"
        '  trial: {type: scheduler, at: "08:00", until: 2020-02-01, next: []}\n'
        '  daily: {type: scheduler, at: "08:00"}\n',
        encoding="utf-8",
    )
    for command in ("validate", "apply"):
        commands.main(
            ["--project", str(app.config.project), "workflow", command, str(tmp_path / "late.yaml")],
            standalone_mode=False,
            obj=Session(),
        )
        assert capsys.readouterr().err.splitlines() == [
            f"! {name}: It never fires: all its times lie in the past." for name in ("launch", "trial")
        ]


def test_a_folder_without_workflows_is_a_mistake(app: App, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        app.folders.apply(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="no workflow file"):
        app.folders.apply(tmp_path / "project")


CALLER = "workflow: {name}\nactivities:\n  part: {{type: sub_workflow, workflow: {called}}}\n"


def test_new_workflows_of_a_folder_may_run_one_another(app: App, folder: Path) -> None:
    (folder / "all.yaml").write_text(CALLER.format(name="all", called="one"), encoding="utf-8")
    app.folders.apply(folder)
    assert versions(app) == {"all": 1, "one": 1, "two": 1}


def test_new_workflows_that_would_run_one_another_without_end_are_refused(app: App, folder: Path) -> None:
    (folder / "here.yaml").write_text(CALLER.format(name="here", called="there"), encoding="utf-8")
    (folder / "there.yaml").write_text(CALLER.format(name="there", called="here"), encoding="utf-8")
    with pytest.raises(ConfigError, match="here → there → here"):
        app.folders.apply(folder)
    assert versions(app) == {}
