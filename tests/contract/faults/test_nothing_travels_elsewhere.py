"""Answers that point to another host: a listening one, with a certificate that is trusted, that hears nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from crosstie.sandbox.http import HttpsServer, Request, Response
from crosstie.sandbox.tls import server_context
from tests.contract.faults.outcomes import FAULTS, Cell, rows
from tests.contract.imports.world import World
from tests.sandboxes import Sandbox


@dataclass(slots=True)
class Elsewhere:
    """Another host of this machine, under the same certificate authority: it would be believed."""

    url: str = ""
    heard: list[Request] = field(default_factory=list)

    def handle(self, request: Request) -> Response:
        """Remembers and answers."""
        self.heard.append(request)
        return Response(headers={"Content-Type": "application/json"}, parts=(b"{}",))


@pytest.fixture
def elsewhere(sandbox: Sandbox) -> Iterator[Elsewhere]:
    """That host, listening."""
    host = Elsewhere()
    server = HttpsServer(server_context(sandbox.ca_file.parent / "server.pem"), 0, host.handle)
    host.url = f"https://localhost:{server.port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield host
    server.close()
    thread.join()


REDIRECTED = ["token", "versions", "describe", "updated", "query", "query_more", "record_count", "bulk_create"]


@pytest.mark.parametrize("kind", [*REDIRECTED, "bulk_status", "bulk_results"])
def test_a_redirect_to_another_host(cell: World, elsewhere: Elsewhere, kind: str) -> None:
    one = Cell.of(cell, kind, "redirect")
    fault = {**FAULTS["redirect"], "location": f"{elsewhere.url}/services/oauth2/token"}
    cell.sandbox.faults([{"match": {"kind": kind}, "times": None, "fault": fault}])
    one.refused("points to localhost:.*, a host that this account does not allow")
    assert elsewhere.heard == []


@pytest.mark.parametrize("kind", ["query", "query_more"])
def test_a_next_page_on_another_host(cell: World, elsewhere: Elsewhere, kind: str) -> None:
    one = Cell.of(cell, kind, "foreign-next")
    fault = {"type": "foreign_next", "location": elsewhere.url}
    cell.sandbox.faults([{"match": {"kind": kind}, "times": None, "fault": fault}])
    one.refused("points to localhost:.*, a host that this account does not allow")
    assert elsewhere.heard == []


@pytest.mark.parametrize("flow", ["client_credentials", "password", "jwt_bearer", "refresh_token", "soap"])
def test_a_sign_in_that_leads_to_another_host(cell: World, elsewhere: Elsewhere, flow: str) -> None:
    one = Cell.of(cell, "query", "html")
    expected = rows(cell, one.run())
    cell.options["flow"] = flow
    fault = {"type": "rewrite", "trick": "foreign_instance", "location": elsewhere.url}
    cell.sandbox.faults([{"match": {"kind": "soap" if flow == "soap" else "token"}, "times": None, "fault": fault}])
    one = Cell.of(cell, "query", "html")
    one.refused("answered with the instance localhost:.*, a host that this account does not allow")
    assert elsewhere.heard == []
    cell.sandbox.faults([])
    one.right(one.run(), expected)
