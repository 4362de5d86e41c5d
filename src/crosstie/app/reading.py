"""Remote objects read from Python: `app.accounts["sf"].object("Contact").read(["Email"]).to_arrow()`.

Nothing is written anywhere: a read goes past workflows, work tables and windows.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from crosstie.app.conditions import OrgField, Where
from crosstie.crm.connector import Check, Connector, ObjectName, Order, RemoteQuery, Road
from crosstie.errors import ConfigError, MappingError
from crosstie.model import Column, ColumnType, FieldType, RemoteObject

if TYPE_CHECKING:
    import pyarrow as pa

    from crosstie.activities.receiving.converting import RowConverter

_POSITION = "crosstie_position"
_REASONS = tuple(Column(name=name, type=ColumnType.TEXT) for name in ("errorField", "errorMessage"))
_NO_VALUES = (FieldType.COMPOUND, FieldType.BINARY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Org:
    """What an external account leads to. `collected` are the objects that were collected of it."""

    name: str
    kind: str
    connected: Callable[[], AbstractContextManager[Connector]]
    collected: Callable[[], tuple[RemoteObject, ...]]
    proved: Callable[[], Check]
    zone: ZoneInfo

    def check(self) -> Check:
        """Signs in and says what was found, see `app.accounts.check`."""
        return self.proved()

    def objects(self) -> tuple[ObjectName, ...]:
        """Every object that the account's user can read, as the CRM lists them now."""
        with self.connected() as connector:
            return connector.objects()

    def object(self, name: str) -> OrgObject:
        """An object, which need not have been collected. The CRM is asked when it is used for the first time."""
        return OrgObject(self, name)

    def account_kind(self, name: str) -> str:
        """The kind of the account, by which such paths are written."""
        return self.kind

    def remote_object(self, account: str, name: str) -> RemoteObject | None:
        """A collected object, by which paths over links (`Account.Name`) are understood."""
        return next((one for one in self.collected() if one.name == name), None)


class OrgObject:
    """An object of an org. `contacts.Email` and `contacts["Email"]` are its fields, for conditions."""

    def __init__(self, org: Org, name: str) -> None:
        self._org = org
        self._asked = name

    @cached_property
    def description(self) -> RemoteObject:
        """The object as the CRM describes it now. Raises RequestError or MappingError when there is none."""
        known = next((one for one in self._org.collected() if one.name.lower() == self._asked.lower()), None)
        with self._org.connected() as connector:
            return connector.describe(known.name if known else self._asked, known=known)

    @property
    def name(self) -> str:
        """Its API name."""
        return self.description.name

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields that are read when none is named: all but compounds and files."""
        return tuple(one.name for one in self.description.fields if one.type not in _NO_VALUES and not one.parts)

    def __getitem__(self, name: str) -> OrgField:
        """A field, by any name. Raises KeyError, with a suggestion."""
        found = self.description.field(name)
        if found is None:
            close = get_close_matches(name, [one.name for one in self.description.fields], n=1)
            raise KeyError(f"{self.name} has no field {name}.{f' Did you mean {close[0]}?' if close else ''}")
        return OrgField(name=found.name)

    def __getattr__(self, name: str) -> OrgField:
        """A field, where its name is none of this class."""
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(error.args[0]) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(one.name for one in self.description.fields)]

    def count(self, where: Where | None = None) -> int:
        """How many records there are, as the CRM counts them."""
        remote = self.description
        query = RemoteQuery(object=remote, fields=(remote.key,), condition=where.condition(remote) if where else None)
        with self._org.connected() as connector:
            return connector.count(query)

    def read(
        self,
        fields: Sequence[str] = (),
        *,
        where: Where | None = None,
        order_by: Sequence[str] = (),
        conversions: Mapping[str, str] | None = None,
        road: Road | str = Road.AUTO,
    ) -> Reading:
        """A read of these fields, or of all; the remote id comes first in any case. Paths over links need the linked
        object collected. `order_by` are names, with `-` before one for the highest first; `conversions` is by field
        what it is in an import. Raises MappingError for what cannot be read, filtered or sorted."""
        return Reading(
            org=self._org,
            remote=self.description,
            fields=tuple(fields) or self.fields,
            where=where,
            order_by=tuple(order_by),
            conversions=dict(conversions or {}),
            road=Road(road),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A read that begins when its rows are asked for, and begins anew each time. Columns have the types of an import:
    instants in UTC, exact decimals, sets as sorted text with `;`."""

    org: Org
    remote: RemoteObject
    fields: tuple[str, ...]
    where: Where | None
    order_by: tuple[str, ...]
    conversions: Mapping[str, str]
    road: Road

    def __post_init__(self) -> None:
        self.query()
        self.columns()

    def query(self) -> RemoteQuery:
        """What is asked of the CRM."""
        return RemoteQuery(
            object=self.remote,
            fields=self._names(),
            condition=self.where.condition(self.remote) if self.where is not None else None,
            order=tuple(self._order(one) for one in self.order_by),
            road=self.road,
        )

    def columns(self) -> tuple[Column, ...]:
        """The columns, named like the fields."""
        from crosstie.activities.remote import find_remote_field
        from crosstie.schema.conversions import local_column

        unknown = [name for name in self.conversions if name not in self._names()]
        if unknown:
            raise MappingError(f"{unknown[0]} has a conversion, but is not read.")
        return tuple(
            local_column(find_remote_field(self.remote, name, self.org.name, self.org), self._mode(name), name)
            for name in self._names()
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in batches, in flat memory; in no particular order, and a record that the CRM moves meanwhile may
        come twice. With `order_by` everything is read first. Raises MappingError for a value that cannot be
        converted, ConnectorError."""
        if self.order_by:
            yield from self.to_arrow().to_batches()
        else:
            yield from self._read()

    def head(self, rows: int = 10) -> pa.Table:
        """The first rows that come; what follows them is not asked for."""
        import pyarrow as pa

        if self.order_by:
            return self.to_arrow().slice(0, rows)
        found, count = [], 0
        batches = self._read()
        for batch in batches:
            found.append(batch)
            count += batch.num_rows
            if count >= rows:
                break
        batches.close()
        return pa.Table.from_batches(found, schema=self._schema()).slice(0, rows)

    def to_arrow(self) -> pa.Table:
        """All rows as an Arrow table, each record once, in order where one was asked for."""
        import pyarrow as pa

        table = pa.Table.from_batches(list(self._read()), schema=self._schema())
        if self.order_by:
            table = table.sort_by(_POSITION).drop_columns([_POSITION])
        return _once(table, self._names()[0])

    def to_pandas(self) -> Any:
        """All rows as a pandas DataFrame whose columns keep their Arrow types. Raises ConfigError without pandas."""
        pandas = _installed("pandas")
        return self.to_arrow().to_pandas(types_mapper=pandas.ArrowDtype)

    def to_polars(self) -> Any:
        """All rows as a polars DataFrame. Raises ConfigError without polars."""
        return _installed("polars").from_arrow(self.to_arrow())

    def _read(self) -> Generator[pa.RecordBatch, None, None]:
        from crosstie.activities.receiving.pipeline import Pipeline

        query = self.query()
        with self.org.connected() as connector:
            opened = connector.open(query, lambda job: None)
            threads = connector.limits(self.remote.name).parallel_fetches
            for converted in Pipeline(connector, query, self._converter(), threads).converted(opened.partitions):
                if converted.bad is not None:
                    raise _refused(self.remote.name, converted.bad)
                yield converted.good

    def _converter(self) -> RowConverter:
        from crosstie.activities.receiving.converting import RowConverter
        from crosstie.activities.remote import find_remote_field
        from crosstie.schema.conversions.converter import Converter

        return RowConverter(
            columns=self._all_columns(),
            converters=tuple(
                Converter(
                    find_remote_field(self.remote, name, self.org.name, self.org), self._mode(name), self.org.zone
                )
                for name in self._names()
            ),
            rejects=_REASONS,
            ordered=bool(self.order_by),
            dialect="postgresql",  # which keeps every number as it is; nothing is stored here
        )

    def _all_columns(self) -> tuple[Column, ...]:
        position = (Column(name=_POSITION, type=ColumnType.INTEGER),) if self.order_by else ()
        return (*self.columns(), *position)

    def _schema(self) -> pa.Schema:
        from crosstie.db.columns import arrow_schema

        return arrow_schema(self._all_columns())

    def _names(self) -> tuple[str, ...]:
        """The fields in the CRM's spelling, the remote id first, each once."""
        named = [self.remote.key]
        for name in self.fields:
            known = self.remote.field(name)
            named.append(known.name if known is not None else name)
        return tuple(dict.fromkeys(named))

    def _mode(self, name: str) -> str:
        return self.conversions.get(name, "default")

    def _order(self, written: str) -> Order:
        name = written.removeprefix("-")
        known = self.remote.field(name)
        if known is None or not known.sortable:
            close = get_close_matches(name, [one.name for one in self.remote.fields if one.sortable], n=1)
            raise MappingError(
                f"{self.remote.name} cannot be ordered by {name}.",
                hint=f"Did you mean {close[0]}?" if close else "Sort it when it is read.",
            )
        return Order(field=known.name, descending=written.startswith("-"))


def _once(table: pa.Table, key: str) -> pa.Table:
    """The table with each record once, as it came first: a read that was gone on with elsewhere may repeat some."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pc.count_distinct(table.column(key)).as_py() == table.num_rows:
        return table
    numbered = table.select([key]).append_column("place", pa.array(range(table.num_rows), pa.int64()))
    first = numbered.group_by(key).aggregate([("place", "min")]).column("place_min")
    return table.take(first.take(pc.sort_indices(first)))


def _refused(name: str, bad: pa.RecordBatch) -> MappingError:
    """Why a read ends at a value that nothing can be made of: it would be missing, and nobody would know."""
    (first, *_) = bad.to_pylist()
    column = str(first["errorField"])
    return MappingError(
        f"A value of {column} in a record of {name} cannot be read: it {first['errorMessage']}.",
        hint=f'Read it as text: read(…, conversions={{"{column}": "copy_paste"}})',
    )


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"{name} is not installed, and Crosstie does not bring it.",
            hint=f"Install it (pip install {name}), or take the Arrow table: .to_arrow()",
        ) from error
