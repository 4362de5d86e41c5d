"""Columns that follow from others: names, addresses in one piece, amounts in the organization's own currency."""

import sqlite3
from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from typing import Any

from crosstie.sandbox.dynamics.errors import ApiError
from crosstie.sandbox.dynamics.generate import EURO_ID
from crosstie.sandbox.dynamics.table import AttributeType, Table

_CENT = Decimal("0.0001")


def derived(connection: sqlite3.Connection, table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """What the columns that nobody writes must be, given all the others of a record."""
    found: dict[str, Any] = {}
    if "fullname" in table.attributes and "middlename" in table.attributes:
        names = (values.get("firstname"), values.get("middlename"), values.get("lastname"))
        found["fullname"] = " ".join(name for name in names if name) or None
    for number in (1, 2):
        if f"address{number}_composite" in table.attributes:
            found[f"address{number}_composite"] = _composite(f"address{number}_", values)
    if table.logical_name == "contact":
        is_account = values.get("parentcustomerid__type") == "account"
        found["accountid"] = values.get("parentcustomerid") if is_account else None
        found["parentcontactid"] = None if is_account else values.get("parentcustomerid")
    return found | _amounts(connection, table, values)


def _composite(stem: str, values: Mapping[str, Any]) -> str | None:
    def part(name: str) -> str:
        return values.get(stem + name) or ""

    place = ", ".join(one for one in (part("city"), f"{part('stateorprovince')} {part('postalcode')}".strip()) if one)
    lines = (part("line1"), part("line2"), part("line3"), place, part("country"))
    return "\r\n".join(line for line in lines if line)[:1000] or None


def _amounts(connection: sqlite3.Connection, table: Table, values: Mapping[str, Any]) -> dict[str, Any]:
    """The `_base` of each amount. A record with an amount and no currency gets the organization's own."""
    amounts = _amounts_of(table)
    if not amounts:
        return {}
    currency = values.get("transactioncurrencyid")
    if currency is None and not any(values.get(name) is not None for name in amounts):
        return dict.fromkeys(("exchangerate", *(f"{name}_base" for name in amounts)))
    currency = currency or EURO_ID
    row = connection.execute(
        "SELECT exchangerate FROM transactioncurrency WHERE transactioncurrencyid = ?", (currency,)
    ).fetchone()
    rate = Decimal(row[0])
    bases = {f"{name}_base": _base(values.get(name), rate) for name in amounts}
    return {"transactioncurrencyid": currency, "exchangerate": row[0], **bases}


@cache
def _amounts_of(table: Table) -> tuple[str, ...]:
    columns = table.attributes
    return tuple(name for name, one in columns.items() if one.type is AttributeType.MONEY and f"{name}_base" in columns)


def _base(amount: str | None, rate: Decimal) -> str | None:
    if amount is None:
        return None
    return f"{(Decimal(amount) / rate).quantize(_CENT, rounding=ROUND_HALF_UP):f}"


def settled_state(table: Table, given: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """statecode and statuscode after a write that gives some of them. Raises ApiError when they don't belong together.

    A state without a status takes its default; a status alone must belong to the state that the record has.
    """
    if "statecode" not in table.attributes or not {"statecode", "statuscode"} & set(given):
        return {}
    states = {one.value: one for one in table.attributes["statecode"].options}
    statuses = {one.value: one for one in table.attributes["statuscode"].options}
    state: int = given["statecode"] if "statecode" in given else current["statecode"]
    status: Any = given.get("statuscode")
    if status is None:
        moved = "statecode" in given and given["statecode"] != current.get("statecode")
        status = states[state].default_status if moved or "statuscode" in given else current.get("statuscode")
    if statuses[status].state != state:
        raise ApiError(
            400,
            "0x80048408",
            f"{status} is not a valid status code for state code {table.schema_name}State.{states[state].label}"
            f" on {table.logical_name}.",
        )
    return {"statecode": state, "statuscode": status}
