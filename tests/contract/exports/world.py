"""A marketing database with people, and a CRM to which they are exported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crosstie.activities.crm_export import CrmExport
from crosstie.db.database import Database
from crosstie.model import ColumnType, RemoteObject, WorkTable
from crosstie.workflow.activity import Context
from tests.contract.activities.world import Tables, World, columns
from tests.contract.exports.crm import ACCOUNT, CONTACT, Crm

TABLE = (
    "create table recipient (id integer primary key, crm_id varchar(18), name varchar(80), email varchar(80),"
    " score numeric(18, 2), since date, code varchar(20), company varchar(20))"
)
PEOPLE = columns(
    id=ColumnType.INTEGER,
    crm_id=ColumnType.TEXT,
    name=ColumnType.TEXT,
    email=ColumnType.TEXT,
    code=ColumnType.TEXT,
    company=ColumnType.TEXT,
)


class Places(Tables):
    """Validation that knows one account and its objects."""

    def accounts(self) -> tuple[str, ...]:
        return ("salesforce",)

    def account_kind(self, name: str) -> str:
        return "salesforce"

    def collected(self, account: str) -> tuple[str, ...]:
        return ("Account", "Contact")

    def remote_object(self, account: str, name: str) -> RemoteObject | None:
        return {"Contact": CONTACT, "Account": ACCOUNT}.get(name)


class Exports(World):
    """The world of an export; `run_number` is the run in which activities are executed."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self.site = Places(db, self.site.folder)
        self.crm = Crm()
        self.sql(TABLE)
        self.run_number = 1

    def people(self, *rows: Sequence[object], dimension: str = "recipient") -> WorkTable:
        """A population of recipients: (id, crm_id, name, email, code, company), the last ones may be left out."""
        full = [(*row, *([None] * (len(PEOPLE) - len(row)))) for row in rows]
        return self.population(PEOPLE, full, key=("id",), dimension=dimension)

    def context(self, *inbound: WorkTable, **given: Any) -> Context:
        context = super().context(*inbound, **given)
        context.run = self.run_number
        context.connector = lambda name: self.crm.connector
        return context

    def plan_rows(self, *names: str) -> list[tuple[Any, ...]]:
        """Columns of the newest plan's rows, in their order."""
        ((table,),) = self.rows("select table_name from crosstie.plan order by id desc limit 1")
        return self.rows(f"select {', '.join(names)} from crosstie.{table} order by number")

    def ties(self) -> list[tuple[Any, ...]]:
        """Remote id and local key of every tie that leads to a row."""
        found = self.rows("select table_name from crosstie.tie")
        return sorted(
            row
            for (name,) in found
            for row in self.rows(f"select remote_id, local_key from crosstie.{name} where tombstone is null")
        )


def export(**keys: Any) -> CrmExport:
    given = {
        "type": "crm_export",
        "account": "salesforce",
        "object": "Contact",
        "key": {"Id": "crm_id"},
        "map": {"LastName": "name", "Email": "email"},
        "rejects": "refused",
    }
    return CrmExport.model_validate(given | keys)
