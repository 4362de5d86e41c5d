"""From files to the private work tables of a task: typed rows and refused ones, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import pyarrow as pa

from crosstie.activities.file_load import FileLoad, reject_columns
from crosstie.activities.file_load.opening import pieces
from crosstie.activities.files.bytes import Identity, identify
from crosstie.activities.files.cells import Cells, Refused, RowReader
from crosstie.activities.files.names import FilesFolder, render
from crosstie.activities.files.pieces import Malformed
from crosstie.db.columns import arrow_schema
from crosstie.db.database import Load, Transaction
from crosstie.db.statements import quote_identifier
from crosstie.errors import FileError
from crosstie.model import Column, ColumnType
from crosstie.workflow import files
from crosstie.workflow.activity import OK, REJECTS, Context, Done, Reject, Shape
from crosstie.workflow.files import FileRecord


@dataclass(slots=True, kw_only=True)
class Loaded:
    """A file that was loaded."""

    name: str
    identity: Identity
    rows: int = 0


class Loading:
    """One execution of a file load."""

    def __init__(self, activity: FileLoad, context: Context) -> None:
        self.activity = activity
        self.context = context
        self.folder = FilesFolder(context.site.files_folder())
        self.specified = activity.specified(context.site)
        self.columns = activity.loaded(context.site)
        self.bad_columns = reject_columns(self.columns)
        self.reader = RowReader(cells=self._cells(), dialect=context.db.dialect)
        self.rows = 0
        self.refused = 0

    def _cells(self) -> tuple[Cells, ...]:
        activity = self.activity
        return tuple(
            Cells(
                column=one.column(name),
                zone=self.context.zone,
                decimal=activity.decimal,
                thousands=activity.thousands,
                format=one.format,
                trim=activity.trim,
                mandatory=one.mandatory,
                default=one.default_text,
            )
            for name, one in self.specified.items()
        )

    def run(self) -> Done:
        """Loads the files."""
        chosen = self._choose()
        good, bad = self.context.private_name(), self.context.private_name(REJECTS)
        self.context.db.create_work(good, self.columns)
        self.context.db.create_work(bad, self.bad_columns)
        with ExitStack() as stack:
            into = stack.enter_context(self.context.db.load(good, self.columns))
            refused = stack.enter_context(self.context.db.load(bad, self.bad_columns))
            for one in chosen:
                self._load(one, into, refused)
        self._tell_odd_times()
        shape = Shape(columns=self.columns, key=tuple(_name(self.columns, name) for name in self.activity.key))
        self.context.db.prepare(good)
        self._refuse_doubles(good, shape)
        tables = {OK: shape.work_table(good, self.rows)}
        if self.activity.rejects is not None:
            tables[REJECTS] = Shape(columns=self.bad_columns).work_table(bad, self.refused)
        return Done(
            tables=tables,
            counts={"files": len(chosen), "rows": self.rows, "refused": self.refused},
            vars={"fileName": chosen[-1].name if chosen else "", "fileCount": len(chosen), "fileRows": self.rows},
            rejects=self._rejects(bad) if self.refused else (),
            effect=lambda transaction: self._record(transaction, chosen),
            after=self._move,
        )

    def _choose(self) -> list[Loaded]:
        """The files to load. Raises FileError where there is none, unless that is allowed."""
        files.move_pending(self.context.db, self.folder.root)
        pattern = render(self.context, self.activity.file)
        found = self.folder.find(pattern)
        if not found and self.activity.missing == "fail":
            raise FileError(
                f"There is no file {pattern} in {self.folder.root}.",
                hint="Put it there, or set “missing: empty” where that is as it should be.",
                code="NO_FILE",
            )
        if not found:
            self.context.log.info(f"There is no file {pattern}: no rows are put out.")
        named = [Loaded(name=name, identity=identify(self.folder.path(name))) for name in found]
        return [one for one in named if not self._is_known(one)]

    def _is_known(self, one: Loaded) -> bool:
        if self.activity.afterwards != "mark":
            return False
        context, identity = self.context, one.identity
        with context.db.reading() as transaction:
            run = files.loaded_in(
                transaction, context.workflow, context.activity, one.name, identity.size, identity.digest
            )
        if run is not None:
            context.log.info(f"{one.name} was loaded in run {run} and is the same since: it is left out.")
        return run is not None

    def _load(self, one: Loaded, into: Load, refused: Load) -> None:
        path = self.folder.path(one.name)
        wanted = [column.from_ or name for name, column in self.specified.items()]
        for piece in pieces(self.activity, path, wanted):
            found = self.reader.sort(piece)
            good = self._with_name(found.good, one.name)
            if good.num_rows:
                into.write(good)
                one.rows += good.num_rows
                self.rows += good.num_rows
            if found.refused:
                refused.write(self._refusals(one.name, found.refused, found.texts))
                self.refused += len(found.refused)
            if piece.malformed:
                refused.write(self._malformed(one.name, piece.malformed))
                self.refused += len(piece.malformed)
            self.context.progress(self.rows, None)
        if identify(path) != one.identity:
            raise FileError(
                f"The file {one.name} changed while it was read.",
                hint="Write it under another name and rename it when it is complete; then run this again.",
                code="FILE_CHANGED",
            )

    def _with_name(self, batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
        arrays = list(batch.columns)
        if self.activity.file_as:
            arrays.append(pa.array([name] * batch.num_rows, pa.string()))
        return pa.RecordBatch.from_arrays(arrays, names=[column.name for column in self.columns])

    def _refusals(self, name: str, refused: list[Refused], texts: list[pa.Array]) -> pa.RecordBatch:
        arrays = [*texts, *([pa.array([name] * len(refused), pa.string())] if self.activity.file_as else [])]
        told = (
            [name] * len(refused),
            [one.line for one in refused],
            [one.column for one in refused],
            [one.symbol for one in refused],
            [one.message for one in refused],
            [None] * len(refused),
        )
        return self._bad_batch(arrays, told)

    def _malformed(self, name: str, malformed: list[Malformed]) -> pa.RecordBatch:
        count = len(malformed)
        told = (
            [name] * count,
            [one.line for one in malformed],
            [None] * count,
            ["MALFORMED"] * count,
            [one.reason for one in malformed],
            [one.text.replace("\0", "") for one in malformed],
        )
        return self._bad_batch([pa.nulls(count, pa.string()) for _ in self.columns], told)

    def _bad_batch(self, texts: list[pa.Array], told: Sequence[Sequence[object]]) -> pa.RecordBatch:
        import pyarrow.compute as pc

        schema = arrow_schema(self.bad_columns)
        plain = [pc.replace_substring(one, "\0", "") for one in texts]
        arrays = [
            pa.array(list(values), one.type) for values, one in zip(told, list(schema)[len(texts) :], strict=True)
        ]
        return pa.RecordBatch.from_arrays([*plain, *arrays], schema=schema)

    def _tell_odd_times(self) -> None:
        for count, what in (
            (self.reader.repeated, "twice (read as the first)"),
            (self.reader.skipped, "not at all (read as the first instant after the gap)"),
        ):
            if count:
                self.context.log.warning(
                    f"{count:,} times without zone are ones that {self.context.zone.key} has {what}."
                )

    def _refuse_doubles(self, name: str, shape: Shape) -> None:
        """The key has to be one."""
        if not shape.key:
            return
        listed = ", ".join(quote_identifier(one) for one in shape.key)
        empty = " or ".join(f"{quote_identifier(one)} is null" for one in shape.key)
        with self.context.db.reading() as transaction:
            found = transaction.row(
                f"select count(*) from (select count(*) as c from crosstie.{name} group by {listed}"
                f" having count(*) > 1 or {empty}) q"
            )
        if found is not None and found[0]:
            raise FileError(
                f"The key {', '.join(shape.key)} is not unique, or empty, for {found[0]:,} of its values.",
                hint="Leave “key” out and deduplicate the rows behind it, or mend the file.",
                code="NOT_UNIQUE",
            )

    def _rejects(self, bad: str) -> Iterator[Reject]:
        """The refused rows for the inbox."""
        names = [one.name for one in self.bad_columns]
        listed = ", ".join(quote_identifier(name) for name in names)
        for batch in self.context.db.read(f"select {listed} from crosstie.{bad}", None, self.bad_columns):
            for row in batch.to_pylist():
                yield Reject(
                    symbol=str(row["errorSymbol"]),
                    message=f"{row['errorFile']}, line {row['errorLine']}: {row['errorMessage']}",
                    field=str(row["errorColumn"] or ""),
                    value=row.get(str(row["errorColumn"])),
                    record={name: None if value is None else str(value) for name, value in row.items()},
                )

    def _record(self, transaction: Transaction, chosen: list[Loaded]) -> None:
        """What was loaded, and where it is to be moved."""
        context = self.context
        for one in chosen:
            record = FileRecord(
                workflow=context.workflow,
                activity=context.activity,
                run=context.run,
                task=context.task,
                direction="loaded",
                name=one.name,
                size=one.identity.size,
                digest=one.identity.digest,
                rows=one.rows,
            )
            if self.activity.afterwards == "archive":
                record = replace(record, moved_from=one.name, moved_to=self._archived(one.name))
            elif self.activity.afterwards == "delete":
                record = replace(record, moved_from=one.name)
            files.record_file(transaction, record, context.now())

    def _archived(self, name: str) -> str:
        """A name in the archive that is not taken."""
        target = PurePosixPath(render(self.context, self.activity.archive)) / PurePosixPath(name).name
        self.folder.path(str(target))
        if _exists(self.folder.root / target):
            target = target.with_name(f"{target.stem}-{self.context.run}-{self.context.task}{target.suffix}")
        return str(target)

    def _move(self) -> None:
        files.move_of(self.context.db, self.folder.root, self.context.task)


def _exists(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _name(columns: tuple[Column, ...], name: str) -> str:
    from crosstie.model import find_column

    found = find_column(columns, name)
    assert found is not None and found.type is not ColumnType.BINARY
    return found.name
