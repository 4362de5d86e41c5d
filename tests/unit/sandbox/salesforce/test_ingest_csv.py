"""The CSV of ingest jobs: what is written is read again, and what Salesforce can't read is refused."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstie.sandbox.salesforce.bulk_jobs import DELIMITERS, LINE_ENDINGS
from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.ingest_csv import InvalidContent, csv_lines, read_csv
from crosstie.sandbox.salesforce.multipart import read_parts

TABLES = st.integers(1, 4).flatmap(
    lambda width: st.lists(
        st.lists(st.text('ab \t,;|^`"\r\n💡', max_size=5), min_size=width, max_size=width), min_size=1, max_size=5
    )
)
FORMATS = st.tuples(st.sampled_from(sorted(DELIMITERS)), st.sampled_from(sorted(LINE_ENDINGS)))


@settings(deadline=None)
@given(rows=TABLES, form=FORMATS)
def test_what_is_written_is_read_again(rows: list[list[str]], form: tuple[str, str]) -> None:
    delimiter, line_ending = DELIMITERS[form[0]], LINE_ENDINGS[form[1]]
    text = csv_lines(rows, delimiter, line_ending)
    assert list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)) == rows
    assert read_csv(text.encode(), delimiter, form[1]) == rows


@settings(deadline=None)
@given(rows=TABLES, form=FORMATS)
def test_what_other_writers_write_is_read(rows: list[list[str]], form: tuple[str, str]) -> None:
    delimiter, line_ending = DELIMITERS[form[0]], LINE_ENDINGS[form[1]]
    # A return alone is not put in quotes by Python's own writer.
    rows = [[value.replace("\r", "\r\n") for value in row] for row in rows]
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter, lineterminator=line_ending, quoting=csv.QUOTE_MINIMAL).writerows(rows)
    assert read_csv(file.getvalue().encode(), delimiter, form[1]) == rows


@settings(deadline=None)
@given(text=st.text('a",\n', max_size=12))
def test_quotes_are_taken_only_around_whole_values(text: str) -> None:
    """Against a grammar: a value is free of quotes, or in quotes with those inside doubled."""
    try:
        rows = read_csv(text.encode(), ",", "LF")
    except InvalidContent as refusal:
        if "Found unescaped" in str(refusal) or "end quote" in str(refusal) or "EOF" in str(refusal):
            assert _cells(text) is None
        return
    cells = _cells(text)
    assert cells is not None
    assert [row for row in cells if row != [""]] == [row for row in rows if row != [""]]


def _cells(text: str) -> list[list[str]] | None:
    """The rows of a text by the grammar; None when a quote stands where none may."""
    rows: list[list[str]] = []
    row: list[str] = []
    at = 0
    while True:
        if text[at : at + 1] == '"':
            value, at = "", at + 1
            while True:
                end = text.find('"', at)
                if end < 0:
                    return None
                value, at = value + text[at:end], end + 1
                if text[at : at + 1] != '"':
                    break
                value, at = value + '"', at + 1
        else:
            end = min((found for found in (text.find(",", at), text.find("\n", at)) if found >= 0), default=len(text))
            value, at = text[at:end], end
            if '"' in value:
                return None
        row.append(value)
        mark, at = text[at : at + 1], at + 1
        if mark not in ("", ",", "\n"):
            return None
        if mark != ",":
            rows, row = [*rows, row], []
        if not mark:
            return rows


def test_empty_lines_are_no_rows() -> None:
    assert read_csv(b"A\n\n1\n\n", ",", "LF") == [["A"], ["1"]]


def test_too_many_columns_are_refused() -> None:
    with pytest.raises(InvalidContent, match="More than 5000 columns"):
        read_csv(b",".join([b"A"] * 5001) + b"\n", ",", "LF")
    assert len(read_csv(b",".join([b"A"] * 5000) + b"\n", ",", "LF")[0]) == 5000


@settings(deadline=None)
@given(content=st.binary(max_size=60).filter(lambda data: b"--B" not in data))
def test_the_content_of_a_part_stays_as_it_is(content: bytes) -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="job"\r\n\r\n{}\r\n'
    body += b'--B\r\nContent-Type: text/csv\r\nContent-Disposition: form-data; name="content"\r\n\r\n'
    parts = read_parts('multipart/form-data; boundary="B"', body + content + b"\r\n--B--\r\n")
    assert parts == {"job": b"{}", "content": content}


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=X"])
def test_a_body_without_parts_is_refused(kind: str) -> None:
    with pytest.raises(ApiError, match="no named part"):
        read_parts(kind, b"--B\r\n\r\n--B--")
