"""File load: the rows of one file, or of several, as a population."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from crosstie.activities.file_load.keys import FileColumn, Kind, as_columns
from crosstie.activities.files.formats import Compression, Format, delimiter_of, encoding_of
from crosstie.activities.files.names import FilesFolder, name_mistake
from crosstie.errors import ConfigError, FileError, MappingError
from crosstie.model import Column, ColumnType, find_column
from crosstie.workflow.activity import OK, REJECTS, Activity, Context, Done, Problem, Shape, Site

REJECT_COLUMNS = (
    Column(name="errorFile", type=ColumnType.TEXT, label="file"),
    Column(name="errorLine", type=ColumnType.INTEGER, label="line, counted from 1"),
    Column(name="errorColumn", type=ColumnType.TEXT, label="column at fault"),
    Column(name="errorSymbol", type=ColumnType.TEXT, label="kind of error"),
    Column(name="errorMessage", type=ColumnType.TEXT, label="why"),
    Column(name="errorText", type=ColumnType.TEXT, label="the line, where it could not be read"),
)
_Columns = Annotated[dict[str, Kind | FileColumn], Field(min_length=1)] | Annotated[list[str], Field(min_length=1)]


class FileLoad(Activity):
    """Loads the rows of files."""

    summary: ClassVar[str] = "loads the rows of files: CSV, JSON Lines or Parquet"
    min_inputs: ClassVar[int] = 0
    extra_transitions: ClassVar[tuple[str, ...]] = (REJECTS,)

    type: Literal["file_load"]
    file: str = Field(
        description="the file within files_folder, with templates; *, ? and [ ] in its last part name several"
    )
    columns: dict[str, FileColumn] | None = Field(
        None, min_length=1, description="name: type, or {type, from, length, scale, format, mandatory, default}"
    )
    detect: str = Field("", description="instead of columns: a sample file within files_folder that tells them")
    format: Format | None = Field(None, description="csv, jsonl or parquet; by default what the file's ending says")
    compression: Compression | None = Field(None, description="none, gzip or zip; by default by the file's ending")
    encoding: str = Field("utf-8", description="of a text file, like windows-1252 or utf-16")
    delimiter: str = Field(",", description="between the values of a CSV file; tab, or a character")
    quote: Literal['"', "'", ""] = Field(
        '"', description="around values of a CSV file; empty where quotes mean nothing"
    )
    header: bool = Field(True, description="the first line of a CSV file names the columns")
    skip: int = Field(0, ge=0, description="lines of a CSV file before its header, or its first row, that are left out")
    nulls: tuple[str, ...] = Field(("",), description="the texts of a CSV file that mean empty")
    trim: bool = Field(False, description="takes spaces away around texts; around all else they are taken away anyway")
    decimal: Literal[".", ","] = Field(".", description="what stands before the decimals of a number")
    thousands: Literal["", ".", ",", " ", "'"] = Field("", description="what may stand between a number's digits")
    missing: Literal["fail", "empty"] = Field(
        "fail", description="when there is no such file: fail, or put out no rows"
    )
    afterwards: Literal["keep", "mark", "archive", "delete"] = Field(
        "keep",
        description="keep: a file is loaded each time; mark: once, as long as it stays the same; archive: it is moved;"
        " delete: it is removed",
    )
    archive: str = Field("archive", description="with afterwards: archive, the folder within files_folder")
    file_as: str = Field("", description="a column that holds the name of the file")
    key: tuple[str, ...] = Field((), description="columns that together are unique; refused when they are not")

    @field_validator("columns", mode="before", json_schema_input_type=_Columns | None)
    @classmethod
    def _columns(cls, value: Any) -> Any:
        return as_columns(value)

    @field_validator("nulls", "key", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("delimiter")
    @classmethod
    def _delimiter(cls, value: str) -> str:
        return delimiter_of(value)

    @field_validator("encoding")
    @classmethod
    def _encoding(cls, value: str) -> str:
        return encoding_of(value)

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Names that lead out of the folder, columns that collide, a sample that is not there or not readable."""
        for place, name in (("file", self.file), ("detect", self.detect), ("archive", self.archive)):
            mistake = name_mistake(name) if name else ""
            if mistake:
                yield Problem(path=(place,), message=mistake)
        if (self.columns is None) == (not self.detect):
            yield Problem(path=("columns",), message="write either “columns” or “detect”")
            return
        if self.decimal == self.thousands:
            yield Problem(path=("thousands",), message=f"“{self.decimal}” stands before the decimals already")
        try:
            columns = self.loaded(site)
        except (FileError, ConfigError) as error:
            yield Problem(path=("detect",), message=f"{error.message} {error.hint}".strip())
            return
        given = [*columns, *(REJECT_COLUMNS if self.rejects else ())]
        names = [one.name.removeprefix("@").lower() for one in given]
        for name in sorted({name for name in names if names.count(name) > 1}):
            yield Problem(path=("columns",), message=f"two columns are called “{name}”")
        for name in self.key:
            if find_column(columns, name) is None:
                yield Problem(path=("key",), message=f"“{name}” is not among the columns")

    def specified(self, site: Site) -> Mapping[str, FileColumn]:
        """The columns, declared or detected. Raises FileError for a sample that cannot be read."""
        if self.columns is not None:
            return self.columns
        from crosstie.activities.file_load.detecting import detect

        return detect(self, FilesFolder(site.files_folder()))

    def loaded(self, site: Site) -> tuple[Column, ...]:
        """The columns of the rows that go out."""
        columns = tuple(one.column(name) for name, one in self.specified(site).items())
        return (*columns, Column(name=self.file_as, type=ColumnType.TEXT)) if self.file_as else columns

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """The columns; refused rows have them as texts, with file, line, column and reason."""
        try:
            columns = self.loaded(site)
        except FileError as error:
            raise MappingError(error.message, hint=error.hint) from error
        shapes: dict[str, Shape | None] = {OK: Shape(columns=columns, key=self._key(columns))}
        if self.rejects is not None:
            shapes[REJECTS] = Shape(columns=reject_columns(columns))
        return shapes

    def _key(self, columns: tuple[Column, ...]) -> tuple[str, ...]:
        found = (find_column(columns, name) for name in self.key)
        return tuple(one.name for one in found if one is not None)

    def run(self, context: Context) -> Done:
        """Loads the files into a private table; which of them were loaded is recorded in the commit that ends the
        task, and after that they are moved."""
        from crosstie.activities.file_load.loading import Loading

        return Loading(self, context).run()


def reject_columns(columns: tuple[Column, ...]) -> tuple[Column, ...]:
    """The columns of refused rows."""
    return (*(Column(name=one.name, type=ColumnType.TEXT, label=one.label) for one in columns), *REJECT_COLUMNS)
