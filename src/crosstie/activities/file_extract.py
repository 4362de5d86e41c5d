"""File extract: the population as a file that appears, whole, when the task is published."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from crosstie.activities.files.bytes import Identity, identify
from crosstie.activities.files.formats import Format, compression_of, date_pieces, delimiter_of, encoding_of, format_of
from crosstie.activities.files.names import FilesFolder, name_mistake, render
from crosstie.db.database import Transaction
from crosstie.db.expressions import Expression, Scope
from crosstie.db.merge.phrases import OrderLine, Phrases, Writer
from crosstie.db.statements import quote_identifier
from crosstie.errors import FileError, MappingError
from crosstie.model import Column
from crosstie.workflow import files
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site
from crosstie.workflow.files import FileRecord

if TYPE_CHECKING:
    import pyarrow as pa

    from crosstie.activities.files.writing import Style

_Columns = Annotated[dict[str, str], Field(min_length=1)] | Annotated[list[str], Field(min_length=1)]


class FileExtract(Activity):
    """Writes the inbound population into a file."""

    summary: ClassVar[str] = "writes the population into a file: CSV, JSON Lines or Parquet"
    acts_outside: ClassVar[bool] = True

    type: Literal["file_extract"]
    file: str = Field(description="the file within files_folder, with templates; .gz packs it")
    columns: dict[str, str] | None = Field(
        None, min_length=1, description="name: expression, or a list of columns, in this order; by default all"
    )
    order: tuple[OrderLine, ...] = Field((), description="which rows come first; the key breaks a tie")
    format: Format | None = Field(None, description="csv, jsonl or parquet; by default what the file's ending says")
    encoding: str = Field("utf-8", description="of a CSV file; utf-8-sig writes a byte order mark, as Excel wants it")
    delimiter: str = Field(",", description="between the values of a CSV file; tab, or a character")
    quote: Literal['"', "'", ""] = Field('"', description="around values of a CSV file that need it; empty for never")
    header: bool = Field(True, description="the first line of a CSV file names the columns")
    line_end: Literal["lf", "crlf"] = Field("lf", description="how lines of a CSV file end")
    null: str = Field("", description="the text of a CSV file that stands for empty")
    decimal: Literal[".", ","] = Field(".", description="what stands before the decimals of a number in a CSV file")
    date_format: str = Field("", description="how dates are written, like dd/MM/yyyy; by default yyyy-MM-dd")
    instant_format: str = Field(
        "", description="how dates with time are written, in the zone in force; by default ISO with the offset"
    )
    guard: bool = Field(
        False, description="puts an apostrophe before texts that a spreadsheet would take for a formula"
    )
    exists: Literal["replace", "fail"] = Field("replace", description="when there is such a file already")
    empty: Literal["write", "skip"] = Field("write", description="when there are no rows: write the file, or none")

    @field_validator("columns", mode="before", json_schema_input_type=_Columns | None)
    @classmethod
    def _named(cls, value: Any) -> Any:
        return {one: one for one in value} if isinstance(value, list) else value

    @field_validator("order", mode="before", json_schema_input_type=OrderLine | tuple[OrderLine, ...])
    @classmethod
    def _ordered(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, value: str) -> str:
        return delimiter_of(value)

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        return encoding_of(value)

    @field_validator("date_format", "instant_format")
    @classmethod
    def _pattern(cls, value: str) -> str:
        if value:
            date_pieces(value)
        return value

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """A name that leads out of the folder, expressions that can't be read, columns that collide."""
        mistake = name_mistake(self.file)
        if mistake:
            yield Problem(path=("file",), message=mistake)
        elif compression_of(self.file) == "zip":
            yield Problem(path=("file",), message="zip archives are not written: use .gz, or no ending of that kind")
        if self.delimiter == self.decimal and not self.quote:
            yield Problem(path=("decimal",), message=f"“{self.decimal}” stands between the values already")
        if inputs:
            phrases = Phrases()
            self._read(phrases, inputs[0])
            yield from (Problem(path=place, message=message) for place, message in phrases.mistakes)

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What comes in goes out."""
        return {OK: inputs[0]}

    def _read(self, phrases: Phrases, inbound: Shape) -> list[tuple[str, Expression]]:
        """The columns of the file."""
        scope = Scope.of(inbound.columns, "inbound")
        named = self.columns or {one.name: f'"{one.name}"' for one in inbound.columns}
        found = [(name, phrases.value(("columns", name), text, scope)) for name, text in named.items()]
        for number, line in enumerate(self.order):
            phrases.value(("order", number, line.word), line.text, scope)
        lower = [name.removeprefix("@").lower() for name in named]
        for name in sorted({one for one in lower if lower.count(one) > 1}):
            phrases.refuse(("columns",), f"two columns are called “{name}”")
        return [(name, expression) for name, expression in found if expression is not None]

    def run(self, context: Context) -> Done:
        """Writes under a name that nobody looks for; the commit that ends the task records the name it is to have, and
        after it the file gets it."""
        folder = FilesFolder(context.site.files_folder())
        name = render(context, self.file)
        target = folder.path(name)
        if self.exists == "fail" and target.exists():
            raise FileError(
                f"There is a file {name} already.", hint="Move it away, or choose another name.", code="EXISTS"
            )
        if self.empty == "skip" and not context.input.rows:
            context.log.info(f"No rows came in: {name} is not written.")
            return Done(tables={OK: context.input}, counts={"rows": 0}, vars={"fileName": "", "fileRows": 0})
        private = str(PurePosixPath(name).with_name(f".{PurePosixPath(name).name}.{context.run}-{context.task}.part"))
        _clear(context, folder, target)
        rows = self._write(context, folder.path(private), name)
        identity = identify(folder.path(private))
        written = _Written(context=context, folder=folder, private=private, name=name, rows=rows, identity=identity)
        return Done(
            tables={OK: context.input},
            counts={"rows": rows},
            vars={"fileName": name, "fileRows": rows},
            effect=written.record,
            after=written.move,
        )

    def _write(self, context: Context, path: Path, name: str) -> int:
        from crosstie.activities.files.writing import write

        columns, batches = self._batches(context)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                rows = write(file, self._style(context, name), columns, batches, packed=compression_of(name) == "gzip")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            path.unlink(missing_ok=True)
            raise FileError(f"The file {name} cannot be written: {error.strerror or error}.", code="FILE") from error
        return rows

    def _style(self, context: Context, name: str) -> Style:
        from crosstie.activities.files.writing import Style

        return Style(
            format=self.format or format_of(name),
            zone=context.zone,
            delimiter=self.delimiter,
            quote=self.quote,
            header=self.header,
            encoding=self.encoding,
            line_end="\r\n" if self.line_end == "crlf" else "\n",
            null=self.null,
            decimal=self.decimal,
            dates=self.date_format,
            instants=self.instant_format,
            guarded=self.guard,
        )

    def _batches(self, context: Context) -> tuple[tuple[Column, ...], Iterator[pa.RecordBatch]]:
        """The rows in their order, read in flat memory."""
        phrases = Phrases()
        inbound = Shape.of(context.input)
        read = self._read(phrases, inbound)
        if phrases.mistakes:
            raise MappingError(f"{context.activity}: " + "; ".join(message for _, message in phrases.mistakes))
        binding = context.binding()
        writer = Writer(dialect=context.db.dialect, binding=binding)
        params: dict[str, object] = {}
        shown = []
        for place, (_, expression) in enumerate(read):
            fragment = writer.fragment(expression, {"": "s"})
            params.update(fragment.params)
            shown.append(f"{fragment.sql} as c{place}")
        ordered = []
        for line in self.order:
            ordering = writer.ordering(line, Scope.of(inbound.columns, "inbound"), "s")
            params.update(ordering.value.params)
            ordered.append(ordering.sql)
        ordered += [f"s.{quote_identifier(one)}" for one in inbound.key]
        sql = f"select {', '.join(shown)} from crosstie.{context.input.name} s"
        if ordered:
            sql += f" order by {', '.join(ordered)}"
        columns = tuple(expression.column(name) for name, expression in read)
        return columns, context.db.read(sql, params, columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A file that is written and has not its name yet."""

    context: Context
    folder: FilesFolder
    private: str
    name: str
    rows: int
    identity: Identity

    def record(self, transaction: Transaction) -> None:
        """Keeps what was written, and the name it is to have."""
        context = self.context
        record = FileRecord(
            workflow=context.workflow,
            activity=context.activity,
            run=context.run,
            task=context.task,
            direction="written",
            name=self.name,
            size=self.identity.size,
            digest=self.identity.digest,
            rows=self.rows,
            moved_from=self.private,
            moved_to=self.name,
        )
        files.record_file(transaction, record, context.now())

    def move(self) -> None:
        """Gives the file its name."""
        files.move_of(self.context.db, self.folder.root, self.context.task)


def _clear(context: Context, folder: FilesFolder, target: Path) -> None:
    """Removes what attempts of this run that were killed left behind, after giving what was published its name."""
    files.move_pending(context.db, folder.root)
    if not target.parent.is_dir():
        return
    kept = {folder.root / name for name in files.pending_names(context.db)}
    for left in target.parent.glob(f".{_plain(target.name)}.{context.run}-*.part"):
        if left not in kept:
            left.unlink(missing_ok=True)


def _plain(name: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)
