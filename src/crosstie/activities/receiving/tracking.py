"""What the CRM's change tracking tells since a token, as ids in private tables: in flat memory, however much it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from crosstie.activities.receiving.asides import ID
from crosstie.crm.connector import Changes, Connector
from crosstie.db.database import Load
from crosstie.model import RemoteObject
from crosstie.workflow.activity import Context


@dataclass(slots=True, kw_only=True)
class TrackedChanges:
    """The changes of an object; after `read`, `changed` and `gone` are tables (id) and `token` is from where the next
    read goes on."""

    context: Context
    connector: Connector
    remote: RemoteObject
    changed: str
    gone: str
    token: str = ""
    deletions: int = 0

    def read(self, token: str) -> bool:
        """Reads what changed since the token, '' to begin: that tells of no change, since everything is new. Gives
        whether the CRM still had it; where not, nothing was read."""
        pieces = self.connector.changes(self.remote, token)
        if pieces is None:
            return False
        db = self.context.db
        for table in (self.changed, self.gone):
            db.create_work(table, (ID,))
        with (
            db.load(self.changed, (ID,), expected_rows=0) as changed,
            db.load(self.gone, (ID,), expected_rows=0) as gone,
        ):
            for piece in pieces:
                self._add(piece, changed if token else None, gone)
        return True

    def _add(self, piece: Changes, changed: Load | None, gone: Load) -> None:
        self.token = piece.token
        self.deletions += len(piece.deleted)
        if changed is not None:
            _write(changed, piece.changed)
        _write(gone, piece.deleted)


def _write(load: Load, ids: Sequence[str]) -> None:
    if ids:
        load.write(pa.RecordBatch.from_arrays([pa.array(ids, pa.string())], names=[ID.name]))
