"""`crosstie sandbox`: local CRMs to try things with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from crosstie.errors import ConfigError


@click.group()
def sandbox() -> None:
    """A Salesforce on this machine, with made-up data."""


@sandbox.command()
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Where its data, certificates and sandbox.json are kept. A second start finds the same data.",
)
@click.option("--records", type=click.IntRange(0), default=1000, show_default=True, help="Contacts to begin with.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port on 127.0.0.1. By default a free one.")
def start(state: Path, records: int, port: int) -> None:
    """Serves the sandbox on https until Ctrl-C.

    DIR/sandbox.json says how to reach it: the certificate authority's file, the addresses and credentials."""
    from crosstie.sandbox import StateInUse
    from crosstie.sandbox import start as serve

    def ready(info: Mapping[str, Any]) -> None:
        click.echo(f"Salesforce sandbox on {info['salesforce']['instance_url']}")
        click.echo(f"How to reach it: {state / 'sandbox.json'}. Stop it with Ctrl-C.")

    try:
        serve(state, records=records, port=port, ready=ready)
    except StateInUse as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(
            f"The sandbox cannot start on {state}: {error.strerror or error}",
            hint="Is the port taken, or the folder not writable? Choose others by --port and --state.",
        ) from error
    except KeyboardInterrupt:
        click.echo("Stopped; the data stays.")
