"""What is kept of runs that are over, and for how long. Nothing here is done by a start or a restart.

Windows, options, ties and the open rejects are no history: they stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from crosstie.db.database import Database, instant_text
from crosstie.sync import plans
from crosstie.workflow.state import RESUMABLE

# So many runs are removed in one transaction, so that nobody waits long.
_PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Purged:
    """How much was removed."""

    runs: int
    messages: int


def purge(db: Database, workflow: str, before: datetime) -> Purged:
    """Removes the runs of a workflow that were over before an instant, with their tasks, events, messages and settled
    rejects, and what is known of mails that were sent and files that were written or moved before it. Its newest run,
    and all that are not over, stay."""
    runs = messages = 0
    living = ", ".join(f"'{status}'" for status in RESUMABLE)
    given: dict[str, object] = {"workflow": workflow, "before": instant_text(before)}
    while True:
        with db.transaction(f"history of {workflow} is purged") as transaction:
            found = transaction.rows(
                f"select id from crosstie.run where workflow = :workflow and status not in ({living})"
                " and ended_at < :before and id < (select max(id) from crosstie.run where workflow = :workflow)"
                " and not exists (select 1 from crosstie.import_window w where w.run = crosstie.run.id"
                f" and w.status = 'open') and (parent_task is null or parent_task not in (select t.id from"
                f" crosstie.task t join crosstie.run p on p.id = t.run where p.status in ({living})))"
                f" order by id limit {_PAGE}",
                given,
            )
            listed = ", ".join(str(int(row[0])) for row in found)
            if not listed:
                messages += transaction.execute(
                    "delete from crosstie.log where workflow = :workflow and run is null and at < :before", given
                )
                transaction.execute(
                    "delete from crosstie.request where workflow = :workflow and done_at < :before", given
                )
                transaction.execute(
                    "delete from crosstie.outbox where workflow = :workflow and status <> 'waiting'"
                    " and ended_at < :before",
                    given,
                )
                # A loaded file that stayed where it is would be loaded again if it were forgotten.
                transaction.execute(
                    "delete from crosstie.file where workflow = :workflow and status = 'done' and at < :before"
                    " and (direction = 'written' or from_name <> '')",
                    given,
                )
                return Purged(runs=runs, messages=messages)
            plans.forget_plans(transaction, [int(row[0]) for row in found])
            messages += transaction.execute(f"delete from crosstie.log where run in ({listed})")
            transaction.execute(f"delete from crosstie.event where run in ({listed})")
            transaction.execute(f"delete from crosstie.api_usage where run in ({listed})")
            transaction.execute(f"delete from crosstie.task where run in ({listed})")
            transaction.execute(f"delete from crosstie.reject where run in ({listed}) and status <> 'open'")
            runs += transaction.execute(f"delete from crosstie.run where id in ({listed})")
