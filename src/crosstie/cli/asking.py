"""Questions to a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import questionary


def choose(title: str, choices: Sequence[questionary.Choice], none: str) -> tuple[str, ...]:
    """Lets a person mark several of a list that can be searched by typing; at least one, else `none` is said. Raises
    KeyboardInterrupt on Ctrl-C."""
    import questionary

    while True:
        answer = questionary.checkbox(
            f"{title} (type to search, space to mark, enter to go on)",
            choices=list(choices),
            use_search_filter=True,
            use_jk_keys=False,
            instruction=" ",
        ).unsafe_ask()
        if answer:
            return tuple(str(one) for one in answer)
        click.echo(none)
