"""The command line: parse, call App, print. Heavy modules are imported where they are used."""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path
from typing import NoReturn

import click

from crosstie.cli import (
    account,
    control,
    enumeration,
    failures,
    journal,
    objects,
    options,
    plan,
    populations,
    project,
    reconcile,
    rejects,
    runs,
    sandbox,
    schema,
    serve,
    setup,
    status,
    workflow,
)
from crosstie.cli.records import Records
from crosstie.cli.session import Session

_HELP = """Keeps a marketing database and its CRM in step.

\b
Begin with:
  crosstie setup                      all of this, step by step
  crosstie init                       a project in this folder
  crosstie account add KIND           how to reach a CRM, by the kind that it is of
  crosstie collect KIND               choose the objects to work with
  crosstie run contacts.yaml          the first import

\b
Exit codes: 0 done, 1 failed, 2 a mistake in arguments, configuration or definition,
3 done with rejects, or differences found, 4 stopped by the brake or waiting for a person, 130 interrupted.
"""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--project",
    type=click.Path(path_type=Path),
    envvar="CROSSTIE_PROJECT",
    metavar="DIR",
    help="The folder with crosstie.toml. By default the nearest one from here upward.",
)
@click.version_option(package_name="crosstie", message="crosstie %(version)s")
@click.pass_context
def commands(context: click.Context, project: Path | None) -> None:
    """The root of all commands."""
    context.obj.project = project


for _command in (
    setup.setup,
    project.init,
    project.adopt,
    sandbox.sandbox,
    account.account,
    objects.objects,
    objects.collect,
    schema.schema,
    enumeration.enumeration,
    workflow.workflow,
    runs.run,
    serve.serve,
    status.status,
    runs.log,
    reconcile.reconcile,
    rejects.rejects,
    journal.journal,
    plan.plan,
    options.option,
    populations.links,
    populations.query,
    populations.lists,
):
    commands.add_command(_command)

for _command in control.COMMANDS:
    workflow.workflow.add_command(_command)


def main(arguments: list[str] | None = None) -> None:
    """Runs one command line and ends the process with its exit code."""
    session = Session()
    logging.getLogger().addHandler(Records(session))
    try:
        code = commands.main(args=arguments, prog_name="crosstie", standalone_mode=False, obj=session)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place where all errors end
        code = failures.report(error, session.project, json_log=session.json_log)
    _end(code if isinstance(code, int) else 0)


def _end(code: int) -> NoReturn:
    """Ends the process. Threads that read from a CRM are left behind when a run ends early; the interpreter's own end
    would stop them in the midst of a library's C++, which aborts the process and hides the exit code."""
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
