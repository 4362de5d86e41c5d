"""Results of bulk queries: rendered once by SQLite, kept on disk, cut into pages at record boundaries.

A result is a file of CSV lines and a file of their offsets, shared by all jobs that asked the same of the same data.
A page is the header and a slice of the lines; its compressed form is made when it is first asked for, and kept.
"""

import hashlib
import re
import shutil
import tempfile
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
from isal import igzip

from crosstie.sandbox.http import FileSlice
from crosstie.sandbox.salesforce import soql
from crosstie.sandbox.salesforce.org import Org

ROWS_AT_ONCE = 10_000
_KEY_CHARACTERS = 32
_BY_ID = re.compile(r' ORDER BY \+?(\w+)\."Id"$')


@dataclass(frozen=True, slots=True)
class Rendered:
    """A finished result in its folder."""

    folder: Path
    header: bytes
    rows: int

    def offset(self, row: int) -> int:
        """Where the line of a row begins; the end of the file for the row after the last."""
        with (self.folder / "offsets").open("rb") as file:
            file.seek(row * 8)
            return int.from_bytes(file.read(8), "little")

    def page(self, start: int, rows: int) -> tuple[bytes | FileSlice, ...]:
        """The parts of a page as they are."""
        begin, end = self.offset(start), self.offset(min(start + rows, self.rows))
        return (self.header, FileSlice(self.folder / "lines", begin, end - begin))

    def compressed_page(self, start: int, rows: int) -> FileSlice:
        """A page as one gzip stream, made once."""
        path = self.folder / f"page-{start}-{rows}.gz"
        if not path.exists():
            body = b"".join(part if isinstance(part, bytes) else part.read() for part in self.page(start, rows))
            with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as file:
                file.write(igzip.compress(body, compresslevel=1))
            Path(file.name).rename(path)
        return FileSlice(path, 0, path.stat().st_size)


class ResultStore:
    """The results under `folder`, by what was asked and the version of the data."""

    def __init__(self, org: Org, folder: Path) -> None:
        self._org = org
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def key(self, result: soql.Result, delimiter: str, line_ending: str) -> str:
        """Names the result of a compiled query on today's data."""
        text, params = self._statement(result, delimiter, line_ending)
        version = self._org.database.setting("data_version")
        asked = msgspec.json.encode([text, [str(param) for param in params], version, result.column_names])
        return hashlib.sha256(asked).hexdigest()[:_KEY_CHARACTERS]

    def _statement(self, result: soql.Result, delimiter: str, line_ending: str) -> tuple[str, tuple[object, ...]]:
        text, params = result.csv_sql(delimiter=delimiter, line_ending=line_ending)
        if self._org.switches.bulk_datetime_offset:
            # The statement holds no literal of the query (those are parameters), so this meets datetimes only.
            text = text.replace("1, 23) || 'Z'", "1, 23) || '+0000'")
        if self._org.switches.bulk_unordered:
            text = _BY_ID.sub(r' ORDER BY substr(\1."Id", 14, 2), \1."Id" DESC', text)
        return text, params

    def find(self, key: str) -> Rendered | None:
        """A result that is finished."""
        folder = self._folder / key
        if not (folder / "done").exists():
            return None
        return Rendered(folder, (folder / "header").read_bytes(), int((folder / "done").read_text()))

    def render(
        self, key: str, result: soql.Result, delimiter: str, line_ending: str, stopped: Callable[[], bool]
    ) -> Rendered | None:
        """Renders a result, or finds it done; None when `stopped` says that nobody waits for it any more."""
        found = self.find(key)
        if found is not None:
            return found
        text, params = self._statement(result, delimiter, line_ending)
        folder = Path(tempfile.mkdtemp(dir=self._folder))
        offsets = array("Q", [0])
        at = 0
        connection = self._org.database.connect()
        try:
            soql.register(connection)
            connection.text_factory = bytes
            cursor = connection.execute(text, params)
            with (folder / "lines").open("wb") as lines:
                while batch := cursor.fetchmany(ROWS_AT_ONCE):
                    if stopped():
                        shutil.rmtree(folder)
                        return None
                    for (line,) in batch:
                        at += len(line)
                        offsets.append(at)
                    lines.write(b"".join([line for (line,) in batch]))
        finally:
            connection.close()
        (folder / "offsets").write_bytes(offsets.tobytes())
        header = result.csv_header(delimiter=delimiter, line_ending=line_ending).encode()
        (folder / "header").write_bytes(header)
        (folder / "done").write_text(str(len(offsets) - 1))
        try:
            folder.rename(self._folder / key)
        except OSError:
            if self.find(key) is None:
                raise
            shutil.rmtree(folder)  # another job asked the same, and was faster
        return Rendered(self._folder / key, header, len(offsets) - 1)

    def sweep(self, kept: set[str]) -> None:
        """Removes results that no job names; what is being rendered has no name yet."""
        for folder in self._folder.iterdir():
            if len(folder.name) == _KEY_CHARACTERS and folder.name not in kept:
                shutil.rmtree(folder, ignore_errors=True)
