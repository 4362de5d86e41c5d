"""Cutting CSV into pieces never changes a value or a line number, wherever the cuts fall."""

from __future__ import annotations

import csv
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from crosstie.activities.files.pieces import CsvFormat, CsvPieces

# Python's writer puts no quotes around a CR that stands alone.
CELLS = st.text(alphabet=st.sampled_from("ab;,\" '\n\ré€"), max_size=6).map(lambda text: text.replace("\r", "\r\n"))
ROWS = st.lists(st.tuples(CELLS, CELLS, st.integers(0, 99).map(str)), max_size=12)


def written(rows: list[tuple[str, str, str]], style: CsvFormat, line_end: str) -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=style.delimiter, quotechar=style.quote, lineterminator=line_end)
    writer.writerow(("a", "b", "c"))
    writer.writerows(rows)
    return text.getvalue()


@settings(max_examples=150, deadline=None)
@given(
    rows=ROWS,
    style=st.sampled_from([CsvFormat(), CsvFormat(delimiter=";", quote="'")]),
    line_end=st.sampled_from(["\n", "\r\n"]),
    piece=st.integers(1, 40),
    chunk=st.integers(1, 9),
)
def test_every_value_comes_back_at_its_line(
    rows: list[tuple[str, str, str]], style: CsvFormat, line_end: str, piece: int, chunk: int
) -> None:
    text = written(rows, style, line_end)
    data = text.encode()
    reader = CsvPieces(style, ("c", "a"), "in.csv", piece_bytes=piece)
    found: list[tuple[str | None, str | None]] = []
    lines: list[int] = []
    for one in reader.read(data[start : start + chunk] for start in range(0, len(data), chunk)):
        found += zip(one.arrays[1].to_pylist(), one.arrays[0].to_pylist(), strict=True)
        lines += [one.line_of(row) for row in range(one.rows)]
        assert one.malformed == []
    assert found == [(a or None, c) for a, _, c in rows]
    starts, line = [], 2
    for row in rows:
        starts.append(line)
        line += sum(cell.count("\n") for cell in row) + 1
    assert lines == starts


@settings(max_examples=100, deadline=None)
@given(
    good=st.lists(st.sampled_from(["1,2\n", '"x\ny",3\n', "\n", "1\n", "1,2,3\n", '"a\r\nb",4\r\n']), max_size=10),
    piece=st.integers(1, 30),
)
def test_malformed_lines_are_named_and_the_others_kept(good: list[str], piece: int) -> None:
    data = "".join(good).encode()
    reader = CsvPieces(CsvFormat(header=False), ("a", "b"), "in.csv", piece_bytes=piece)
    lines, refused = [], []
    for one in reader.read(iter([data])) if data else ():
        lines += [one.line_of(row) for row in range(one.rows)]
        refused += [(bad.line, bad.text) for bad in one.malformed]
    expected, wrong, line = [], [], 1
    for record in good:
        if record in ("1\n", "1,2,3\n"):
            wrong.append((line, record.strip()))
        elif record != "\n":
            expected.append(line)
        line += record.count("\n")
    assert (lines, refused) == (expected, wrong)
