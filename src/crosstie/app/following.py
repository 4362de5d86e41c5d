"""The log of a run as it grows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from crosstie.db.database import Database, Transaction
from crosstie.workflow import state
from crosstie.workflow.holding import Hold
from crosstie.workflow.state import Run, RunStatus
from crosstie.workflow.watcher import Message, messages

# Transactions that end later may hold smaller numbers: so far back each look reads again, the last one from the start.
_LOOKS_BACK = 1_000
# A run that begins takes the hold first; one that is taken over is without hold for a moment.
_LOOKS_WITHOUT_HOLD = 3


def follow(db: Database, run: Run, wait: Callable[[], None]) -> Iterator[Message]:
    """Every message of the run once, until it is over or nobody carries it on. `wait` is called between two looks."""
    seen: set[int] = set()
    alone = 0
    while True:
        with db.reading() as transaction:
            now = state.find_run(transaction, run.id)
            kept = now is not None and (now.served or _belongs(transaction, run.id))
        alone = 0 if kept or db.holder(Hold(db, run.workflow).name) else alone + 1
        over = now is None or not is_at_work(now) or alone >= _LOOKS_WITHOUT_HOLD
        after = 0 if over else max(seen, default=0) - _LOOKS_BACK
        with db.reading() as transaction:
            found = _unseen(transaction, run.id, after, seen)
        yield from found
        seen.update(message.id for message in found)
        if over:
            return
        wait()


def _belongs(transaction: Transaction, run: int) -> bool:
    """Whether another run carries it on."""
    found = transaction.row("select parent_task from crosstie.run where id = :run", {"run": run})
    return found is not None and found[0] is not None


def is_at_work(run: Run) -> bool:
    """Whether more is to come without a person's doing."""
    return run.status in (RunStatus.RUNNING, RunStatus.WAITING)


def _unseen(transaction: Transaction, run: int, after: int, seen: set[int]) -> list[Message]:
    return [message for message in messages(transaction, run, after) if message.id not in seen]
