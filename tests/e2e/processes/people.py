"""Processes that work on a project beside its runners: a console that reads, and a clerk who changes things.

Started as `python people.py console|clerk FILE ACCOUNT` in the project's folder; ACCOUNT is JSON of an account's
settings. Each works in rounds until FILE is there, and then prints what it did as JSON. What goes wrong ends it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from crosstie.app import App

WORKFLOW = "contact-import"


def console(app: App, number: int, account: Mapping[str, object]) -> None:
    """Looks at everything, and keeps a read open for a while."""
    with app.db.reading() as transaction:
        before = transaction.rows("select count(*), max(id) from recipient")
        for run in app.runs.list():
            app.runs.tasks(run.id)
            app.runs.messages(run.id)
            app.runs.windows(run.id)
        app.rejects.list()
        app.options.list()
        app.workflows.list()
        app.accounts.list()
        app.schemas.list()
        time.sleep(0.4)
        assert transaction.rows("select count(*), max(id) from recipient") == before


def clerk(app: App, number: int, account: Mapping[str, object]) -> None:
    """Sets an option, dismisses rejects, applies a new version, adds an account and removes it."""
    app.options.set("NOTE", str(number))
    app.rejects.dismiss(workflow=WORKFLOW)
    file = Path("changed.yaml")
    text = Path("contacts.yaml").read_text(encoding="utf-8")
    file.write_text(f"# {number}\n{text}", encoding="utf-8")
    app.workflows.apply(file)
    app.accounts.add("other", "salesforce", account)
    app.accounts.remove("other")
    time.sleep(0.2)


def main() -> None:
    """Works until told to stop."""
    role, file, account = sys.argv[1:]
    rounds = 0
    while not Path(file).exists():
        with App.open() as app:
            {"console": console, "clerk": clerk}[role](app, rounds, json.loads(account))
        rounds += 1
    print(json.dumps({"rounds": rounds}))


if __name__ == "__main__":
    main()
