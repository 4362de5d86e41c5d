"""Reconciling: compares what the CRM holds under an import's filter with what that import brought into a table.

It takes no hold of the workflow's: a run may go on meanwhile, see `crosstie.sync.comparison`. docs/reconcile.md tells
people what each verdict means.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstie.activities.crm_import.comparing import RemoteSide, filter_condition
from crosstie.activities.deduplication import Deduplication
from crosstie.app.reconciling.subject import Subject
from crosstie.crm import kind_of
from crosstie.crm.connector import Connector, Road
from crosstie.db.audit import record
from crosstie.db.database import Transaction
from crosstie.errors import ConfigError
from crosstie.model import Lineage
from crosstie.script.engine import ScriptScope
from crosstie.sync import windows
from crosstie.sync.comparison import (
    DIFFERENT,
    REPAIRABLE,
    Comparison,
    Difference,
    Imported,
    Verdict,
    comparing,
)
from crosstie.sync.matches import known_matches
from crosstie.sync.ties import find_ties
from crosstie.workflow import state

if TYPE_CHECKING:
    from crosstie.workflow.runner import Surroundings

TELL_APART_UP_TO = 10_000
"""So many records that are gone are asked for by id, to tell the deleted ones from those that left the filter."""

REPAIR_UP_TO = 50_000
"""So many ids a run is asked to read one by one; for more, reading everything again is cheaper."""

_HEADER = ("remote_id", "verdict", "remote_stamp", "local_stamp", "local_key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a comparison is expected to cost, said before it reads; None where the CRM can't count its records."""

    rows: int | None
    api_calls: int | None
    road: Road


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is told while a comparison is under way: its cost before it reads, then the rows read and expected."""

    begun: Callable[[Cost], None] = lambda cost: None
    rows: Callable[[int, int | None], None] = lambda rows, expected: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """How the two sides compare. `end` is how far the import got (UTC); records stamped at `bound` or later are the
    next run's. `counts` has every verdict; `first` the first records of each. `compares_stamps` is False where the ties
    keep no stamps, so that only ids were compared. `asked_for` of the missing and stale records are read by id by the
    next run, `repaired` of them since now. `notes` are sentences about what the counts can't tell."""

    workflow: str
    activity: str
    account: str
    object: str
    table: str
    option: str
    end: datetime
    bound: datetime
    remote_rows: int
    local_rows: int
    counts: Mapping[Verdict, int]
    first: Mapping[Verdict, tuple[Difference, ...]]
    compares_stamps: bool
    asked_for: int
    repaired: int
    notes: tuple[str, ...]
    api_calls: int
    seconds: float

    @property
    def differences(self) -> int:
        """How many records make the two sides differ; what is handed on, refused or too new does not."""
        return sum(self.counts[one] for one in DIFFERENT)

    @property
    def repairable(self) -> int:
        """How many records the next run can bring, read by their ids."""
        return sum(self.counts[one] for one in REPAIRABLE)

    @property
    def equal(self) -> bool:
        """Whether nothing is missing, stale or gone."""
        return self.differences == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Carries out one comparison. `limit` records of each verdict are shown, all of them written to `output`."""

    around: Surroundings
    subject: Subject
    repair: bool = False
    limit: int = 10
    output: Path | None = None
    watch: Watch = Watch()
    tell_apart_up_to: int = TELL_APART_UP_TO
    repair_up_to: int = REPAIR_UP_TO

    def run(self) -> Reconciliation:
        """Compares. Raises ConfigError where nothing was imported yet or another org answers, BrakeError when the same
        comparison is under way, and the errors of the connector and the database."""
        began = time.monotonic()
        window, run = self._last_window()
        with ExitStack() as stack:
            written = stack.enter_context(_csv(self.output)) if self.output is not None else None
            connector = self.around.connect(self.subject.activity.account)
            stack.callback(connector.close)
            self._refuse_other_org(window, connector.org_id())
            return self._compare(connector, window, run, written, began)

    def _last_window(self) -> tuple[windows.Window, state.Run | None]:
        subject = self.subject
        with self.around.db.reading() as transaction:
            found = windows.last_confirmed_of(transaction, subject.definition.name, subject.name)
            run = state.find_run(transaction, found.run) if found is not None else None
        if found is None:
            raise ConfigError(
                f"{subject.place} has never ended well yet: there is nothing to compare with.",
                hint=f"Nothing was read. Run it first: crosstie run {subject.definition.name}",
            )
        now = (subject.activity.account, subject.remote.name, subject.activity.index_field(subject.remote))
        if (found.account, found.object, found.field) != now:
            raise ConfigError(
                f"{subject.place} imports {now[1]} of {now[0]} by {now[2]}, but when it last ended well it imported"
                f" {found.object} of {found.account} by {found.field}.",
                hint=f"Nothing was read. Run it first: crosstie run {subject.definition.name}",
            )
        return found, run

    def _refuse_other_org(self, window: windows.Window, org: str) -> None:
        if window.org != org:
            raise ConfigError(
                f"{self.subject.place} imported from the org {window.org}, but account {window.account} now leads to"
                f" {org}: every record would seem to differ.",
                hint="Nothing was compared. Point the account back at that org.",
            )

    def _compare(
        self,
        connector: Connector,
        window: windows.Window,
        run: state.Run | None,
        written: Callable[[Difference], None] | None,
        began: float,
    ) -> Reconciliation:
        subject, db = self.subject, self.around.db
        end, bound = self._reach(window)
        lineage = Lineage(account=window.account, org=window.org, object=window.object, remote_id="")
        with db.reading() as transaction:
            ties = find_ties(transaction, lineage, self._table())
        zone = subject.definition.zone(subject.name, self.around.zone)
        remote = RemoteSide(
            db=db,
            connector=connector,
            remote=subject.remote,
            index_field=window.field,
            condition=filter_condition(subject.activity, subject.remote, self._scope(run)),
            zone=zone,
            road=subject.activity.road,
        )
        with comparing(db, self._imported(window), ties.name if ties else "", bound) as comparison:
            rows = self._find(remote, comparison, window)
            asked_before = comparison.asked_for()
            repaired, refusal = self._ask_for(comparison)
            for difference in comparison.all() if written is not None else ():
                assert written is not None
                written(difference)
            return Reconciliation(
                workflow=subject.definition.name,
                activity=subject.name,
                account=window.account,
                object=window.object,
                table=subject.update.into,
                option=window.option,
                end=end,
                bound=bound,
                remote_rows=rows,
                local_rows=comparison.local_rows(),
                counts=comparison.counts(),
                first={one: comparison.first(one, self.limit) for one in Verdict},
                compares_stamps=comparison.stamped,
                asked_for=asked_before + repaired,
                repaired=repaired,
                notes=(*refusal, *self._notes(comparison, window)),
                api_calls=connector.usage.calls,
                seconds=time.monotonic() - began,
            )

    def _reach(self, window: windows.Window) -> tuple[datetime, datetime]:
        """How far the import got, and from which stamp on a record is the next run's: it reaches back by the overlap.
        An option that a person moved on counts: what lies before it no run will read."""
        with self.around.db.reading() as transaction:
            option = windows.parse_option(window.option, windows.read_option(transaction, window.option))
            tail = windows.read_tail(transaction, window.option)
        end = max(window.end, option) if option is not None else window.end
        index = self.subject.activity.index
        overlap = windows.overlap_for(tail, index.overlap) if index is not None else window.overlap
        return end, end - overlap

    def _table(self) -> str:
        table = self.around.site.table(self.subject.update.into)
        return table.name if table is not None else self.subject.update.into

    def _imported(self, window: windows.Window) -> Imported:
        return Imported(
            workflow=window.workflow,
            activity=window.activity,
            account=window.account,
            object=window.object,
            option=window.option,
            stamp_column=self.subject.column_of(window.field),
        )

    def _scope(self, run: state.Run | None) -> ScriptScope:
        """What the filter saw when the window was read that ended well last: its clock and its variables."""
        subject, around = self.subject, self.around
        with around.db.reading() as transaction:
            options = transaction.rows("select name, value from crosstie.option")
            events = state.events(transaction, run.id) if run is not None else ()
        seen = next((event.vars for event in reversed(events) if event.target == subject.name), {})
        return ScriptScope(
            now=run.started_at if run is not None else around.clock.now(),
            workflow=subject.definition.name,
            activity=subject.name,
            zone=subject.definition.zone(subject.name, around.zone),
            vars={name: value for name, value in seen.items() if value is not None},
            options={str(name): str(value or "") for name, value in options},
        )

    def _find(self, remote: RemoteSide, comparison: Comparison, window: windows.Window) -> int:
        """Reads the CRM's side and compares; how many records it has."""
        expected = remote.count()
        self.watch.begun(self._cost(remote, expected))
        table = remote.read(remote.query(expected_rows=expected), comparison.name("remote"), self.watch.rows)
        comparison.find(table)
        comparison.mark_refused()
        with self.around.db.reading() as transaction:
            matches = known_matches(transaction, window)
        if matches is not None and matches.table in self.around.db.work_tables():
            comparison.mark_handed_on(matches.table)
        gone = comparison.gone()
        if 0 < gone <= self.tell_apart_up_to:
            found = remote.read_ids(comparison.gone_ids(), comparison.name("found"), filtered=False)
            back = found
            if remote.condition is not None:
                moved = comparison.moved_since(found)
                back = remote.read_ids(moved, comparison.name("back"), filtered=True)
            comparison.tell_apart(found, back)
        elif gone:
            comparison.leave_untold()
        return comparison.rows_of(table)

    def _cost(self, remote: RemoteSide, expected: int | None) -> Cost:
        road = self.subject.activity.road
        if expected is None:
            return Cost(rows=None, api_calls=None, road=road)
        if road is Road.AUTO:
            limit = remote.connector.limits(self.subject.remote.name).bulk_from_rows
            road = Road.BULK if limit and expected >= limit else Road.PAGES
        kind = kind_of(remote.connector.kind)
        return Cost(rows=expected, api_calls=kind.expected_calls(expected, bulk=road is Road.BULK) + 1, road=road)

    def _ask_for(self, comparison: Comparison) -> tuple[int, tuple[str, ...]]:
        """With `repair`, hands the missing and stale ids to the next run; how many, or why not."""
        if not self.repair:
            return 0, ()
        wanted = sum(number for verdict, number in comparison.counts().items() if verdict in REPAIRABLE)
        option = comparison.imported.option
        if wanted > self.repair_up_to:
            return 0, (
                f"{wanted:,} records are too many to be read one by one (at most {self.repair_up_to:,}); nothing was"
                f" repaired. Reading everything again is cheaper: crosstie option set {option} ''",
            )
        now = self.around.clock.now()
        with self.around.db.transaction(f"repair of {self.subject.place}") as transaction:
            repaired = comparison.ask_for(transaction, now)
            if repaired:
                record(transaction, now, "repair", f"import {self.subject.place}", "", f"{repaired} ids are asked for")
        return repaired, ()

    def _notes(self, comparison: Comparison, window: windows.Window) -> Iterator[str]:
        subject, table = self.subject, self.subject.update.into
        if not comparison.stamped:
            yield f"The ties of {table} keep no stamps, so that only ids were compared: nothing can be told stale."
        key = next(
            one.name
            for one in subject.activity.wanted(subject.remote)
            if one.field.lower() == subject.remote.key.lower()
        )
        for name in subject.on_the_way:
            one = subject.definition.activities[name]
            if isinstance(one, Deduplication) and key.lower() not in [text.strip().lower() for text in one.by]:
                yield f"{name} leaves records out on their way to {table}; they are told as missing too."
        if subject.update.ignore_same_target:
            yield f"Of several records for the same row {table} takes one; the others are told as missing too."
        others = self._other_imports(window)
        if others:
            yield (
                f"Other imports of {window.object} may be tied to {table} too ({', '.join(others)}): what is only"
                f" theirs is told as “{Verdict.LEFT_FILTER}” here."
            )

    def _other_imports(self, window: windows.Window) -> list[str]:
        def others(transaction: Transaction) -> list[tuple[Any, ...]]:
            return transaction.rows(
                "select distinct workflow, activity from crosstie.import_window where account = :account"
                " and object = :object and status = 'confirmed' and not (workflow = :workflow and activity = :activity)"
                " and field <> :deletions order by 1, 2",
                {
                    "deletions": windows.DELETIONS,
                    "account": window.account,
                    "object": window.object,
                    "workflow": window.workflow,
                    "activity": window.activity,
                },
            )

        with self.around.db.reading() as transaction:
            return [f"{workflow}/{activity}" for workflow, activity in others(transaction)]


@contextmanager
def _csv(file: Path) -> Iterator[Callable[[Difference], None]]:
    """Opens the file before anything is read, and writes one line for each record."""
    try:
        opened = file.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    with opened:
        lines = csv.writer(opened)
        lines.writerow(_HEADER)
        yield lambda one: lines.writerow(
            (one.remote_id, one.verdict, _iso(one.remote_stamp), _iso(one.local_stamp), one.local_key)
        )


def _iso(instant: datetime | None) -> str:
    return "" if instant is None else instant.isoformat()
