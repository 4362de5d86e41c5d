"""Stretches of time that conditions name by words: On, OnOrAfter, LastXDays and their like.

Source: "Web API Query Function Reference", "FetchXML condition operators" (Dataverse developer guide). Days are of
UTC, the zone of the sandbox's users.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from crosstie.sandbox.dynamics.odata.comparisons import TRUE, Column, compare
from crosstie.sandbox.dynamics.odata.errors import QueryError
from crosstie.sandbox.dynamics.odata.rules import Rules
from crosstie.sandbox.dynamics.odata.values import from_text
from crosstie.sandbox.dynamics.table import AttributeType
from crosstie.sandbox.fragments import Sql

_DAY = timedelta(days=1)
Bounds = tuple[datetime | None, datetime | None]
"""From the first, included, to the second, not included; None is open."""

WITHOUT_VALUE = {
    "Today": (0, 1),
    "Yesterday": (-1, 0),
    "Tomorrow": (1, 2),
    "Last7Days": (-7, 0),
    "Next7Days": (1, 8),
}
"""Days from the midnight that today began with. Last7Days goes on until now."""
WITH_NUMBER = ("LastXDays", "NextXDays", "LastXHours", "NextXHours", "OlderThanXDays", "OlderThanXHours")
WITH_DAY = ("On", "NotOn", "OnOrAfter", "OnOrBefore")


def period(column: Column, name: str, value: str | None, rules: Rules) -> Sql | None:
    """The condition of a function by its name in the Web API; None when it is not one of time.

    Raises QueryError for a value that does not fit, and for a column that holds no time.
    """
    if name not in WITHOUT_VALUE and name not in WITH_NUMBER and name not in WITH_DAY:
        return None
    if column.attribute.type is not AttributeType.DATE_TIME:
        raise QueryError(f"The operator '{name}' is not valid for the attribute '{column.attribute.logical_name}'.")
    if name in WITHOUT_VALUE:
        first, last = WITHOUT_VALUE[name]
        end = rules.now if name == "Last7Days" else rules.today + last * _DAY
        return _within(column, (rules.today + first * _DAY, end), rules)
    if name in WITH_NUMBER:
        return _within(column, _counted(name, value, rules), rules)
    return _by_day(column, name, value or "", rules)


def _counted(name: str, value: str | None, rules: Rules) -> Bounds:
    if value is None or not value.isdigit() or int(value) < 1:
        raise QueryError(f"The value '{value}' of the operator '{name}' must be a whole number above zero.")
    number = int(value)
    if name == "LastXDays":
        return rules.today - number * _DAY, rules.now
    if name == "NextXDays":
        return rules.now, rules.today + (number + 1) * _DAY
    if name == "OlderThanXDays":
        return None, rules.today - number * _DAY
    hours = timedelta(hours=number)
    return {"LastXHours": (rules.now - hours, rules.now), "NextXHours": (rules.now, rules.now + hours)}.get(
        name, (None, rules.now - hours)
    )


def _by_day(column: Column, name: str, value: str, rules: Rules) -> Sql:
    start = datetime.fromisoformat(str(from_text(column.attribute, value[:10]))[:10] + "T00:00:00+00:00")
    bounds: dict[str, Bounds] = {"OnOrAfter": (start, None), "OnOrBefore": (None, start + _DAY)}
    inside = _within(column, bounds.get(name, (start, start + _DAY)), rules)
    return Sql("NOT ") + inside if name == "NotOn" else inside


def _within(column: Column, bounds: Bounds, rules: Rules) -> Sql:
    start, end = bounds
    condition = Sql("(") + TRUE
    if start is not None:
        condition += Sql(" AND ") + compare(column, "ge", from_text(column.attribute, _iso(start)), rules)
    if end is not None:
        # The last day counts as a whole where a column has days only, unless it ends with a midnight.
        inclusive = column.attribute.behavior == "DateOnly" and end != end.replace(hour=0, minute=0, second=0)
        operator = "le" if inclusive else "lt"
        condition += Sql(" AND ") + compare(column, operator, from_text(column.attribute, _iso(end)), rules)
    return condition + Sql(")")


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
