"""Filling a new field for the rows that are there already, without moving any index: a workflow of its own."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from crosstie.errors import ConfigError
from crosstie.model import Table
from crosstie.schema.store import Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """Which field goes into which column of which table, whose column `key` holds the remote ids."""

    schema: Schema
    field: str
    into: str
    key: str
    column: str

    @property
    def name(self) -> str:
        """The workflow's name."""
        return re.sub(r"[^A-Za-z0-9_-]", "-", f"backfill-{self.into}-{self.column}".lower())

    def definition(self) -> str:
        """Asks the CRM for the records whose column is empty here, and writes that column only."""
        remote = self.schema.object
        return f"""\
# Fills {self.into}.{self.column} for rows that are there already. No index moves. Written by crosstie schema backfill.
workflow: {self.name}
label: {_text(f"Backfill of {self.column} in {self.into}")}

activities:
  rows:
    type: query
    from: {_text(self.into)}
    where: {_text(f"{_name(self.column)} is null and {_name(self.key)} is not null")}
    add: {{remote_id: {_text(_name(self.key))}}}

  read:
    type: crm_import
    account: {self.schema.account}
    object: {_text(remote.name)}
    fields: [{_text(self.field)}]
    population: {{ids: remote_id}}

  write:
    type: update_data
    into: {_text(self.into)}
    operation: update
    identify: {{{_text(_name(remote.key))}: {_text(_name(self.key))}}}
    set:
      {_text(self.column)}: {{from: {_text(_name(self.field))}, empty: keep}}
"""


def plan_backfill(schema: Schema, field: str, table: Table | None, key: str, column: str, into: str) -> Backfill:
    """Settles what is meant. Raises ConfigError for a field, table or column that is not there."""
    remote = schema.object
    known = remote.field(field)
    if known is None:
        raise ConfigError(
            f"{remote.name} of {schema.account} has no field {field}, as far as it was collected.",
            hint=f"Is it new? Take it over first: crosstie schema refresh {schema.account} {remote.name}",
        )
    if table is None:
        raise ConfigError(f"There is no table {into}.", hint="Say which one: --into TABLE")
    own = table.name.lower() == schema.table.lower()
    names = {"key": key or (remote.key.lower() if own else ""), "column": column or known.name.lower()}
    found = {}
    for option, name in names.items():
        there = table.column(name) if name else None
        if there is None:
            said = f"has no column {name}" if name else "is yours: which of its columns has the remote ids is not known"
            raise ConfigError(
                f"Table {table.name} {said}.",
                hint=f"Say which: --{option} COLUMN. It has {', '.join(one.name for one in table.columns)}.",
            )
        found[option] = there.name
    return Backfill(schema=schema, field=known.name, into=table.name, key=found["key"], column=found["column"])


def _name(name: str) -> str:
    """A column in an expression."""
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
