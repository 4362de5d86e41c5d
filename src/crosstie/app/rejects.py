"""The reject inbox: refused rows, kept until they are accepted or dismissed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from crosstie.db.audit import record
from crosstie.db.database import Database, parse_instant
from crosstie.errors import ConfigError
from crosstie.workflow.inbox import lock_rejects


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxReject:
    """A refused row. `status` is open, accepted or dismissed; `value` and `record` may hold personal data."""

    id: int
    run: int
    workflow: str
    activity: str
    account: str
    object: str
    remote_id: str
    row_key: str
    code: str
    symbol: str
    message: str
    field: str
    value: str | None
    record: Mapping[str, str | None]
    at: datetime
    status: str


_COLUMNS = (
    "id, run, workflow, activity, account, object, remote_id, row_key, code, symbol, message, field, value, record, at,"
    " status"
)


class Rejects:
    """`app.rejects`."""

    def __init__(self, db: Database, now: Callable[[], datetime]) -> None:
        self._db = db
        self._now = now

    def list(
        self, *, workflow: str = "", run: int | None = None, open_only: bool = True, limit: int = 100
    ) -> tuple[InboxReject, ...]:
        """The newest first."""
        where, params = _where(workflow, run, open_only)
        with self._db.reading() as transaction:
            rows = transaction.rows(
                f"select {_COLUMNS} from crosstie.reject {where} order by id desc limit {int(limit)}", params
            )
        return tuple(_reject(row) for row in rows)

    def count(self, *, workflow: str = "", run: int | None = None, open_only: bool = True) -> int:
        """How many there are."""
        where, params = _where(workflow, run, open_only)
        with self._db.reading() as transaction:
            row = transaction.row(f"select count(*) from crosstie.reject {where}", params)
        return int(row[0]) if row else 0

    def get(self, number: int) -> InboxReject:
        """One reject by its number. Raises ConfigError when there is none."""
        with self._db.reading() as transaction:
            row = transaction.row(f"select {_COLUMNS} from crosstie.reject where id = :id", {"id": number})
        if row is None:
            raise ConfigError(f"There is no reject {number}.", hint="All open ones: crosstie rejects list")
        return _reject(row)

    def dismiss(self, numbers: Sequence[int] = (), *, workflow: str = "") -> int:
        """Closes rejects by number, or all open ones of a workflow; how many were open. An import does not ask for
        their records again. Raises ConfigError for an unknown number, and then closes none."""
        chosen = "r.workflow = :workflow" if workflow else f"r.id in ({', '.join(str(int(one)) for one in numbers)})"
        params = {"workflow": workflow} if workflow else {}
        with self._db.transaction("rejects are dismissed") as transaction:
            concerned = transaction.rows(f"select distinct r.workflow from crosstie.reject r where {chosen}", params)
            for name in sorted(str(row[0]) for row in concerned):
                lock_rejects(transaction, name)
            known = {
                int(row[0]) for row in transaction.rows(f"select r.id from crosstie.reject r where {chosen}", params)
            }
            unknown = sorted(set(numbers) - known)
            if unknown:
                raise ConfigError(
                    f"There is no reject {', '.join(map(str, unknown))}; none was dismissed.",
                    hint="All open ones: crosstie rejects list",
                )
            transaction.execute(
                "delete from crosstie.unaccepted where (option_name, remote_id) in"
                " (select w.option_name, r.remote_id from crosstie.reject r join crosstie.import_window w"
                f" on w.workflow = r.workflow and w.activity = r.activity where r.status = 'open' and {chosen})",
                params,
            )
            closed = transaction.execute(
                "update crosstie.reject set status = 'dismissed' where status = 'open' and id in"
                f" (select r.id from crosstie.reject r where {chosen})",
                params,
            )
            thing = f"rejects of workflow {workflow}" if workflow else f"rejects {', '.join(map(str, numbers))}"
            record(transaction, self._now(), "dismiss", thing, f"{closed} open", "dismissed")
        return closed


def _where(workflow: str, run: int | None, open_only: bool) -> tuple[str, dict[str, object]]:
    conditions: list[str] = []
    params: dict[str, object] = {}
    if workflow:
        conditions.append("workflow = :workflow")
        params["workflow"] = workflow
    if run is not None:
        conditions.append("run = :run")
        params["run"] = run
    if open_only:
        conditions.append("status = 'open'")
    return (f"where {' and '.join(conditions)}" if conditions else ""), params


def _reject(row: Sequence[object]) -> InboxReject:
    texts = ["" if value is None else str(value) for value in row]
    return InboxReject(
        id=int(texts[0]),
        run=int(texts[1] or 0),
        workflow=texts[2],
        activity=texts[3],
        account=texts[4],
        object=texts[5],
        remote_id=texts[6],
        row_key=texts[7],
        code=texts[8],
        symbol=texts[9],
        message=texts[10],
        field=texts[11],
        value=None if row[12] is None else texts[12],
        record=json.loads(texts[13] or "{}"),
        at=parse_instant(texts[14]),
        status=texts[15],
    )
