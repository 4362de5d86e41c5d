"""Every command, option, activity, key and configuration key is documented."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from tests.documentation import DOCS, page_of, with_tables

from crosstie.activities import ACTIVITIES
from crosstie.cli import commands
from crosstie.config import ConfigFile
from crosstie.workflow.activity import Activity


def leaves(group: click.Group, path: str = "crosstie") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from leaves(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(leaves(commands))
SETTING_AN_ACCOUNT = ("crosstie account edit", "crosstie setup")
COMMON = set(Activity.model_fields)


def sections(page: Path) -> dict[str, str]:
    """The text below each third-level heading."""
    parts = re.split(r"^### (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("path", COMMANDS)
def test_command_is_documented_with_its_options(path: str) -> None:
    command = COMMANDS[path]
    documented = sections(DOCS / "commands.md")

    assert path in documented
    names = [
        name
        for parameter in command.get_params(click.Context(command))
        if isinstance(parameter, click.Option)
        for name in parameter.opts
        if name.startswith("--") and name not in ("--json", "--help")
    ]
    text = documented[path] + (documented["crosstie account add"] if path in SETTING_AN_ACCOUNT else "")
    assert [name for name in names if name not in text] == []


def test_no_command_is_documented_that_does_not_exist() -> None:
    assert sorted(sections(DOCS / "commands.md")) == sorted(COMMANDS)


@pytest.mark.parametrize("kind", ACTIVITIES)
def test_activity_is_documented_with_its_keys(kind: str) -> None:
    page = DOCS / "activities" / f"{kind.replace('_', '-')}.md"

    text = page.read_text(encoding="utf-8")
    own = set(ACTIVITIES[kind].model_fields) - set(Activity.model_fields)
    keys = [field.alias or name for name, field in ACTIVITIES[kind].model_fields.items() if name in own]
    assert [key for key in keys if f"`{key}`" not in text and f"`{key}:" not in text and f"{key}:" not in text] == []


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_tables_of_keys_are_as_validation_knows_them(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    assert with_tables(text) == text, "make docs writes the tables anew"


@pytest.mark.parametrize("kind", [kind for kind, one in ACTIVITIES.items() if set(one.model_fields) != COMMON])
def test_activity_has_a_table_of_its_keys(kind: str) -> None:
    assert f"<!-- keys of {kind} -->" in page_of(kind).read_text(encoding="utf-8")


def test_the_keys_of_every_workflow_and_activity_have_tables_and_who_overlaps_is_named() -> None:
    text = (DOCS / "workflows.md").read_text(encoding="utf-8")

    assert "<!-- keys of workflow -->" in text
    assert "<!-- keys of activity -->" in text
    named = re.search(r"`allow` for those that only lead on or wait: ([^.]+)\.", text)
    assert named is not None
    overlapping = {kind for kind, one in ACTIVITIES.items() if one.default_overlap == "allow"}
    assert set(re.findall(r"`(\w+)`", named[1])) == overlapping


@pytest.mark.parametrize("key", ConfigFile.model_fields)
def test_configuration_key_is_documented(key: str) -> None:
    assert f"`{key}`" in (DOCS / "configuration.md").read_text(encoding="utf-8")


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*DOCS.rglob("*.md"), DOCS.parent / "README.md"]
    broken = [
        f"{page.name}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []
