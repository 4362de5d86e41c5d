"""zeep over a session that has signed in, against one small company."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import zeep
from zeep.transports import Transport
from zeep.wsse.username import UsernameToken

from tests.sandboxes import Sandbox, running_sandbox

CONTACTS = 60

# zeep has no types.
_Client: Any = zeep.Client
_Transport: Any = Transport
_UsernameToken: Any = UsernameToken

Open = Callable[[str, str, str], Any]
"""A client of an object, in a version ("v1", "v2") and a flavour ("custom", "generic")."""


@pytest.fixture(scope="session")
def company() -> Iterator[Sandbox]:
    """One small company for the suite, without a limit to its pace."""
    with running_sandbox(records=CONTACTS, kind="oracle_on_demand") as running:
        running.switches(request_gap=0)
        yield running


@pytest.fixture(scope="session")
def http(company: Sandbox) -> Iterator[requests.Session]:
    """A session that has signed in, and signs off in the end."""
    with web(company) as session:
        endpoint = f"{company.told['url']}/Services/Integration"
        known = {"UserName": company.told["user"], "Password": company.told["password"]}
        session.get(f"{endpoint}?command=login", headers=known).raise_for_status()
        yield session
        session.get(f"{endpoint}?command=logoff").raise_for_status()


@pytest.fixture(scope="session")
def client(company: Sandbox, http: requests.Session) -> Open:
    """Opens clients, each only once."""
    opened: dict[tuple[str, str, str], Any] = {}

    def open_client(name: str, version: str, flavour: str) -> Any:
        key = (name, version, flavour)
        if key not in opened:
            opened[key] = open_wsdl(company, http, *key)
        return opened[key]

    return open_client


def open_wsdl(
    company: Sandbox, session: requests.Session, name: str, version: str, flavour: str, *, signed: bool = False
) -> Any:
    """zeep over the WSDL that the sandbox serves; `signed` puts the credentials into each request."""
    token = _UsernameToken(company.told["user"], company.told["password"]) if signed else None
    address = f"{company.told['url']}/wsdl/{version}/{flavour}/{name}.wsdl"
    return _Client(address, transport=_Transport(session=session), wsse=token)


def web(company: Sandbox) -> requests.Session:
    """A session that trusts the sandbox and nothing of the environment."""
    session = requests.Session()
    session.trust_env = False
    session.verify = str(company.ca_file)
    return session
