"""Any two sides: the database's verdicts are those of a plain loop over the records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crosstie.db.database import Database, instant_text
from crosstie.model import Column, ColumnType
from crosstie.sync.comparison import REMOTE_COLUMNS, REPAIRABLE, Imported, Verdict, comparing
from tests.scale import examples

BOUND = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PLACE = Imported(
    workflow="contacts", activity="read", account="crm", object="Contact", option="OPTION", stamp_column="stamp"
)
TIES = (
    *REMOTE_COLUMNS,
    Column(name="local_key", type=ColumnType.TEXT),
    Column(name="tombstone", type=ColumnType.INSTANT),
)
INSTANT = pa.timestamp("us", "UTC")

stamps = st.none() | st.integers(-2, 2).map(lambda minutes: BOUND + timedelta(minutes=minutes))


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its stamps on either side (where it is there), and what is known of its being refused."""

    remote: datetime | None
    local: datetime | None
    on_crm: bool
    here: bool
    tombstone: datetime | None
    rejected: datetime | None
    reject_status: str
    unaccepted_run: int | None

    def verdict(self) -> Verdict | None:
        """What a person would say."""
        tied = self.here and self.tombstone is None
        if not self.on_crm:
            return Verdict.GONE if tied else None
        new = self.remote is not None and self.remote >= BOUND
        if tied and (self.remote == self.local or (self.local is not None and self.local >= BOUND)):
            return None
        if new:
            return Verdict.NEW
        if self.unaccepted_run is not None and self.unaccepted_run > 0:
            return Verdict.REFUSED
        known = self.reject_status in ("open", "dismissed")
        if known and (self.rejected is None or self.remote is None or self.rejected >= self.remote):
            return Verdict.REFUSED
        return Verdict.STALE if tied else Verdict.MISSING


records = st.builds(
    Record,
    remote=stamps,
    local=stamps,
    on_crm=st.booleans(),
    here=st.booleans(),
    tombstone=st.none() | stamps,
    rejected=stamps,
    reject_status=st.sampled_from(["", "", "", "open", "dismissed", "accepted"]),
    unaccepted_run=st.sampled_from([None, None, None, 7, 0, -7]),
)


def load(db: Database, name: str, columns: tuple[Column, ...], values: Sequence[Sequence[object]]) -> None:
    db.create_work(name, columns)
    types = [INSTANT if column.type is ColumnType.INSTANT else pa.string() for column in columns]
    arrays = [pa.array([row[place] for row in values], kind) for place, kind in enumerate(types)]
    with db.load(name, columns, expected_rows=0) as loading:
        loading.write(pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns]))


def keep_known(db: Database, remote_id: str, record: Record) -> None:
    with db.transaction("test") as transaction:
        if record.unaccepted_run is not None:
            transaction.execute(
                "insert into crosstie.unaccepted (option_name, remote_id, since, run) values ('OPTION', :id, '', :run)",
                {"id": remote_id, "run": record.unaccepted_run},
            )
        if record.reject_status:
            stamp = instant_text(record.rejected) if record.rejected is not None else None
            transaction.execute(
                "insert into crosstie.reject (run, workflow, activity, account, object, remote_id, record, at, status)"
                " values (1, 'contacts', 'write', 'crm', 'Contact', :id, :record, '', :status)",
                {"id": remote_id, "record": json.dumps({"stamp": stamp}), "status": record.reject_status},
            )


@settings(max_examples=examples(25, 500), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(records, max_size=12))
def test_the_database_and_a_loop_say_the_same(database: Database, given_records: list[Record]) -> None:
    known = {f"{number:03}": record for number, record in enumerate(given_records)}
    here = [(one, record.local, f"row {one}", record.tombstone) for one, record in known.items() if record.here]
    # One row whose stamp is equal on both sides, so that ties keep stamps.
    load(database, "w_1_1_ties", TIES, [*here, ("same", BOUND, "row same", None)])
    load(
        database,
        "w_1_1_remote",
        REMOTE_COLUMNS,
        [*((one, record.remote) for one, record in known.items() if record.on_crm), ("same", BOUND)],
    )
    with database.transaction("test") as transaction:
        transaction.execute("delete from crosstie.unaccepted")
        transaction.execute("delete from crosstie.reject")
    for one, record in known.items():
        keep_known(database, one, record)

    expected = {one: verdict for one, record in known.items() if (verdict := record.verdict()) is not None}
    with comparing(database, PLACE, "w_1_1_ties", BOUND) as comparison:
        comparison.find("w_1_1_remote")
        comparison.mark_refused()
        found = {one.remote_id: one for one in comparison.all()}
        counts = comparison.counts()
        assert {one: difference.verdict for one, difference in found.items()} == expected
        assert all(counts[verdict] == list(expected.values()).count(verdict) for verdict in Verdict)
        assert comparison.gone_ids() == tuple(sorted(one for one in expected if expected[one] is Verdict.GONE))
        asked = {one for one in expected if expected[one] in REPAIRABLE and known[one].unaccepted_run is not None}
        assert comparison.asked_for() == len(asked)
        with database.transaction("test") as transaction:
            wanted = {one for one in expected if expected[one] in REPAIRABLE}
            assert comparison.ask_for(transaction, BOUND) == len(wanted - asked)
        assert comparison.asked_for() == len(wanted)
    for one, difference in found.items():
        assert difference.remote_stamp == (known[one].remote if known[one].on_crm else None)
        tied = known[one].here and known[one].tombstone is None
        assert (difference.local_stamp, difference.local_key) == (
            (known[one].local, f"row {one}") if tied else (None, None)
        )
