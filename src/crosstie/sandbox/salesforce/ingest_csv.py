"""The CSV of ingest jobs: read as strictly as Bulk API 2.0 does, and written for the results.

Sources: "Valid CSV Record Rows", Bulk API guide; the words of its parser are those of Salesforce's own CSV reader, as
public issue threads quote them.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence

MAX_COLUMNS = 5000


class InvalidContent(Exception):
    """The data of a job can't be read as a whole: what the job's errorMessage says."""


def read_csv(content: bytes, delimiter: str, line_ending: str) -> list[list[str]]:
    """The header and the rows, empty lines left out. Raises InvalidContent."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidContent(f"InvalidBatch : Failed to parse CSV. The data is not UTF-8: {error}") from error
    _check_marks(text, delimiter, line_ending)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise InvalidContent(f"InvalidBatch : Failed to parse CSV. {error}") from error
    if [] in rows:
        rows = [row for row in rows if row]
    if not rows:
        raise InvalidContent("ClientInputError : Unable to find any data to create batch")
    width = len(rows[0])
    if width > MAX_COLUMNS:
        raise InvalidContent(f"InvalidBatch : Failed to parse CSV. More than {MAX_COLUMNS} columns")
    if set(map(len, rows)) != {width}:
        line = next(number for number, row in enumerate(rows) if len(row) != width)
        found = len(rows[line])
        raise InvalidContent(
            f"InvalidBatch : Failed to parse CSV. Record {line} has {found} values, the header {width}"
        )
    return rows


def _check_marks(text: str, delimiter: str, line_ending: str) -> None:
    """Refuses quotes beside text, and line ends that are not the job's, outside quoted values."""
    bare = text
    if '"' in text:
        between = re.escape(delimiter) + r"\r\n"
        bare = re.sub(rf'(?<![^{between}])"[^"]*+(?:""[^"]*+)*+"(?=[{between}]|\Z)', "", text)
        if '"' in bare:
            raise InvalidContent(f"InvalidBatch : Failed to parse CSV. {_quote_fault(bare)}")
    feeds, returns = bare.count("\n"), bare.count("\r")
    pairs = bare.count("\r\n") if returns else 0
    if returns if line_ending == "LF" else feeds != pairs or returns != pairs:
        raise InvalidContent(
            f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {line_ending}"
        )


def _quote_fault(bare: str) -> str:
    at = bare.index('"')
    if at and bare[at - 1] not in "\r\n" and bare.count('"') % 2 == 0:
        return "Found unescaped quote. A value with quote should be within a quote"
    if bare.count('"') % 2:
        return "EOF reached before closing an opened quote"
    return "Not expecting more text after end quote"


def csv_lines(rows: Iterable[Sequence[str]], delimiter: str, line_ending: str) -> str:
    """Rows with every value in double quotes, quotes inside doubled."""
    between = f'"{delimiter}"'
    lines = []
    for row in rows:
        line = between.join(row)
        if line.count('"') != 2 * (len(row) - 1):
            line = between.join([value.replace('"', '""') for value in row])
        lines.append(f'"{line}"{line_ending}')
    return "".join(lines)
