"""Values that came in and that the enumerations of their fields do not have: told in the log, or added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crosstie.activities.remote import find_remote_path
from crosstie.db.database import Transaction
from crosstie.errors import MappingError
from crosstie.model import Column, ColumnType, RemoteObject
from crosstie.schema import enumerations
from crosstie.schema.enumerations import Unknown
from crosstie.workflow.activity import Context

if TYPE_CHECKING:
    from crosstie.activities.crm_import import CrmImport, ImportField

_MOST = 1_000
"""So many unknown values of a field are looked at: a list that lacks more is none."""
_TOLD = 5
_LONGEST = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """A column whose field an enumeration follows."""

    column: Column
    field: str
    enumeration: str
    what: Unknown


@dataclass(slots=True, kw_only=True)
class Unlisted:
    """Looks for them in what an import has read, by one statement for each field."""

    context: Context
    listed: Sequence[_Listed]
    new: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, activity: CrmImport, context: Context, remote: RemoteObject, columns: Sequence[Column]) -> Unlisted:
        """What an import has to look at. Raises MappingError where a field says what is done with unknown values, and
        no enumeration follows it."""
        return cls(context=context, listed=tuple(_listed(activity, context, remote, columns)))

    def find(self, table: str) -> None:
        """Looks at a table of rows that are to be published, and tells of values that are to be reported."""
        for one in self.listed:
            with self.context.db.reading() as transaction:
                values = enumerations.unknown_values(
                    transaction, table, one.column.name, one.column.type, one.enumeration, _MOST
                )
            if not values:
                continue
            if one.what is Unknown.ADD:
                self.new[one.enumeration] = (*self.new.get(one.enumeration, ()), *values)
                self.context.log.info(f"New in enumeration {one.enumeration}, from {one.field}: {_shown(values)}.")
                continue
            self.context.log.warning(
                f"{one.field} came with values that enumeration {one.enumeration} does not have: {_shown(values)}. They"
                " were imported. Fetch the list: crosstie enumeration sync"
            )

    def record(self, transaction: Transaction) -> None:
        """Adds those that are to be added, in the commit that publishes the rows."""
        for name in sorted(self.new):
            enumerations.add_values(transaction, name, tuple(dict.fromkeys(self.new[name])))


def _listed(
    activity: CrmImport, context: Context, remote: RemoteObject, columns: Sequence[Column]
) -> Iterator[_Listed]:
    known: dict[str, Unknown] = {}
    followed: dict[str, Mapping[str, str]] = {}
    with context.db.reading() as transaction:
        for one, column in zip(activity.wanted(remote), columns, strict=False):
            owner, found = find_remote_path(remote, one.field, activity.account, context.site)
            if owner.name not in followed:
                followed[owner.name] = enumerations.followed_by(transaction, activity.account, owner.name)
            name = followed[owner.name].get(found.name, "")
            if not name:
                _refuse_unfollowed(activity, one)
                continue
            if name not in known:
                known[name] = enumerations.on_unknown(transaction, name)
            what = one.unknown or known[name]
            if what is not Unknown.IGNORE and _is_listed(one, column):
                yield _Listed(column=column, field=one.field, enumeration=name, what=what)


def _is_listed(one: ImportField, column: Column) -> bool:
    """Whether the column holds the values as they are, and not some text of the wire."""
    return one.conversion == "default" and column.type in (ColumnType.TEXT, ColumnType.SET)


def _refuse_unfollowed(activity: CrmImport, one: ImportField) -> None:
    if one.unknown is not None:
        raise MappingError(
            f"{one.field} says what is done with unknown values, but no enumeration follows {activity.object}."
            f"{one.field}.",
            hint=f"Let one: crosstie enumeration sync {activity.account} {activity.object}.{one.field}",
        )


def _shown(values: Sequence[str]) -> str:
    """The first values, short enough for a log."""
    short = [value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…" for value in values[:_TOLD]]
    more = f" and {len(values) - _TOLD:,}{'' if len(values) < _MOST else ' or'} more" if len(values) > _TOLD else ""
    return f"{', '.join(f'“{value}”' for value in short)}{more}"
