"""A project beside a Salesforce sandbox: tables of people's are exported, and a third party's client reads that."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
from simple_salesforce.api import Salesforce

from crosstie import App
from crosstie.workflow.runner import RunReport
from tests.sandboxes import Sandbox

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export says: how many rows of each kind, and the refused ones by key: (symbol, field, message)."""

    counts: Mapping[str, int]
    refused: dict[str, tuple[str, str, str]]


@dataclass(slots=True, kw_only=True)
class Desk:
    """Where exports are written and run."""

    app: App
    folder: Path
    sandbox: Sandbox

    def table(self, columns: str, *rows: str) -> str:
        """A new table with an integer key `id` beside those columns; its name. Rows are lists of SQL values."""
        name = f"source_{next(_numbers)}"
        self.sql(
            f"create table {name} (id integer primary key, {columns})",
            *(f"insert into {name} values ({number}, {row})" for number, row in enumerate(rows, 1)),
        )
        return name

    def sql(self, *statements: str) -> None:
        """Changes people's tables."""
        with self.app.db.transaction("people") as transaction:
            for statement in statements:
                transaction.execute(statement)

    def run(self, activities: dict[str, dict[str, Any]], **keys: Any) -> RunReport:
        """Runs a workflow of its own."""
        file = self.folder / "written.yaml"
        file.write_text(
            json.dumps({"workflow": f"w{next(_numbers)}", **keys, "activities": activities}), encoding="utf-8"
        )
        return self.app.workflows.run(file)

    def export(self, table: str, object: str, map: dict[str, Any], *, zone: str = "UTC", **keys: Any) -> Exported:
        """Exports all rows of a table."""
        add = [one.name for one in self.columns(table) if one.name != "id"]
        send = {"type": "crm_export", "account": "salesforce", "object": object, "map": map, **keys}
        report = self.run({"rows": {"type": "query", "from": table, "add": add}, "send": send}, time_zone=zone)
        return Exported(counts=report.counts["send"], refused=self.refused(report.run))

    def columns(self, table: str) -> Any:
        """The columns of a table as they are."""
        found = self.app.db.reflect(table)
        assert found is not None
        return found.columns

    def refused(self, run: int) -> dict[str, tuple[str, str, str]]:
        """The rejects of a run by the key of their row."""
        return {
            str(one.record["key of the row"]): (one.symbol, one.field, one.message)
            for one in self.app.rejects.list(run=run)
        }

    def soql(self, text: str) -> list[dict[str, Any]]:
        """What simple-salesforce reads, without its attributes."""
        session = requests.Session()
        session.trust_env = False
        session.verify = str(self.sandbox.ca_file)
        known = self.sandbox.salesforce
        client = Salesforce(session_id=known["access_token"], instance_url=known["instance_url"], session=session)
        with session:
            records = client.query_all(text)["records"]
        return [{key: value for key, value in one.items() if key != "attributes"} for one in records]
