"""An import by the CRM's change tracking: which records changed is told by their ids, and these are read.

The token from which the next run goes on is kept with the window, in the commit that publishes what was read; the
confirmation of the window is what makes it count. Tracking knows neither filter nor parents: the records are read by
their ids as any others are, so that both mean the same as in an import by stamps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from crosstie.activities.crm_import import DELETED
from crosstie.activities.receiving.asides import ID, by_ids, drop_living
from crosstie.activities.receiving.indexing import Indexing
from crosstie.activities.receiving.tracking import TrackedChanges
from crosstie.activities.remote import deleted_shape
from crosstie.crm.connector import Connector, RemoteQuery
from crosstie.db.database import Transaction
from crosstie.model import WorkTable
from crosstie.sync import shipments, windows
from crosstie.workflow.activity import Context

if TYPE_CHECKING:
    from crosstie.activities.crm_import import CrmImport
    from crosstie.activities.crm_import.planning import Plan


@dataclass(slots=True, kw_only=True)
class Tracked:
    """The tracked changes that one import reads. `held`: nothing is read this time, see `end_of_window`."""

    activity: CrmImport
    context: Context
    connector: Connector
    plan: Plan
    changes: TrackedChanges
    held: bool = False
    rows: int = 0

    @classmethod
    def of(cls, activity: CrmImport, context: Context, connector: Connector, plan: Plan) -> Tracked | None:
        """The changes of an import that goes by them."""
        if activity.index is None or not activity.tracks:
            return None
        changes = TrackedChanges(
            context=context,
            connector=connector,
            remote=plan.remote,
            changed=context.private_name("changed"),
            gone=context.private_name("gone"),
        )
        window = plan.window
        unanswered = _unanswered(context, window.account, window.org, window.object)
        held = unanswered is not None and window.end == (window.start or windows.BEGINNING)
        return cls(activity=activity, context=context, connector=connector, plan=plan, changes=changes, held=held)

    def queries(self, refused: Sequence[str]) -> Iterator[RemoteQuery]:
        """The reads to make: of everything at first, and where the CRM no longer has the changes; else of the ids that
        changed. `refused` are ids to ask for again."""
        token = self._token()
        if not token and self.plan.window.start is not None:
            self.context.log.warning(
                f"There is no token with which change tracking of {self.plan.remote.name} could go on from what option"
                f" {self.plan.window.option} holds: everything is read again."
            )
        if not self.changes.read(token):
            self.context.log.warning(
                f"The CRM no longer has the changes of {self.plan.remote.name} since the last import: everything is"
                " read again. What was deleted meanwhile is not told: an import of deletions with “by: compare” finds"
                " it. Run this more often than the CRM keeps changes."
            )
            token = ""
            self.changes.read(token)
        if not token:
            yield self.plan.query
            return
        db, table = self.context.db, self.changes.changed
        with db.transaction("refused before") as transaction:
            for one in refused:
                transaction.execute(f"insert into crosstie.{table} ({ID.name}) values (:id)", {"id": one})
        sql = f"select distinct {ID.name} from crosstie.{table} order by 1"
        yield from by_ids(self.context, self.connector, self.plan.query, sql)

    def _token(self) -> str:
        """The token that belongs to the window's start; '' where there is none, and everything is to be read."""
        window = self.plan.window
        with self.context.db.reading() as transaction:
            last = windows.last_confirmed(transaction, window.option)
        if last is None or last.end != window.start or last.field != windows.TRACKING:
            return ""
        return last.job if last.object == window.object else ""

    def table(self) -> WorkTable:
        """What the Deleted transition carries: each deleted record once, without those that are there again."""
        shape = deleted_shape(self.plan.remote, self.context.site, self.activity.account, org=self.plan.window.org)
        name, key = self.context.private_name(DELETED), self.context.db.quote(shape.columns[0].name)
        self.context.db.create_work(name, shape.columns)
        if not self.held:
            with self.context.db.transaction("deleted records") as transaction:
                self.rows = transaction.execute(
                    f"insert into crosstie.{name} ({key}) select distinct {ID.name} from crosstie.{self.changes.gone}"
                )
        if self.rows:
            living = drop_living(self.context, self.connector, self.plan.remote, name, shape.columns[0].name)
            self.rows -= living
        return shape.work_table(name, self.rows)

    def tell(self) -> None:
        """Says in the log what nobody takes."""
        if self.changes.deletions and self.activity.deleted is None:
            name = self.plan.remote.name
            self.context.log.info(f"{self.changes.deletions:,} {name} records were deleted; “deleted:” hands them on.")

    def record(self, transaction: Transaction) -> None:
        """In the publishing transaction: from where the next window goes on."""
        token = self._token() if self.held else self.changes.token
        if token:
            windows.keep_job(transaction, self.plan.window, token)


def end_of_window(indexing: Indexing, start: datetime | None, now: datetime) -> datetime:
    """The end of a new window, the CRM's clock. While something that we have sent to the object has no answer, nothing
    is read, and the index stays where it is: the records would come in as another's changes, new ones as strangers."""
    unanswered = _unanswered(indexing.context, indexing.account, indexing.org, indexing.object)
    if unanswered is None:
        end = now.replace(second=0, microsecond=0)
        return max(end, start) if start is not None else end
    _, workflow, run = unanswered
    indexing.context.log.warning(
        f"What run {run} of {workflow} sent has no answer yet: nothing of {indexing.object} is read before that is"
        f" settled, by the next export of {indexing.object} from this account, like crosstie run {workflow}."
    )
    return start or windows.BEGINNING


def _unanswered(context: Context, account: str, org: str, name: str) -> tuple[datetime, str, int] | None:
    with context.db.reading() as transaction:
        return shipments.first_unanswered(transaction, account, org, name)
