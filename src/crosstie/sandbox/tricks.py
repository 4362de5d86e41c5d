"""Answers that no honest CRM gives, made out of honest ones: what the fault plan does to an answer after the work."""

import base64
import csv
import io
import json
import re
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

from crosstie.sandbox.faults import Fault
from crosstie.sandbox.http import Request, Response
from crosstie.sandbox.xml_tricks import rewritten

Page = dict[str, Any]
Table = list[list[str]]

_MIB = 1024 * 1024
_RAW_NUMBERS = {"big_number": "1e400", "nan": "NaN"}
_MARK = "@number@"


def rewrite(response: Response, fault: Fault, request: Request) -> None:
    """Changes the answer by the fault's trick. What the trick has no meaning for stays as it is."""
    body = _plain(response)
    kind = response.headers.get("Content-Type", "")
    changed = rewritten(body, fault) if kind.startswith("text/xml") else None
    if changed is not None:
        response.parts = (changed,)
    elif fault.trick in _BODIES:
        _BODIES[fault.trick](response, body, fault)
    elif fault.trick in _TABLES and kind.startswith("text/csv"):
        rows = list(csv.reader(io.StringIO(body.decode(), newline=""), strict=True))
        _TABLES[fault.trick](rows, fault)
        response.parts = (_csv(rows),)
    elif fault.trick == "next_row" and kind.startswith("text/csv"):
        response.headers["Sforce-Locator"] = base64.b64encode(str(fault.rows).encode()).decode().rstrip("=")
        response.parts = (body,)
    elif fault.trick in _PAGES and kind.startswith("application/json"):
        page = json.loads(body)
        if isinstance(page, dict):
            _PAGES[fault.trick](page, fault, request)
        response.parts = (_json(page, fault),)


def cut(response: Response, fault: Fault) -> None:
    """Shortens a finished answer: what is announced and how it is framed depends on the fault's type."""
    if fault.type == "truncate":
        body = response.body()
        response.withheld = min(fault.bytes, len(body))
        response.parts = (body[: len(body) - response.withheld],)
    elif fault.type == "cut_gzip":
        body = response.body()
        if response.headers.get("Content-Encoding") != "gzip":
            body = zlib.compress(body, wbits=31)
            response.headers["Content-Encoding"] = "gzip"
        response.parts = (body[: max(len(body) - fault.bytes, 0)],)
    elif fault.type in ("cut_plain", "cut_chunked"):
        body = _plain(response)
        response.parts = (body[: max(len(body) - fault.bytes, 0)],)
        response.chunks_broken = fault.type == "cut_chunked"


def _plain(response: Response) -> bytes:
    body = response.body()
    if response.headers.pop("Content-Encoding", "") == "gzip":
        body = zlib.decompress(body, wbits=31)
    return body


def _csv(rows: Table) -> bytes:
    text = "".join(",".join(f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row) + "\n" for row in rows)
    return text.encode("utf-8", "surrogateescape")


def _json(page: object, fault: Fault) -> bytes:
    text = json.dumps(page, ensure_ascii=False, separators=(",", ":"))
    return text.replace(f'"{_MARK}"', _RAW_NUMBERS.get(fault.trick, "")).encode("utf-8", "surrogateescape")


@cache
def _zeros(size: int) -> bytes:
    """A gzip stream of so many zeros."""
    packer = zlib.compressobj(1, wbits=31)
    pieces = [packer.compress(bytes(min(_MIB, size - at))) for at in range(0, size, _MIB)]
    return b"".join([*pieces, packer.flush()])


def _html(response: Response, body: bytes, fault: Fault) -> None:
    response.headers["Content-Type"] = "text/html;charset=UTF-8"
    response.parts = (b"<html><body>Please sign in to the proxy.</body></html>\n",)


def _empty(response: Response, body: bytes, fault: Fault) -> None:
    response.parts = ()


def _bomb(response: Response, body: bytes, fault: Fault) -> None:
    # What is compressed is no JSON any more, or the front door would compress it again.
    response.headers |= {"Content-Encoding": "gzip", "Content-Type": "application/octet-stream"}
    response.parts = (_zeros(fault.bytes),)


def _deep(response: Response, body: bytes, fault: Fault) -> None:
    response.parts = (b'{"records":' * 200_000 + b"0" + b"}" * 200_000,)


def _blank_lines(response: Response, body: bytes, fault: Fault) -> None:
    response.parts = (body, b"\n" * fault.bytes)


def _open_quote(response: Response, body: bytes, fault: Fault) -> None:
    response.parts = (body.replace(b'"', b'""', 1),)


def _wrong_type(response: Response, body: bytes, fault: Fault) -> None:
    response.headers["Content-Type"] = "image/png"
    response.parts = (body,)


def _short_length(response: Response, body: bytes, fault: Fault) -> None:
    response.parts = (body,)
    response.withheld = -min(fault.bytes, len(body))


def _big_header(response: Response, body: bytes, fault: Fault) -> None:
    response.headers["X-Padding"] = "x" * fault.bytes
    response.parts = (body,)


def _foreign_instance(response: Response, body: bytes, fault: Fault) -> None:
    location = fault.location.encode()
    body = re.sub(rb'("instance_url":")[^"]*', rb"\1" + location, body)
    response.parts = (re.sub(rb"(<serverUrl>)https://[^/<]*", rb"\1" + location, body),)


def _odd_token(response: Response, body: bytes, fault: Fault) -> None:
    body = re.sub(rb'("access_token":")', rb"\1\\r\\nX-Other: ", body)
    response.parts = (re.sub(rb"(<sessionId>)", rb"\1&#13;&#10;X-Other: ", body),)


_BODIES: dict[str, Callable[[Response, bytes, Fault], None]] = {
    "html": _html,
    "empty": _empty,
    "bomb": _bomb,
    "deep": _deep,
    "blank_lines": _blank_lines,
    "open_quote": _open_quote,
    "wrong_type": _wrong_type,
    "short_length": _short_length,
    "big_header": _big_header,
    "foreign_instance": _foreign_instance,
    "odd_token": _odd_token,
}


def _odd_value(fault: Fault) -> str:
    match fault.trick:
        case "big_field":
            return "x" * fault.bytes
        case "invalid_utf8":
            return "\udcff"
        case "nul":
            return "a\0b"
        case "bad_id":
            return "0035g0000"
        case _:
            return _RAW_NUMBERS[fault.trick]


def _field(fault: Fault) -> str:
    return "Id" if fault.trick == "bad_id" else fault.field


def _records(page: Page) -> list[dict[str, Any]]:
    """The records of a page, under whichever name the CRM has for them."""
    found = page.get("records", page.get("value"))
    return found if isinstance(found, list) else []


def _page_value(page: Page, fault: Fault, request: Request) -> None:
    for record in _records(page)[:1]:
        record[_field(fault)] = _MARK if fault.trick in _RAW_NUMBERS else _odd_value(fault)


def _page_members(page: Page, fault: Fault, request: Request) -> None:
    for record in _records(page)[:1]:
        if fault.trick == "extra_member":
            record["Extra__c"] = "x"
        elif fault.trick == "missing_member":
            record.pop(fault.field, None)
        elif fault.trick == "other_object":
            record.get("attributes", {})["type"] = "Lead"
        else:
            items = list(record.items())
            record.clear()
            record.update(reversed(items))


def _page_rows(page: Page, fault: Fault, request: Request) -> None:
    records = _records(page)
    if records:
        records.pop()
        if fault.trick == "same_row":
            records.append(records[0])


def _page_total(page: Page, fault: Fault, request: Request) -> None:
    if "totalSize" in page:
        page["totalSize"] += fault.rows


def _page_next(page: Page, fault: Fault, request: Request) -> None:
    if fault.trick == "own_next" and "@odata.context" in page:
        page["@odata.nextLink"] = f"https://{request.headers.get('host', '')}{request.target}"
    elif fault.trick == "own_next":
        page |= {"done": False, "nextRecordsUrl": request.target}
    elif "nextRecordsUrl" in page:
        page["nextRecordsUrl"] = f"{page['nextRecordsUrl'].rpartition('-')[0]}-{fault.rows}"


_PAGES: dict[str, Callable[[Page, Fault, Request], None]] = {
    **dict.fromkeys(("big_field", "invalid_utf8", "nul", "bad_id", "big_number", "nan"), _page_value),
    **dict.fromkeys(("extra_member", "missing_member", "other_object", "reordered"), _page_members),
    **dict.fromkeys(("same_row", "short_page"), _page_rows),
    **dict.fromkeys(("own_next", "next_row"), _page_next),
    "total": _page_total,
}


def _table_value(rows: Table, fault: Fault) -> None:
    if _field(fault) in rows[0] and len(rows) > 1:
        rows[1][rows[0].index(_field(fault))] = _odd_value(fault)


def _table_members(rows: Table, fault: Fault) -> None:
    if fault.trick == "extra_member":
        for number, row in enumerate(rows):
            row.append("x" if number else "Extra__c")
    elif fault.trick == "missing_member" and fault.field in rows[0]:
        place = rows[0].index(fault.field)
        for row in rows:
            del row[place]
    elif fault.trick == "reordered":
        for row in rows:
            row.reverse()


def _table_rows(rows: Table, fault: Fault) -> None:
    if len(rows) > 1:
        rows.pop()
        if fault.trick == "same_row":
            rows.append(rows[1])


_TABLES: dict[str, Callable[[Table, Fault], None]] = {
    **dict.fromkeys(("big_field", "invalid_utf8", "nul", "bad_id", "big_number", "nan"), _table_value),
    **dict.fromkeys(("extra_member", "missing_member", "reordered"), _table_members),
    **dict.fromkeys(("same_row", "short_page"), _table_rows),
}
