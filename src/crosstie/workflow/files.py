"""What is known of files that runs have read and written, and what is still to be moved.

A file is moved after the commit that ends its task, which records the move: so it is moved exactly when the task is
published. A move that a kill left out is made up for before the run goes on, and by whoever begins a run or serves.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from crosstie.db.database import Database, Transaction, instant_text

log = logging.getLogger(__name__)

Direction = Literal["loaded", "written"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """A file that a task has read or written; names are relative to the folder of files. With `moved_to` it is to be
    moved there from `moved_from` when the task is published ('' as `moved_to`: removed)."""

    workflow: str
    activity: str
    run: int
    task: int
    direction: Direction
    name: str
    size: int
    digest: str
    rows: int
    moved_from: str = ""
    moved_to: str = ""


def record_file(transaction: Transaction, record: FileRecord, at: datetime) -> None:
    """Keeps what is known of a file, and that it is to be moved."""
    transaction.execute(
        "insert into crosstie.file (workflow, activity, run, task, direction, name, size_bytes, digest, row_count, at,"
        " status, from_name, to_name) values (:workflow, :activity, :run, :task, :direction, :name, :size, :digest,"
        " :rows, :at, :status, :from, :to)",
        {
            "workflow": record.workflow,
            "activity": record.activity,
            "run": record.run,
            "task": record.task,
            "direction": record.direction,
            "name": record.name,
            "size": record.size,
            "digest": record.digest,
            "rows": record.rows,
            "at": instant_text(at),
            "status": "moving" if record.moved_from else "done",
            "from": record.moved_from,
            "to": record.moved_to,
        },
    )


def loaded_in(transaction: Transaction, workflow: str, activity: str, name: str, size: int, digest: str) -> int | None:
    """The run in which that activity has loaded a file of that name, size and content, None where it has not."""
    row = transaction.row(
        "select max(run) from crosstie.file where workflow = :workflow and activity = :activity and name = :name"
        " and direction = 'loaded' and size_bytes = :size and digest = :digest",
        {"workflow": workflow, "activity": activity, "name": name, "size": size, "digest": digest},
    )
    return None if row is None or row[0] is None else int(row[0])


def move_pending(db: Database, folder: Path) -> None:
    """Makes up for moves that were recorded and not carried out. What cannot be moved stays recorded, and is told."""
    with db.reading() as transaction:
        found = transaction.rows("select id, from_name, to_name from crosstie.file where status = 'moving' order by id")
    for number, source, target in found:
        move_recorded(db, folder, int(number), str(source), str(target))


def pending_names(db: Database) -> frozenset[str]:
    """The names that published files still have, and are to lose."""
    with db.reading() as transaction:
        return frozenset(
            str(row[0]) for row in transaction.rows("select from_name from crosstie.file where status = 'moving'")
        )


def move_of(db: Database, folder: Path, task: int) -> None:
    """Carries out the moves that a task has recorded."""
    with db.reading() as transaction:
        found = transaction.rows(
            "select id, from_name, to_name from crosstie.file where status = 'moving' and task = :task order by id",
            {"task": task},
        )
    for number, source, target in found:
        move_recorded(db, folder, int(number), str(source), str(target))


def move_recorded(db: Database, folder: Path, number: int, source: str, target: str) -> None:
    """Moves one file and notes it. One that is not there any more was moved before a kill."""
    try:
        if target:
            (folder / target).parent.mkdir(parents=True, exist_ok=True)
            os.replace(folder / source, folder / target)  # noqa: PTH105 - it is this call that is atomic
            sync_folder((folder / target).parent)
        else:
            (folder / source).unlink()
        sync_folder((folder / source).parent)
    except FileNotFoundError:
        if not folder.is_dir():
            log.warning("The folder %s is not there: %s is moved when it is back.", folder, source)
            return
    except OSError as error:
        log.warning("%s cannot be moved to %s: %s. It is tried again.", source, target or "(removed)", error.strerror)
        return
    with db.transaction(f"{source} is moved") as transaction:
        transaction.execute("update crosstie.file set status = 'done' where id = :id", {"id": number})


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder outlive a crash of the machine."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
