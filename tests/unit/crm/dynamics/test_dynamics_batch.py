"""Batches as they are written and read: framing of both kinds, answers that are cut, and what no honest batch says."""

from __future__ import annotations

import re

import pytest

from crosstie.crm.dynamics.batch import BatchBody, read_batch
from crosstie.crm.http import Answer
from crosstie.errors import ProtocolError

ENTITY = "https://org.crm.dynamics.com/api/data/v9.2/contacts(00000000-0000-0000-0000-000000000001)"
REFUSED = '{"error":{"code":"0x80040217","message":"contact With Id = 2 Does Not Exist"}}'
REPLY = f"""\
--batchresponse_1
Content-Type: application/http
Content-Transfer-Encoding: binary

HTTP/1.1 204 No Content
OData-Version: 4.0
OData-EntityId: {ENTITY}


--batchresponse_1
Content-Type: application/http
Content-Transfer-Encoding: binary

HTTP/1.1 404 Not Found
Content-Type: application/json; odata.metadata=minimal
OData-Version: 4.0

{REFUSED}
--batchresponse_1
Content-Type: application/http

HTTP/1.1 429 Too Many Requests
Retry-After: 7
--batchresponse_1--
"""


def reply(body: bytes, content_type: str = 'multipart/mixed; boundary="batchresponse_1"') -> Answer:
    return Answer(status=200, headers={"content-type": content_type}, body=body, request_id="r1", what="batch")


def test_a_batch_is_written_request_by_request() -> None:
    body = BatchBody()
    begun = body.begin("POST /api/data/v9.2/contacts", (("Content-Type", "application/json; type=entry"),))
    text = body.whole([begun + b'{"lastname":"A"}', begun + b"{}"]).decode()
    assert body.content_type == f'multipart/mixed; boundary="{body.boundary}"'
    part = (
        f"--{body.boundary}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\n"
        "POST /api/data/v9.2/contacts HTTP/1.1\r\nContent-Type: application/json; type=entry\r\n\r\n"
    )
    assert text == f'{part}{{"lastname":"A"}}\r\n{part}{{}}\r\n--{body.boundary}--\r\n'


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_answers_are_read_in_their_order_with_either_line_end(line_end: str) -> None:
    found = read_batch(reply(REPLY.replace("\n", line_end).encode()))
    assert found.whole
    first, second, third = found.pieces
    assert (first.status, first.header("odata-entityid"), first.body) == (204, ENTITY, b"")
    assert (second.status, second.body.decode(), second.header("retry-after")) == (404, REFUSED, "")
    assert (third.status, third.header("Retry-After")) == (429, "7")


def test_of_an_answer_that_is_cut_only_what_came_whole_is_taken() -> None:
    whole = REPLY.replace("\n", "\r\n").encode()
    delimiters = [one.end() for one in re.finditer(b"--batchresponse_1", whole)][1:]
    for cut in range(len(whole)):
        found = read_batch(reply(whole[:cut]))
        assert (len(found.pieces), found.whole) == (sum(cut >= end for end in delimiters), cut >= delimiters[-1] + 2)


@pytest.mark.parametrize(
    ("body", "content_type", "why"),
    [
        (b"<html>", "text/html", "no batch of answers"),
        (REPLY.encode(), "multipart/mixed", "no batch of answers"),
        (REPLY.replace("application/http", "multipart/mixed; boundary=x").encode(), "", "a part that is no answer"),
        (REPLY.replace("HTTP/1.1 404", "HTTP 404").encode(), "", "an answer without a status"),
        (REPLY.replace(REFUSED, "{--batchresponse_1}").encode(), "", "its delimiter within a line"),
    ],
)
def test_what_is_no_batch_is_refused(body: bytes, content_type: str, why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        read_batch(reply(body, content_type) if content_type else reply(body))
