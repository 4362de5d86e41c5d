"""A running sandbox: builds the org from its state directory, serves it, and says in sandbox.json how to reach it."""

import fcntl
import json
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crosstie.sandbox.control import PREFIX, Control
from crosstie.sandbox.http import HttpsServer, Request, Response
from crosstie.sandbox.salesforce.dispatch import Salesforce
from crosstie.sandbox.salesforce.errors import STATUS_ERRORS, ApiError
from crosstie.sandbox.salesforce.org import Org
from crosstie.sandbox.salesforce.sessions import Credentials, Sessions, load_credentials, public_key_pem
from crosstie.sandbox.salesforce.soap import LAST_LOGIN_VERSION
from crosstie.sandbox.tls import ensure_certificates, server_context, write_private

log = logging.getLogger(__name__)

INFO_FILE = "sandbox.json"

Around = Callable[[Request, Callable[[Request], Response]], Response]
"""Stands between the requests of clients and who answers them, so that a test can number them, hold them back, or end
the client before or after the work is done."""


class StateInUse(Exception):
    """Another sandbox serves this state directory."""


class SandboxService:
    """One sandbox on one port. `info` is what sandbox.json holds, secrets included."""

    def __init__(self, state_dir: Path, *, records: int = 1000, port: int = 0, around: Around | None = None) -> None:
        state_dir = state_dir.absolute()
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._state_dir = state_dir
        self._lock_file = _lock(state_dir)
        # Who waits for the file must not find that of the last run.
        (state_dir / INFO_FILE).unlink(missing_ok=True)
        ca_file, server_file = ensure_certificates(state_dir)
        self._org = Org(state_dir, records=records)
        key_file = state_dir / "jwt_key.pem"
        credentials = load_credentials(self._org.database, key_file)
        sessions = Sessions(self._org.database)
        if sessions.find(credentials.file_token, float("inf")) is None:
            sessions.open("file", token=credentials.file_token)
        self._salesforce = Salesforce(self._org, sessions, credentials, public_key_pem(key_file))
        self._around: Around = around or (lambda request, answer: answer(request))
        self._server = _listen(self._org, port, server_file, self._handle)
        url = f"https://localhost:{self._server.port}"
        self._org.instance_url = url
        self._control = Control(self._salesforce, self._set_latency)
        self.info = _info(ca_file, url, credentials, key_file)
        write_private(state_dir / INFO_FILE, json.dumps(self.info, indent=2, ensure_ascii=False).encode())

    @property
    def ca_file(self) -> Path:
        """The PEM that a client must trust."""
        return Path(self.info["ca_file"])

    def serve_forever(self) -> None:
        """Serves until `close`."""
        self._server.serve_forever()

    def stop(self) -> None:
        """Makes `serve_forever` return."""
        self._server.close()

    def close(self) -> None:
        """Stops serving and closes the state, which stays."""
        self._server.close()
        self._salesforce.bulk.close()
        self._salesforce.ingest.close()
        self._org.close()
        self._lock_file.close()

    def _set_latency(self, seconds: float) -> None:
        self._server.latency = seconds

    def _handle(self, request: Request) -> Response:
        try:
            if request.path.startswith(PREFIX):
                return self._control.handle(request)
            return self._around(request, self._salesforce.handle)
        except Exception:
            # A bug of the sandbox must answer as a broken server would, not silence the connection.
            log.exception("the sandbox failed on %s %s", request.method, request.path)
            return ApiError(500, *STATUS_ERRORS[500]).response()


def _lock(state_dir: Path) -> Any:
    """Holds the state directory, by a lock that the system frees when the process ends."""
    file = (state_dir / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StateInUse(f"Another sandbox serves {state_dir}. Stop it, or give another folder.") from error
    return file


def _listen(org: Org, port: int, server_file: Path, handle: Any) -> HttpsServer:
    """Listens on the port that was given; else on that of the last time if it is free, else on any."""
    context = server_context(server_file)
    kept = org.database.setting("port", 0)
    server = None
    if not port and kept:
        try:
            server = HttpsServer(context, kept, handle)
        except OSError as error:
            log.info("port %s of the last start is taken (%s), using another", kept, error)
    server = server or HttpsServer(context, port, handle)
    if server.port != kept:
        org.database.keep_setting("port", server.port)
    return server


def _info(ca_file: Path, url: str, known: Credentials, key_file: Path) -> dict[str, Any]:
    client = {"client_id": known.client_id, "client_secret": known.client_secret}
    user = {"username": known.username, "password": known.password, "security_token": known.security_token}
    return {
        "ca_file": str(ca_file),
        "salesforce": {
            "instance_url": url,
            "login_url": url,
            "access_token": known.file_token,
            "sign_in": [
                {"flow": "soap", **user, "api_version": f"{LAST_LOGIN_VERSION}.0"},
                {"flow": "password", **client, **user},
                {
                    "flow": "jwt_bearer",
                    "client_id": known.client_id,
                    "username": known.username,
                    "private_key_file": str(key_file),
                    "audience": url,
                },
                {"flow": "client_credentials", **client},
                {"flow": "refresh_token", **client, "refresh_token": known.refresh_token},
            ],
        },
        "control_url": f"{url}{PREFIX.rstrip('/')}",
    }


def start(
    state_dir: Path, *, records: int = 1000, port: int = 0, ready: Callable[[dict[str, Any]], None] | None = None
) -> None:
    """Serves a sandbox in the foreground until Ctrl-C (KeyboardInterrupt, after closing) or SIGTERM (returns).

    `records` is the number of contacts of a new state (accounts, leads and others in proportion) and does not matter
    for one that exists. `ready` is called with what sandbox.json holds, once it is written and the port is open.
    Raises StateInUse, and OSError when the port is taken.
    """
    service = SandboxService(state_dir, records=records, port=port)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda _signal, _frame: service.stop())
    try:
        if ready is not None:
            ready(service.info)
        service.serve_forever()
    finally:
        service.close()


@contextmanager
def running(
    state_dir: Path, *, records: int = 1000, port: int = 0, around: Around | None = None
) -> Iterator[SandboxService]:
    """A sandbox served by a thread of this process, for as long as the context lasts."""
    service = SandboxService(state_dir, records=records, port=port, around=around)
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.close()
        thread.join()
