"""The index under adversity, as a state machine: whatever happens, after quiet the rows are the org's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
from hypothesis import event as happened
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from crosstie.app.rejects import Rejects
from crosstie.db.database import parse_instant
from crosstie.errors import TaskError
from crosstie.sync import windows
from crosstie.sync.windows import GUARD, OVERLAP, Window, WindowStatus
from crosstie.workflow import state
from crosstie.workflow.runner import RunReport, Surroundings, run_workflow
from crosstie.workflow.state import RunStatus
from tests.adversity.events import (
    ACTIVITIES,
    BEFORE_A_RUN,
    BETWEEN_RUNS,
    ENDINGS,
    IN_A_RUN,
    MALFORMED,
    SWITCHES,
    Event,
)
from tests.adversity.org import MOST_LATE, Change, Org
from tests.adversity.stage import Killed, Stage, Watching, definition
from tests.contract.imports.world import OPTION, HandClock, World, open_connector

OTHER_ORG = "00D000000000001AAA"
WORKFLOW = "contacts"
FIELDS: tuple[object, ...] = ("LastName", "Title", "Score__c", "Birthdate")
MORE_FIELDS = (*FIELDS, "Department")


class IndexMachine(RuleBasedStateMachine):
    """One example. No rule has a condition: what can't happen now does nothing, so that an example that is played again
    offers the same choices, however its threads went."""

    def __init__(self, stage: Stage, previous: list[str]) -> None:
        super().__init__()
        self.stage = stage
        self.left_behind = previous
        self.failed = False
        self.running = False
        self.hidden = False
        self.elsewhere = False
        self.edited_to: str | None = None
        self.begun_elsewhere = False
        self.good_option: str | None = None
        self.seen: list[Change] = []
        self.confirmed = 0
        self.fields = FIELDS

    @initialize(
        records=st.integers(1, 25),
        road=st.sampled_from(["auto", "auto", "pages", "bulk"]),
        errors=st.booleans(),
        page=st.sampled_from([2, 5, 17]),
        bulk_page=st.sampled_from([3, 11, 1000]),
        switches=SWITCHES,
    )
    def begin(
        self, records: int, road: str, errors: bool, page: int, bulk_page: int, switches: dict[str, object]
    ) -> None:
        """An org with some records, and an import that has never run."""
        with self.checked():
            at = self.stage.clear(self.left_behind)
            self.left_behind.clear()
            self.stage.sandbox.switches(query_page_rows=page, org_id="", **switches)
            self.world = World(
                db=self.stage.db,
                sandbox=self.stage.sandbox,
                site=self.stage.site,
                clock=HandClock(at),
                watcher=Watching(),
                options={"bulk_page_rows": bulk_page, "bulk_from_rows": 12},
            )
            self.road, self.errors = road, errors
            self.org = Org(sandbox=self.stage.sandbox, now=at, frontier=self.frontier)
            self.org.insert(records, None)
            self.org.move_clock(timedelta(hours=1))

    def frontier(self) -> datetime | None:
        """Up to where an import has read, or is about to; None when everything is read next."""
        with self.stage.db.reading() as transaction:
            text = windows.read_option(transaction, OPTION)
            window = windows.open_window(transaction, OPTION)
        ends = [windows.parse_option(OPTION, self.good_option if text == MALFORMED else text)]
        ends.append(window.end if window else None)
        ends.append(self.org.highest - GUARD if self.running else None)
        return max((one for one in ends if one is not None), default=None)

    @rule(before=BEFORE_A_RUN, minutes=BETWEEN_RUNS, restart=st.just(False) | st.booleans())
    def let_it_run(self, before: list[Event], minutes: int, restart: bool) -> None:
        """Things happen, and then a run in which nothing does."""
        self.play(before, minutes, [], restart=restart, broken="", ending=None)

    @rule(
        before=BEFORE_A_RUN,
        minutes=BETWEEN_RUNS,
        events=IN_A_RUN,
        restart=st.just(False) | st.booleans(),
        broken=st.sampled_from(["", "", "", "", "before", "after"]),
        ending=st.none() | st.none() | st.tuples(st.sampled_from(ACTIVITIES), ENDINGS),
    )
    def disturb_a_run(
        self,
        before: list[Event],
        minutes: int,
        events: list[tuple[Any, Event]],
        restart: bool,
        broken: str,
        ending: tuple[str, str] | None,
    ) -> None:
        """A run in which things happen at certain requests and activities, or which a script or a kill ends."""
        self.play(before, minutes, events, restart=restart, broken=broken, ending=ending)

    def play(
        self,
        before: Sequence[Event],
        minutes: int,
        events: Sequence[tuple[Any, Event]],
        *,
        restart: bool,
        broken: str,
        ending: tuple[str, str] | None,
    ) -> None:
        """What happens, some time, and a run."""
        with self.checked():
            for event in before:
                self.happen(event)
            self.org.move_clock(timedelta(minutes=minutes))
            self.run(events, restart=restart, broken=broken, ending=ending)

    @contextmanager
    def checked(self) -> Iterator[None]:
        """What fails in the block has failed the example, which is not played to its end then."""
        try:
            yield
        except BaseException:
            self.failed = True
            raise

    def happen(self, event: Event) -> None:
        """Lets an event happen."""
        with self.checked():
            method = getattr(self, event.name, None) or getattr(self.org, event.name)
            method(*event.arguments)

    # What happens

    def mend(self, place: int, stamped: bool) -> None:
        """A record that could not be converted can be."""
        self.org.mend(place, stamped=stamped)

    def move_clock(self, seconds: int) -> None:
        """The org's clock goes forward or back."""
        self.org.move_clock(timedelta(seconds=seconds))

    def move_our_clock(self, seconds: int) -> None:
        """The clock of our machine goes forward or back."""
        self.world.clock.at += timedelta(seconds=seconds)

    def set_option(self, text: str) -> None:
        """A person empties the option or spoils it."""
        now = self.world.option()
        if not text and self.elsewhere:
            return  # to read everything of another org is a decision that a person may take, but not in this play
        if text == MALFORMED and now != MALFORMED:
            self.good_option = now
        self._write_option(text)

    def set_option_back(self, minutes: int) -> None:
        """A person wants to read again."""
        at = self._option()
        if at is not None:
            self._write_option(windows.option_text(at - timedelta(minutes=minutes)))

    def set_option_forward(self, minutes: int) -> None:
        """A person sets it forward, as far as nothing is lost by it."""
        at = self._option()
        if at is None:
            return
        to = at + timedelta(minutes=minutes)
        reach = [one.stamp for one in self.org.unread]
        if to <= self.org.now and all(one is not None and one >= to - OVERLAP for one in reach):
            self._write_option(windows.option_text(to))

    def _option(self) -> datetime | None:
        text = self.world.option()
        return windows.parse_option(OPTION, self.good_option if text == MALFORMED else text)

    def _write_option(self, text: str) -> None:
        self.world.set_option(text)
        self.edited_to = text

    def hide(self) -> None:
        """Field security takes a field away."""
        self.stage.sandbox.hide("Contact.Title")
        self.hidden = self.stage.described_anew = True

    def show(self) -> None:
        """And gives it back."""
        if self.hidden:
            self.stage.sandbox.hide()
        self.hidden = False

    def lead_elsewhere(self) -> None:
        """The account leads to another org, after it has led to the right one."""
        if self.stage.rows() and self._option() is not None:
            self.stage.sandbox.switches(org_id=OTHER_ORG)
            self.elsewhere = True

    def lead_back(self) -> None:
        """The account leads to the right org again."""
        self.stage.sandbox.switches(org_id="")
        self.elsewhere = False

    def dismiss(self) -> None:
        """A person gives up on the open rejects."""
        rejects = Rejects(self.stage.db, self.world.clock.now)
        given_up = {one.remote_id for one in rejects.list()}
        rejects.dismiss(workflow=WORKFLOW)
        for record in self.org.records:
            record.dismissed = record.dismissed or record.id in given_up

    def redefine(self) -> None:
        """Another list of fields."""
        self.fields = MORE_FIELDS if self.fields == FIELDS else FIELDS

    def expire(self, what: str) -> None:
        """Locators, results or sessions are gone."""
        self.stage.sandbox.control(f"expire_{what}")

    def spoil_requests(self, kind: str | None, fault: dict[str, object], after: int, times: int) -> None:
        """Requests fail, from now on to the end of the run."""
        match = {"kind": kind} if kind else {}
        self.stage.sandbox.faults([{"match": match, "after": after, "times": times, "fault": fault}])

    # Runs

    def run(
        self, events: Sequence[tuple[Any, Event]], *, restart: bool, broken: str, ending: tuple[str, str] | None
    ) -> RunReport | None:
        """Runs the workflow, or goes on with it; None when it did not end. Checks what must be true of every run."""
        fit = not events and not broken and ending is None and not self._is_obstructed()
        self._prepare(restart)
        before, self.edited_to = self.world.option(), None
        reads = self._reads() if self.elsewhere else None
        report, error = self._play(events, restart=restart, broken=broken, ending=ending)
        self._check_writes(report)
        self._take_note(before)
        if reads is not None and self.elsewhere and not any(event.name == "lead_back" for _, event in events):
            assert self._reads() == reads, "an import took up a window of the right org, and read another one"
        happened(f"a run {'ended' if report else f'met {type(error).__name__}'}")
        if report is not None and "seen before" in report.counts.get("read", {}):
            happened("rows seen before were left out")
        window = self._last_window()
        if window is not None:
            self._check_window(window)
        if self.begun_elsewhere and report is not None:
            self.begun_elsewhere = False
        if fit and not self.begun_elsewhere:
            assert report is not None, error
            assert report.status is RunStatus.DONE
            assert window is not None and window.status is WindowStatus.CONFIRMED
        return report

    def _reads(self) -> int:
        """How many imports have ended that belong to the right org."""
        with self.stage.db.reading() as transaction:
            row = transaction.row(
                "select count(*) from crosstie.task t where t.activity = 'read' and t.status = 'finished' and exists"
                " (select 1 from crosstie.import_window w where w.run = t.run and w.org <> :other)",
                {"other": OTHER_ORG},
            )
        return int(row[0]) if row else 0

    def _is_obstructed(self) -> bool:
        return self.hidden or self.elsewhere or self.world.option() == MALFORMED

    def _prepare(self, restart: bool) -> None:
        """What a new window will be able to see; one that is taken over has seen what it has seen."""
        with self.stage.db.reading() as transaction:
            window = windows.open_window(transaction, OPTION)
            latest = state.latest_run(transaction, WORKFLOW)
        if window is None or restart:
            self.seen = self.org.visible()
        unfinished = latest is not None and latest.status in state.RESUMABLE and not restart
        self.begun_elsewhere = self.elsewhere or (self.begun_elsewhere and unfinished)
        self.org.highest = self.org.now

    def _play(
        self, events: Sequence[tuple[Any, Event]], *, restart: bool, broken: str, ending: tuple[str, str] | None
    ) -> tuple[RunReport | None, BaseException | None]:
        plan, acts = self._planned(events, ending)
        if broken:
            self.world.set_option(broken, "BREAK")
        watcher = self.world.watcher
        assert isinstance(watcher, Watching)
        watcher.acts = acts
        self.running = True
        try:
            with self.stage.moments.of_a_run(plan):
                text = definition(self.fields, road=self.road, errors=self.errors)
                return run_workflow(self._around(), self.stage.read(text), 1, restart=restart), None
        except (TaskError, Killed, KeyboardInterrupt) as error:
            return None, error
        finally:
            self.running = False
            watcher.acts = {}
            if broken:
                self.world.set_option("", "BREAK")
            if any(event.name == "spoil_requests" for _, event in events):
                self.stage.sandbox.faults([])

    def _around(self) -> Surroundings:
        world = self.world
        return Surroundings(
            db=world.db,
            site=self.stage.site,
            clock=world.clock,
            connect=lambda account: open_connector(world.sandbox, **world.options),
            watcher=world.watcher,
            zone=ZoneInfo("UTC"),
        )

    def _planned(
        self, events: Sequence[tuple[Any, Event]], ending: tuple[str, str] | None
    ) -> tuple[dict[tuple[int, bool], list[Callable[[], None]]], dict[str, list[Callable[[], None]]]]:
        """What happens at which request, and at which activity."""
        plan: dict[tuple[int, bool], list[Callable[[], None]]] = {}
        acts: dict[str, list[Callable[[], None]]] = {}
        for moment, event in events:
            act = partial(self.happen, event)
            if isinstance(moment, str):
                acts.setdefault(moment, []).append(act)
            else:
                plan.setdefault(moment, []).append(act)
        if ending is not None:
            acts.setdefault(ending[0], []).append(partial(_end, ending[1]))
        return plan, acts

    def _check_writes(self, report: RunReport | None) -> None:
        """Nothing unchanged is ever written, and what the report says is what happened."""
        written = self.stage.writes()
        assert set(written) <= {"insert", "update"}, written
        if report is not None and not report.resumed:
            counts = report.counts.get("write", {})
            said = {"insert": counts.get("inserted", 0), "update": counts.get("updated", 0)}
            assert written == {what: number for what, number in said.items() if number}

    def _take_note(self, before: str | None) -> None:
        """What the confirmed windows of a run have read: of the right org. The option is where a window left it that
        found it as it had read it, or else a person."""
        with self.stage.db.reading() as transaction:
            rows = transaction.rows(
                "select id, end_at, start_at, org, option_read from crosstie.import_window where status = 'confirmed'"
                " and id > :known order by id",
                {"known": self.confirmed},
            )
        option = before if self.edited_to is None else self.edited_to
        for number, end, start, org, read in rows:
            assert org != OTHER_ORG
            self.confirmed = int(number)
            if option == read:
                option = windows.option_text(parse_instant(str(end)))
            self.org.was_read(self.seen, parse_instant(str(end)), all_of_it=start is None)
        assert self.world.option() == option

    def _check_window(self, window: Window) -> None:
        """A window does not outrun the CRM's clock, and reaches back no further than what was late gives cause to."""
        latest = self.org.latest - GUARD
        assert window.end <= max(latest, window.start or latest)
        assert window.overlap <= MOST_LATE * 3 / 2
        if window.overlap > OVERLAP:
            happened("the overlap had grown")

    def _last_window(self) -> Window | None:
        with self.stage.db.reading() as transaction:
            row = transaction.row("select run from crosstie.import_window order by id desc limit 1")
            return windows.windows_of(transaction, int(row[0]))[-1] if row else None

    # After quiet

    def teardown(self) -> None:
        """Quiet: then the rows are the org's, and nothing is written any more."""
        self.left_behind += [one.id for one in self.org.records] if hasattr(self, "org") else []
        if not self.failed and hasattr(self, "org"):
            self.become_quiet()
            self._finish()
            assert self.run([], restart=False, broken="", ending=None) is not None
            self.compare()
            again = self.run([], restart=False, broken="", ending=None)
            assert again is not None
            assert again.counts["read"]["rows"] == 0, again.counts
            assert again.counts["write"] == {"inserted": 0, "updated": 0, "unchanged": 0, "rejected": 0}
            self.compare()

    def become_quiet(self) -> None:
        """Everything stands right again, and all that is open has ended long ago."""
        self.show()
        self.lead_back()
        if self.world.option() == MALFORMED:
            self._write_option(self.good_option or "")
        ends = [one for one in (self.frontier(), self.org.last_due()) if one is not None]
        self.org.set_clock(max(self.org.now, *ends) + timedelta(hours=1))

    def _finish(self) -> None:
        """A run that was not finished is, or begun anew where it can't be: it holds another org's records."""
        with self.stage.db.reading() as transaction:
            latest = state.latest_run(transaction, WORKFLOW)
        unfinished = latest is not None and latest.status in state.RESUMABLE
        if unfinished and self.run([], restart=False, broken="", ending=None) is None:
            assert self.run([], restart=True, broken="", ending=None) is not None

    def compare(self) -> None:
        """The living rows are the org's living records; those that can't be converted are in the inbox."""
        records, rows = self.stage.records(), self.stage.rows()
        alive = {one.id for one in self.org.records if one.state == "alive"}
        bad = {one.id for one in self.org.records if one.bad}
        assert set(records) == alive
        assert {one: rows.get(one) for one in alive - bad} == {one: records[one] for one in alive - bad}
        assert set(rows) <= {one.id for one in self.org.records}
        dismissed = {one.id for one in self.org.records if one.dismissed}
        inbox = {one.remote_id for one in Rejects(self.stage.db, self.world.clock.now).list()}
        assert inbox - dismissed == (alive & bad) - dismissed


def _end(how: str) -> None:
    raise Killed if how == "killed" else KeyboardInterrupt
