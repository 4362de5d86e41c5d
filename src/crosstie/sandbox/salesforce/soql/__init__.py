"""SOQL as Salesforce answers it: read a query, compile it to SQLite, render its records.

Source of the language: SOQL and SOSL Reference; of the answers: REST API guide, "Query".
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from zoneinfo import ZoneInfo

from crosstie.sandbox.folding import fold
from crosstie.sandbox.salesforce.catalog import Catalog
from crosstie.sandbox.salesforce.soql.compiler import QueryCompiler
from crosstie.sandbox.salesforce.soql.errors import SoqlError
from crosstie.sandbox.salesforce.soql.functions import double_text, register
from crosstie.sandbox.salesforce.soql.layout import SelectItem
from crosstie.sandbox.salesforce.soql.parser import parse
from crosstie.sandbox.salesforce.soql.result import Result
from crosstie.sandbox.salesforce.soql.scope import Context

__all__ = ["MAX_GROUPS", "Result", "SelectItem", "SoqlError", "double_text", "fold", "register", "run"]

MAX_GROUPS = 2_000


def run(
    connection: sqlite3.Connection,
    catalog: Catalog,
    text: str,
    *,
    now: datetime,
    user_zone: ZoneInfo,
    include_deleted: bool = False,
    bulk: bool = False,
) -> Result:
    """Compile a query and make it ready to be read from `connection`, which gets the functions it needs.

    `now` (aware) and `user_zone` decide what TODAY and the other date literals mean. `include_deleted` is queryAll:
    like ALL ROWS in the query, it reaches child subqueries and semi-joins too. `bulk` is a Bulk API 2.0 query job.
    The groups of a grouped query are read at once (at most 2,000 are allowed), everything else when it is asked for.
    Raises SoqlError with Salesforce's code and message.
    """
    query = parse(text)
    context = Context(
        text=text,
        catalog=catalog,
        now=now,
        user_zone=user_zone,
        include_deleted=include_deleted or query.all_rows,
        bulk=bulk,
    )
    compiled = QueryCompiler.of_root(context, query).compiled()
    register(connection)
    result = Result(connection=connection, compiled=compiled)
    return result.with_groups(MAX_GROUPS) if result.grouped and not result.counting else result
