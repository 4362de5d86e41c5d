"""The CSV reader: nothing lost at any border, everything odd refused by name."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstie.crm.csv import CsvReader, records
from crosstie.errors import ProtocolError, UnavailableError

HEADER = b'"Id","Note"\n'
# CRLF, LF and CR inside quotes, doubled quotes beside line ends, empty values: all that a border can cut.
NASTY = (
    b'"1","a\r\nb"\n"2","say ""hi""\r\n"""\n"3",""\n"4","\r\n\r\n"\n"5","""\r\n""\n"","\n"6","\r"\n'
    b'"7","x,\r\n""\r\n"",y"\n'
)


def chunked(data: bytes, size: int) -> Iterator[bytes]:
    """The data in chunks of that size."""
    return (data[start : start + size] for start in range(0, len(data), size))


def expected(data: bytes) -> list[tuple[str | None, ...]]:
    """What the standard library's reader makes of it, nulls for empty values."""
    rows = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    return [tuple(value or None for value in row) for row in list(rows)[1:]]


def read(data: bytes, *, chunk_bytes: int, piece_bytes: int, fields: tuple[str, ...] = ("Id", "Note")) -> list[object]:
    """All rows through our reader."""
    reader = CsvReader(fields, "test")
    rows: list[object] = []
    for batch in reader.batches(records(chunked(data, chunk_bytes), piece_bytes=piece_bytes)):
        rows.extend(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    assert reader.rows == len(rows)
    return rows


def test_no_character_is_lost_at_any_chunk_and_piece_border() -> None:
    data = HEADER + NASTY
    wanted = expected(data)
    cases = [(chunk, piece) for chunk in range(1, len(data) + 1) for piece in (1, 2, 7, 16, 33, 64, len(data), 1 << 20)]
    wrong = [case for case in cases if read(data, chunk_bytes=case[0], piece_bytes=case[1]) != wanted]
    assert wrong == []


def test_pieces_rejoin_to_the_input_and_end_where_a_record_ends() -> None:
    data = HEADER + NASTY
    for size in range(1, len(data) + 1):
        pieces = list(records(chunked(data, size), piece_bytes=8))
        assert b"".join(pieces) == data
        assert all(piece.count(b'"') % 2 == 0 and piece.endswith(b"\n") for piece in pieces)


values = st.text(st.sampled_from('a,"\r\n;é漢😀'), max_size=12)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(values, values), max_size=12),
    line_end=st.sampled_from(["\n", "\r\n"]),
    chunk_bytes=st.integers(1, 80),
    piece_bytes=st.integers(1, 80),
)
def test_any_rows_come_back_whatever_the_borders(
    rows: list[tuple[str, str]], line_end: str, chunk_bytes: int, piece_bytes: int
) -> None:
    lines = [("Id", "Note"), *((f"id{value}", note) for value, note in rows)]
    quoted = (",".join('"' + value.replace('"', '""') + '"' for value in line) + line_end for line in lines)
    data = "".join(quoted).encode()
    wanted = [(value, note or None) for value, note in lines[1:]]
    assert read(data, chunk_bytes=chunk_bytes, piece_bytes=piece_bytes) == wanted


@pytest.mark.parametrize("piece_bytes", [4, 1 << 20])
def test_a_stream_cut_anywhere_but_behind_a_record_is_refused(piece_bytes: int) -> None:
    """A cut behind a record is seen by its count; a cut within a doubled quote leaves what looks like a whole value."""
    data = HEADER + NASTY
    for end in range(1, len(data) + 1):
        whole = data[:end].count(b'"') % 2 == 0 and data[:end].endswith(b"\n")
        try:
            pieces = list(records(chunked(data[:end], 7), piece_bytes=piece_bytes))
        except UnavailableError:
            assert not whole, end
        else:
            assert whole, end
            assert b"".join(pieces) == data[:end]


def test_empty_lines_without_end_are_refused() -> None:
    with pytest.raises(ProtocolError, match="bytes of empty lines"):
        read(HEADER + b"\n" * 200_000, chunk_bytes=65_536, piece_bytes=100_000)


def test_nul_bytes_are_dropped_and_a_byte_order_mark_is_ignored() -> None:
    data = b"\xef\xbb\xbf" + HEADER + b'"1","a\0b"\n"2","\0"\n'
    assert read(data, chunk_bytes=64, piece_bytes=64) == [("1", "ab"), ("2", None)]


def test_a_header_without_rows_gives_nothing() -> None:
    assert read(HEADER, chunk_bytes=64, piece_bytes=64) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'"Id"\n"1"\n', "has no column Note"),
        (b'"Note","Id"\n"a","1"\n', "columns in another order: Note, Id"),
        (b'"Id","Note","Extra"\n"1","a","b"\n', "not asked for: Extra"),
        (HEADER + b'"1","a","b"\n', "another number of values than the header"),
        (HEADER + b'"1"\n', "another number of values than the header"),
        (HEADER + b'"1","\xff\xfe"\n', "column Note holds bytes that are not UTF-8"),
        (b'"Id","N\xffote"\n', "header .* cannot be read"),
        (b"", "has no CSV header"),
    ],
)
def test_what_was_not_asked_for_is_refused_by_name(data: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        read(data, chunk_bytes=7, piece_bytes=1 << 20)


def test_the_record_itself_is_not_in_the_message() -> None:
    with pytest.raises(ProtocolError) as caught:
        read(HEADER + b'"1","jane@example.com","b"\n', chunk_bytes=64, piece_bytes=64)
    assert "jane" not in str(caught.value)


def test_a_record_without_end_is_refused_before_memory_is_full() -> None:
    def endless() -> Iterator[bytes]:
        yield HEADER + b'"1","'
        while True:
            yield b"x" * (1 << 20)

    with pytest.raises(ProtocolError, match="larger than"):
        list(records(endless()))
