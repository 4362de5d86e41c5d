"""Every activity has a page with an example, and what the example shows is what comes out, on both databases."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from crosstie.activities import ACTIVITIES
from tests.contract.activities.documented import DOCS, Block, example, staged, workflows
from tests.sandboxes import Sandbox, running_sandbox

PAGES = {page.stem: page for page in [*sorted(DOCS.glob("*.md")), DOCS.parent / "workflows.md"]}
WITH_EXAMPLE = [name for name, page in PAGES.items() if example(page)]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Brought up only where a page asks for it."""
    with running_sandbox(records=50) as sandbox:
        yield sandbox


@pytest.mark.parametrize("name", WITH_EXAMPLE)
def test_what_the_page_shows_comes_out(
    name: str, database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with staged(tmp_path / "project", database_url, lambda: request.getfixturevalue("sandbox")) as stage:
        stage.play(example(PAGES[name]))

    assert stage.asserted > 0


@pytest.mark.parametrize("kind", ACTIVITIES)
def test_every_activity_has_an_example_that_uses_it(kind: str) -> None:
    page = PAGES[kind.replace("_", "-")]

    assert any(re.search(rf"type: {kind}\b", text) for text in workflows(page))


def test_what_is_shown_wrongly_is_noticed(database_url: str, tmp_path: Path) -> None:
    told = Block(language="sql", text="create table one (a integer);\ninsert into one values (1);\n", lead="")
    with staged(tmp_path / "project", database_url, _no_sandbox) as stage:
        stage.play([told, Block(language="table", text="| a |\n| --- |\n| 1 |\n", lead="After it, `one` holds:")])
        for wrong in ("| 2 |", "| |", "| 1 |\n| 1 |"):
            with pytest.raises(AssertionError, match="`one` holds"):
                stage.play([Block(language="table", text=f"| a |\n| --- |\n{wrong}\n", lead="`one` holds:")])
        with pytest.raises(AssertionError, match="nothing says what to do"):
            stage.play([Block(language="table", text="| a |\n| --- |\n| 1 |\n", lead="Here is:")])


def _no_sandbox() -> Sandbox:
    raise AssertionError("it needs no sandbox")
