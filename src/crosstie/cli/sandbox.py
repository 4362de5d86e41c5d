"""`crosstie sandbox`: local CRMs to try things with."""

from __future__ import annotations

from pathlib import Path

import click


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
    """Serves the sandbox on https in the foreground until Ctrl-C.

    DIR/sandbox.json says how to reach it: the certificate authority's file, the addresses and credentials."""
    from crosstie import sandbox as local

    local.start(state, records=records, port=port)
