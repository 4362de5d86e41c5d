"""Sandboxes for tests: `with running_sandbox(records=2000) as sandbox: ...`."""

import json
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from crosstie.sandbox import running
from crosstie.sandbox.service import Around


class ControlRefused(Exception):
    """The control endpoint did not take an action."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A sandbox of one kind of CRM that is being served. `info` is sandbox.json."""

    info: dict[str, Any]
    ca_file: Path
    kind: str = "salesforce"

    @property
    def told(self) -> dict[str, Any]:
        """What sandbox.json says of this kind of CRM."""
        found: dict[str, Any] = self.info[self.kind]
        return found

    @property
    def salesforce(self) -> dict[str, Any]:
        """instance_url, login_url, access_token, sign_in."""
        described: dict[str, Any] = self.info["salesforce"]
        return described

    def sign_in(self, flow: str) -> dict[str, str]:
        """The credentials of a flow, by its name: soap, password, jwt_bearer, client_secret, certificate …"""
        return next(one for one in self.told["sign_in"] if one["flow"] == flow)

    def control(self, action: str, **arguments: Any) -> Any:
        """Runs an action of the control endpoint; returns its JSON."""
        request = urllib.request.Request(
            f"{self.told['control_url']}/{action}", data=json.dumps(arguments).encode(), method="POST"
        )
        try:
            with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=self.ca_file)) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                raise ControlRefused(f"{action}: {error.read().decode()}") from None

    def counters(self, *, reset: bool = False) -> Any:
        """`requests` and `rows` by kind, `requests_total`, `rows_total`, `bytes`, since the last reset."""
        return self.control("counters", reset=reset)

    def advance(self, by: timedelta) -> datetime:
        """Moves the sandbox clock on; returns the new instant."""
        return datetime.fromisoformat(self.control("advance", seconds=by.total_seconds())["now"])

    def now(self) -> datetime:
        """The sandbox clock."""
        return datetime.fromisoformat(self.control("clock")["now"])

    def change_contacts(self, count: int, **arguments: Any) -> list[str]:
        """Changes the job title and the score of that many contacts, with the stamp now; returns their ids."""
        ids: list[str] = self.control("change", count=count, **arguments)["ids"]
        return ids

    def insert(self, name: str, records: Sequence[dict[str, Any]], **arguments: Any) -> list[str]:
        """Creates records of an object as another user; returns their ids."""
        ids: list[str] = self.control("insert", object=name, records=list(records), **arguments)["ids"]
        return ids

    def faults(self, rules: Sequence[dict[str, Any]]) -> None:
        """Sets the fault plan, e.g. [{"match": {"kind": "query"}, "fault": {"type": "status", "status": 503}}]."""
        self.control("faults", rules=list(rules))

    def switches(self, **changed: Any) -> dict[str, Any]:
        """Sets switches (sizes, quota, unsure facts); returns all of them."""
        switches: dict[str, Any] = self.control("switches", **changed)
        return switches

    def hide(self, *names: str) -> None:
        """Hides exactly these objects (`Lead`) and fields (`Contact.Email`) from the user; none shows all again."""
        self.control("hide", names=list(names))


class Client:
    """Requests to a sandbox, signed in with the token of sandbox.json; nothing is retried or followed."""

    def __init__(self, sandbox: Sandbox, version: str = "v68.0") -> None:
        self.sandbox = sandbox
        self.base = f"/services/data/{version}"
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(sandbox.ca_file)

    def send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, signed_in: bool = True, **given: Any
    ) -> requests.Response:
        """A request to a path below BASE, or below the host when it begins with /services, /id or //."""
        target = path if path.startswith(("/services", "/id", "//")) else self.base + path
        known = self.sandbox.salesforce
        signed = {"Authorization": f"Bearer {known['access_token']}"} if signed_in else {}
        return self._session.request(
            method, known["instance_url"] + target, headers=signed | (headers or {}), allow_redirects=False, **given
        )

    def get(self, path: str, **given: Any) -> requests.Response:
        """GET."""
        return self.send("GET", path, **given)

    def query(self, text: str) -> Any:
        """The JSON of a first page."""
        answer = self.get("/query", params={"q": text})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def all(self, text: str) -> list[dict[str, Any]]:
        """The records of every page of a SOQL text."""
        page = self.query(text)
        found: list[dict[str, Any]] = page["records"]
        while not page["done"]:
            page = self.get(page["nextRecordsUrl"]).json()
            found += page["records"]
        return found

    def finished_bulk(self, job_id: str) -> str:
        """The whole CSV of a bulk query job, waited for."""
        for _ in range(600):
            state = self.get(f"/jobs/query/{job_id}").json()["state"]
            if state in ("JobComplete", "Failed", "Aborted"):
                break
            time.sleep(0.02)
        answer = self.get(f"/jobs/query/{job_id}/results", params={"maxRecords": 1_000_000})
        assert answer.status_code == 200, (state, answer.text)
        return answer.content.decode()

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()


class Witness(Client):
    """Looks at the org by requests of its own; signs in again when a fault has ended all sessions."""

    def send(
        self, method: str, path: str, *, headers: dict[str, str] | None = None, signed_in: bool = True, **given: Any
    ) -> requests.Response:
        """As Client.send."""
        answer = super().send(method, path, headers=headers, signed_in=signed_in, **given)
        if answer.status_code != 401:
            return answer
        known = self.sandbox.sign_in("client_credentials")
        asked = {
            "grant_type": "client_credentials",
            "client_id": known["client_id"],
            "client_secret": known["client_secret"],
        }
        token = super().send("POST", "/services/oauth2/token", signed_in=False, data=asked).json()["access_token"]
        self.sandbox.salesforce["access_token"] = token
        return super().send(method, path, headers=headers, **given)


class WebApi:
    """Requests to a Dynamics sandbox, signed in with the client secret; nothing is retried or followed."""

    def __init__(self, sandbox: Sandbox, version: str = "v9.2") -> None:
        self.sandbox = sandbox
        self.base = f"{sandbox.told['url']}/api/data/{version}/"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(sandbox.ca_file)
        self.sign_in()

    def sign_in(self) -> None:
        """Takes a new token."""
        told, known = self.sandbox.told, self.sandbox.sign_in("client_secret")
        form = {
            "grant_type": "client_credentials",
            "client_id": known["client_id"],
            "client_secret": known["client_secret"],
            "scope": f"{told['url']}/.default",
        }
        answer = self.session.post(f"{told['authority']}/{told['tenant']}/oauth2/v2.0/token", data=form)
        assert answer.status_code == 200, answer.text
        self.session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def send(self, method: str, path: str, **given: Any) -> requests.Response:
        """A request to a path below the service's root, or to a whole address."""
        target = path if path.startswith("https://") else self.base + path
        return self.session.request(method, target, allow_redirects=False, **given)

    def get(self, path: str, **given: Any) -> requests.Response:
        """GET."""
        return self.send("GET", path, **given)

    def create(self, set_name: str, body: dict[str, Any], **given: Any) -> str:
        """POST that must succeed; returns the new record's id."""
        answer = self.send("POST", set_name, json=body, **given)
        assert answer.status_code == 204, answer.text
        return answer.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")

    def one(self, path: str, **given: Any) -> dict[str, Any]:
        """The JSON of a GET that must succeed."""
        answer = self.get(path, **given)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def close(self) -> None:
        """Closes the connections."""
        self.session.close()


class SoapWire:
    """Requests to an Oracle CRM On Demand sandbox by hand; nothing is retried, and nothing waits for the pace unless
    `pace` says how many seconds to leave between two requests."""

    def __init__(self, sandbox: Sandbox, *, pace: float = 0.0) -> None:
        self.sandbox = sandbox
        self.endpoint = f"{sandbox.told['url']}/Services/Integration"
        self.pace = pace
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(sandbox.ca_file)

    def login(self, method: str = "GET", **headers: str) -> requests.Response:
        """?command=login with the known credentials, or those of the headers."""
        known = {"UserName": self.sandbox.told["user"], "Password": self.sandbox.told["password"]}
        return self.session.request(method, f"{self.endpoint}?command=login", headers=known | headers)

    def logoff(self) -> requests.Response:
        """?command=logoff."""
        return self.session.get(f"{self.endpoint}?command=logoff")

    def send(
        self, name: str, inner: str, *, version: str = "v2", method: str = "", custom: bool = True, header: str = ""
    ) -> requests.Response:
        """One operation of an object: `inner` is what is inside the input element, in the service's namespace."""
        layer = "ecbs/" if version == "v2" else ""
        namespace = f"urn:crmondemand/ws/{layer}{name.lower()}/{'10/2004' if custom else ''}"
        element = f"{name}WS_{name}{method}_Input" if version == "v1" else f"{name}{method}_Input"
        return self.post(namespace, f"{name}{method}", f'<{element} xmlns="{namespace}">{inner}</{element}>', header)

    def post(self, namespace: str, operation: str, body: str, header: str = "") -> requests.Response:
        """An envelope around a body's element."""
        if self.pace:
            time.sleep(self.pace)
        soap = "http://schemas.xmlsoap.org/soap/envelope/"
        envelope = f'<e:Envelope xmlns:e="{soap}"><e:Header>{header}</e:Header><e:Body>{body}</e:Body></e:Envelope>'
        headers = {"SOAPAction": f'"document/{namespace}:{operation}"', "Content-Type": "text/xml; charset=utf-8"}
        return self.session.post(self.endpoint, data=envelope.encode(), headers=headers)

    def close(self) -> None:
        """Closes the connections; the session of the sandbox stays."""
        self.session.close()


@contextmanager
def running_sandbox(
    *,
    records: int = 1000,
    state: Path | None = None,
    port: int = 0,
    around: Around | None = None,
    kind: str = "salesforce",
) -> Iterator[Sandbox]:
    """A sandbox in a thread of this process; its state is thrown away unless a folder is given. `around` stands between
    each request and who answers it."""
    with tempfile.TemporaryDirectory() as folder:
        with running(state or Path(folder), records=records, port=port, around=around, crms=(kind,)) as service:
            yield Sandbox(info=service.info, ca_file=service.ca_file, kind=kind)
