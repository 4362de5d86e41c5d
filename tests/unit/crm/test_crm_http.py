"""The HTTP session: https only, complete bodies only, no token elsewhere."""

from __future__ import annotations

import gzip
import ssl
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.crm.answers import Body, answer

from crosstie.crm.hosts import Hosts, https_url
from crosstie.crm.http import Call, HttpSession, Retries, retry_after
from crosstie.crm.inflate import Inflater
from crosstie.errors import AuthError, ConfigError, ProtocolError, UnavailableError

HOME = "https://acme.my.salesforce.com"
QUICK = Retries(attempts=4, budget=timedelta(seconds=5), first_wait=timedelta(), longest_wait=timedelta())


def session(handler: Callable[[httpx2.Request], httpx2.Response], *, retries: Retries = QUICK) -> HttpSession:
    """A session whose network is the handler."""
    hosts = Hosts(exact=frozenset({"acme.my.salesforce.com:443"}), suffixes=(".salesforce.com",))
    return HttpSession(hosts, retries=retries, transport=httpx2.MockTransport(handler))


def call(url: str = HOME + "/x", method: str = "GET") -> Call:
    """A call of a name."""
    return Call(method=method, url=url, what="try it", headers={"Authorization": "Bearer s3cret"})


@pytest.mark.parametrize("host", ["http://acme.my.salesforce.com", "ftp://x", "HTTP://x"])
def test_anything_but_https_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="https only"):
        https_url(host, like=HOME)


@pytest.mark.parametrize("host", ["https://a@b.example", "https://b.example/path", "https://", "https://b:99999"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match="not the address of a host"):
        https_url(host, like=HOME)


def test_a_bare_host_name_becomes_https() -> None:
    assert https_url(" acme.my.salesforce.com/ ", like=HOME) == HOME


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        (HOME, True),
        ("https://other.salesforce.com", True),
        ("https://other.salesforce.com:8443", False),
        ("http://acme.my.salesforce.com", False),
        ("https://salesforce.com.evil.example", False),
        ("https://evilsalesforce.com", False),
        ("https://acme.my.salesforce.com@evil.example/", False),
        ("https://user@acme.my.salesforce.com/", False),
        ("/relative", False),
        ("https://[::1", False),
        ("https://acme.my.salesforce.com:99999/", False),
    ],
)
def test_only_named_hosts_are_allowed(url: str, allowed: bool) -> None:
    hosts = Hosts(exact=frozenset({"acme.my.salesforce.com:443"}), suffixes=(".salesforce.com",))
    assert hosts.allows(url) is allowed


@pytest.mark.parametrize(
    "target", ["https://elsewhere.example/x", "http://acme.my.salesforce.com/x", "//evil.example", "https://[::1"]
)
def test_a_redirect_elsewhere_is_not_followed(target: str) -> None:
    seen = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.append(str(request.url))
        return httpx2.Response(302, headers={"Location": target})

    with pytest.raises(ProtocolError, match="does not allow"):
        session(handler).send(call())
    assert seen == [HOME + "/x"]


def test_a_redirect_within_the_allowed_hosts_is_followed() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "acme.my.salesforce.com":
            return httpx2.Response(307, headers={"Location": "https://na1.salesforce.com/y"})
        return answer(200, request.url.path.encode())

    assert session(handler).send(call()).body == b"/y"


def test_a_redirect_in_circles_and_a_redirected_write_are_refused() -> None:
    circling = session(lambda request: httpx2.Response(302, headers={"Location": "/x"}))
    with pytest.raises(ProtocolError, match="more than 3 times"):
        circling.send(call())
    with pytest.raises(ProtocolError, match="a write is not sent there"):
        circling.send(call(method="POST"))


PLAIN = b"".join(b'"%d","some text"\n' % number for number in range(2000))
PACKED = gzip.compress(PLAIN)


def inflate(chunks: list[bytes], **headers: str) -> bytes:
    """The body through our own inflater."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return b"".join(Inflater(given, "try it").plain(iter(chunks)))


@settings(max_examples=150, deadline=None)
@given(cut=st.integers(0, len(PACKED)), size=st.integers(1, 4000))
def test_a_gzip_body_cut_anywhere_is_never_taken_as_whole(cut: int, size: int) -> None:
    body = PACKED[:cut]
    chunks = [body[start : start + size] for start in range(0, len(body), size)]
    if cut == len(PACKED):
        assert inflate(chunks, content_encoding="gzip") == PLAIN
    else:
        with pytest.raises(UnavailableError, match="cut"):
            inflate(chunks, content_encoding="gzip", content_length=str(cut))


@settings(max_examples=60, deadline=None)
@given(position=st.integers(20, len(PACKED) - 9), bit=st.integers(0, 7))
def test_a_damaged_gzip_body_is_never_taken_as_right(position: int, bit: int) -> None:
    damaged = bytearray(PACKED)
    damaged[position] ^= 1 << bit
    try:
        plain = inflate([bytes(damaged)], content_encoding="gzip")
    except UnavailableError:
        return
    assert plain == PLAIN  # the bits that fill the last byte mean nothing


def test_gzip_members_in_a_row_are_one_body() -> None:
    assert inflate([PACKED + gzip.compress(b"tail")], content_encoding="gzip") == PLAIN + b"tail"


def test_a_short_or_long_body_is_refused() -> None:
    with pytest.raises(UnavailableError, match="4 of 5 bytes"):
        inflate([b"four"], content_length="5")
    with pytest.raises(UnavailableError, match="6 of 5 bytes"):
        inflate([b"sixsix"], content_length="5")


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(ProtocolError, match="encoded as br"):
        inflate([b"x"], content_encoding="br")


def test_a_large_answer_is_not_read_to_its_end() -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    http = session(lambda request: httpx2.Response(200, headers={"Content-Encoding": "gzip"}, stream=Body(bomb)))
    with pytest.raises(ProtocolError, match="larger than 1,000 bytes"):
        http.send(Call(method="GET", url=HOME, what="try it", limit_bytes=1000))


def test_a_read_is_repeated_until_it_succeeds() -> None:
    answers = iter(
        [
            httpx2.Response(200, headers={"Content-Length": "9"}, stream=Body(b"half")),
            httpx2.Response(200, stream=Body(b"ha", broken=True)),
            answer(200, b"whole"),
        ]
    )
    http = session(lambda request: next(answers))
    assert http.repeat(lambda: http.send(call())).body == b"whole"


def test_repeating_ends_with_the_last_error() -> None:
    tries = []

    def refuse() -> None:
        tries.append(1)
        raise UnavailableError(f"no {len(tries)}")

    with pytest.raises(UnavailableError, match="no 4"):
        session(lambda request: httpx2.Response(200)).repeat(refuse)


def test_waits_that_are_asked_for_stay_within_the_budget_together() -> None:
    told: list[str] = []
    http = session(
        lambda request: httpx2.Response(200),
        retries=Retries(attempts=9, budget=timedelta(milliseconds=250), first_wait=timedelta()),
    )
    http.on_retry = told.append

    def refuse() -> None:
        raise UnavailableError("Busy.", retry_after=timedelta(milliseconds=100))

    with pytest.raises(UnavailableError):
        http.repeat(refuse)
    assert 1 <= len(told) <= 2
    assert set(told) == {"Busy."}


def test_json_without_end_is_cut_and_json_too_deep_is_not_understood() -> None:
    for body in (b"", b'{"a": 1', b'{"a": {"b": 1}', b'{"a": 1.', b'[{"a": tr'):
        with pytest.raises(UnavailableError, match="JSON has no end"):
            session(lambda request, body=body: answer(200, body)).send(call()).refuse_cut()  # type: ignore[misc]
    for body in (b"<html>", b'{"a": }', b'{"a": 1}x', b"[" * 200_000):
        whole = session(lambda request, body=body: answer(200, body)).send(call())  # type: ignore[misc]
        if not body.startswith(b"[") and not body.endswith(b"x"):
            whole.refuse_cut()
        with pytest.raises(ProtocolError, match="not valid JSON"):
            whole.json()


def test_a_wait_longer_than_the_budget_is_left_to_the_caller() -> None:
    tries = []

    def refuse() -> None:
        tries.append(1)
        raise UnavailableError("quota", retry_after=timedelta(hours=1))

    with pytest.raises(UnavailableError):
        session(lambda request: httpx2.Response(200)).repeat(refuse)
    assert len(tries) == 1


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "7"}, timedelta(seconds=7)),
        (
            {"retry-after": "Mon, 23 Nov 2026 10:00:30 GMT", "date": "Mon, 23 Nov 2026 10:00:00 GMT"},
            timedelta(seconds=30),
        ),
        (
            {"retry-after": "Mon, 23 Nov 2026 09:00:00 GMT", "date": "Mon, 23 Nov 2026 10:00:00 GMT"},
            timedelta(),
        ),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 5_000}, timedelta(days=1)),
        ({"retry-after": "Mon, 23 Nov 99999 10:00:30 GMT", "date": "Mon, 23 Nov 2026 10:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after_in_both_forms(headers: dict[str, str], wait: timedelta | None) -> None:
    assert retry_after(headers) == wait


def test_no_error_and_no_repr_shows_the_token_or_the_query() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError("boom Bearer s3cret")

    with pytest.raises(UnavailableError) as caught:
        session(handler).send(call(HOME + "/query?q=jane%40example.com"))
    shown = f"{caught.value} {call()!r}"
    assert "s3cret" not in shown
    assert "jane" not in shown


def test_the_request_id_is_theirs_when_they_give_one() -> None:
    theirs = session(lambda request: answer(200, x_request_id="abc")).send(call())
    assert theirs.request_id == "abc"
    sent: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        sent.append(request.headers["X-Request-Id"])
        return answer()

    assert [session(handler).send(call()).request_id] == sent


def test_a_missing_or_broken_ca_file_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "ca.pem"
    broken.write_text("no certificate")
    for path in (tmp_path / "none.pem", broken):
        with pytest.raises(ConfigError, match=path.name):
            HttpSession(Hosts(exact=frozenset()), ca_file=str(path))


def test_invalid_json_is_refused() -> None:
    broken = session(lambda request: answer(200, b'{"a":')).send(call())
    with pytest.raises(ProtocolError, match="not valid JSON"):
        broken.json()


def test_an_untrusted_certificate_is_no_matter_of_trying_again() -> None:
    def handler(request: httpx2.Request) -> httpx2.Response:
        cause = ssl.SSLCertVerificationError()
        cause.verify_message = "certificate has expired"
        raise httpx2.ConnectError("tls") from cause

    with pytest.raises(AuthError, match="certificate has expired"):
        session(handler).send(call())
