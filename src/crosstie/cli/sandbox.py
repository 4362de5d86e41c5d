"""`crosstie sandbox`: local CRMs to try things with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from crosstie.errors import ConfigError


@click.group()
def sandbox() -> None:
    """CRMs on this machine, with made-up data."""


@sandbox.command()
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where its data, certificates and sandbox.json are kept. A second start finds the same data.",
)
@click.option("--records", type=click.IntRange(0), default=1000, show_default=True, help="Contacts to begin with.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="The first CRM's port on 127.0.0.1. By default a free one."
)
@click.option("--crm", "crms", multiple=True, metavar="KIND", help="Serve only this one. Can be given again.")
def start(state: Path, records: int, port: int, crms: tuple[str, ...]) -> None:
    """Serves the sandboxes on https until Ctrl-C.

    DIR/sandbox.json says how to reach them: the certificate authority's file, the addresses and credentials."""
    from crosstie.sandbox import SANDBOXES, StateInUse
    from crosstie.sandbox import start as serve

    unknown = [name for name in crms if name not in SANDBOXES]
    if unknown:
        raise ConfigError(f"There is no sandbox of {', '.join(unknown)}.", hint=f"There are: {', '.join(SANDBOXES)}.")
    chosen = tuple(dict.fromkeys(crms)) or tuple(SANDBOXES)

    def ready(info: Mapping[str, Any]) -> None:
        for name in chosen:
            click.echo(f"The {name} sandbox is on {info[name]['control_url'].removesuffix('/control')}")
        click.echo(f"How to reach it: {state / 'sandbox.json'}. Stop it with Ctrl-C.")

    try:
        serve(state, records=records, port=port, crms=chosen, ready=ready)
    except StateInUse as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(
            f"The sandbox cannot start on {state}: {error.strerror or error}",
            hint="Is the port taken, or the folder not writable? Choose others by --port and --state.",
        ) from error
    except KeyboardInterrupt:
        click.echo("Stopped; the data stays.")
