"""A sandbox for the whole session, and simple-salesforce's way to it.

The package hard-codes `https://{domain}.salesforce.com` for signing in. Its code stays unchanged: a transport adapter
on the session handed to it sends those hosts to the sandbox, with the Host header that the client meant.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce

from tests.sandboxes import Sandbox, running_sandbox

RECORDS = 2500
Org = Any
"""A simple_salesforce.Salesforce; what its attributes are is known at run time only."""


class LoginHosts(HTTPAdapter):
    """Sends requests for salesforce.com to the sandbox."""

    def __init__(self, instance_url: str) -> None:
        super().__init__()
        self._netloc = urlsplit(instance_url).netloc

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: dict[str, str] | None = None,
    ) -> requests.Response:
        """Sends one request, to the sandbox if it was meant for a login host."""
        assert request.url is not None
        url = urlsplit(request.url)
        if url.netloc.endswith(".salesforce.com"):
            request.headers["Host"] = url.netloc
            request.url = url._replace(netloc=self._netloc).geturl()
        return super().send(request, stream, timeout, verify, cert, proxies)


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that all tests here share: they count what they changed, not what is there."""
    with running_sandbox(records=RECORDS) as running:
        yield running


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[requests.Session]:
    """A session that trusts the sandbox's CA and sends login hosts to it."""
    with requests.Session() as opened:
        # The environment may name another CA bundle, which would go before the session's own.
        opened.trust_env = False
        opened.verify = str(sandbox.ca_file)
        opened.mount("https://", LoginHosts(sandbox.salesforce["instance_url"]))
        yield opened


@pytest.fixture
def org(sandbox: Sandbox, session: requests.Session) -> Iterator[Salesforce]:
    """simple-salesforce, signed in by SOAP, as most of its users do. The fault plan is empty afterwards."""
    known = sandbox.sign_in("soap")
    yield Salesforce(
        username=known["username"], password=known["password"], security_token=known["security_token"], session=session
    )
    sandbox.faults([])


def refusal(caught: Any) -> dict[str, Any]:
    """The one error entry of a simple-salesforce exception (a pytest ExceptionInfo); its annotation says bytes."""
    (entry,) = caught.value.content
    assert isinstance(entry, dict)
    return entry
