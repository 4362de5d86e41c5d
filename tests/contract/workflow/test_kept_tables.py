"""The tables that a task names in what it keeps: its next attempt finds them, whoever sweeps in between."""

from __future__ import annotations

import pytest

from crosstie.db.database import Database
from crosstie.errors import TaskError, UnavailableError
from crosstie.model import Column, ColumnType
from crosstie.workflow.activity import Context
from tests.contract.workflow.test_dispatch import PLAY, run


def test_tables_that_a_task_keeps_outlive_its_attempts_and_end_with_the_run(database: Database) -> None:
    found: list[list[str]] = []

    def act(context: Context) -> None:
        found.append([name for name in context.db.work_tables() if name.startswith("w_")])
        if len(found) == 3:
            return
        if not context.state:
            for word in ("batches_rows", "loose"):
                context.db.create_work(context.private_name(word), [Column(name="n", type=ColumnType.INTEGER)])
            with context.step("notes its tables") as transaction:
                context.keep(transaction, {"tables": context.private_name("batches"), "batches": 0})
        raise UnavailableError("the CRM is away", code="AWAY")

    PLAY.acts = {"one": act}
    for _ in range(2):
        with pytest.raises(TaskError):
            run(database, "  one: {type: act}")
    run(database, "  one: {type: act}")
    kept = [name for name in found[1] if name.endswith("_batches_rows")]
    assert found == [[], kept, kept] and len(kept) == 1
    assert not database.work_tables()
