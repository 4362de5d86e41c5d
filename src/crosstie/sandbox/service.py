"""Running sandboxes: opens the CRMs of a state directory, serves them, and says in sandbox.json how to reach them."""

import fcntl
import json
import logging
import signal
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crosstie.sandbox.control import PREFIX, Control
from crosstie.sandbox.crm import Crm, Front, Opener
from crosstie.sandbox.database import Database
from crosstie.sandbox.dynamics.service import DynamicsService
from crosstie.sandbox.http import HttpsServer, Request, Response
from crosstie.sandbox.oracle_on_demand.service import OracleOnDemandService
from crosstie.sandbox.salesforce.service import SalesforceService
from crosstie.sandbox.tls import ensure_certificates, server_context, write_private

log = logging.getLogger(__name__)

INFO_FILE = "sandbox.json"

SANDBOXES: Mapping[str, Opener] = {
    "salesforce": SalesforceService,
    "dynamics": DynamicsService,
    "oracle_on_demand": OracleOnDemandService,
}
"""Every CRM that there is a sandbox of: its name in sandbox.json, and what opens it."""

Around = Callable[[Request, Callable[[Request], Response]], Response]
"""Stands between the requests of clients and who answers them, so that a test can number them, hold them back, or end
the client before or after the work is done."""


class StateInUse(Exception):
    """Another sandbox serves this state directory."""


class SandboxService:
    """The chosen CRMs, each on ports of its own. `info` is what sandbox.json holds, secrets included."""

    def __init__(
        self,
        state_dir: Path,
        *,
        records: int = 1000,
        port: int = 0,
        around: Around | None = None,
        crms: Sequence[str] = tuple(SANDBOXES),
    ) -> None:
        state_dir = state_dir.absolute()
        state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_file = _lock(state_dir)
        # Who waits for the file must not find that of the last run.
        (state_dir / INFO_FILE).unlink(missing_ok=True)
        ca_file, server_file = ensure_certificates(state_dir)
        context = server_context(server_file)
        around = around or (lambda request, answer: answer(request))
        self._served: dict[str, _Served] = {}
        for name in crms:
            given = 0 if self._served else port
            self._served[name] = _Served(SANDBOXES[name](state_dir, records), context, given, around)
        self.info: dict[str, Any] = {"ca_file": str(ca_file)}
        for name, one in self._served.items():
            self.info[name] = {**one.info, "control_url": one.control_url}
        self.info["control_url"] = self.info[crms[0]]["control_url"]
        write_private(state_dir / INFO_FILE, json.dumps(self.info, indent=2, ensure_ascii=False).encode())

    @property
    def ca_file(self) -> Path:
        """The PEM that a client must trust."""
        return Path(self.info["ca_file"])

    def serve_forever(self) -> None:
        """Serves until `close`."""
        first, *others = [server for one in self._served.values() for server in one.servers]
        threads = [threading.Thread(target=server.serve_forever, daemon=True) for server in others]
        for thread in threads:
            thread.start()
        first.serve_forever()
        for thread in threads:
            thread.join()

    def stop(self) -> None:
        """Makes `serve_forever` return."""
        for one in self._served.values():
            for server in one.servers:
                server.close()

    def close(self) -> None:
        """Stops serving and closes the state, which stays."""
        self.stop()
        for one in self._served.values():
            one.crm.close()
        self._lock_file.close()


class _Served:
    """One CRM with its listeners; control is on the first."""

    def __init__(self, crm: Crm, context: ssl.SSLContext, port: int, around: Around) -> None:
        self.crm = crm
        self._around = around
        self._control: Control = crm.control(self._set_latency)
        self.servers: list[HttpsServer] = []
        urls = {}
        for name, front in crm.fronts.items():
            server = _listen(crm.database, name, 0 if self.servers else port, context, self._handler(front))
            self.servers.append(server)
            urls[name] = f"https://localhost:{server.port}"
        self.info = crm.served(urls)
        self.control_url = f"https://localhost:{self.servers[0].port}{PREFIX.rstrip('/')}"

    def _set_latency(self, seconds: float) -> None:
        for server in self.servers:
            server.latency = seconds

    def _handler(self, front: Front) -> tuple[Callable[[Request], Response], int]:
        steered = not self.servers

        def handle(request: Request) -> Response:
            try:
                if steered and request.path.startswith(PREFIX):
                    return self._control.handle(request)
                return self._around(request, front.handle)
            except Exception:
                # A bug of the sandbox must answer as a broken server would, not silence the connection.
                log.exception("the sandbox failed on %s %s", request.method, request.path)
                return self.crm.failure()

        return handle, front.head_bytes


def _lock(state_dir: Path) -> Any:
    """Holds the state directory, by a lock that the system frees when the process ends."""
    file = (state_dir / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StateInUse(f"Another sandbox serves {state_dir}. Stop it, or give another folder.") from error
    return file


def _listen(
    database: Database,
    name: str,
    port: int,
    context: ssl.SSLContext,
    handler: tuple[Callable[[Request], Response], int],
) -> HttpsServer:
    """Listens on the port that was given; else on that of the last time if it is free, else on any."""
    handle, head_bytes = handler
    kept = database.setting(name, 0)
    server = None
    if not port and kept:
        try:
            server = HttpsServer(context, kept, handle, head_bytes=head_bytes)
        except OSError as error:
            log.info("port %s of the last start is taken (%s), using another", kept, error)
    server = server or HttpsServer(context, port, handle, head_bytes=head_bytes)
    if server.port != kept:
        database.keep_setting(name, server.port)
    return server


def start(
    state_dir: Path,
    *,
    records: int = 1000,
    port: int = 0,
    crms: Sequence[str] = tuple(SANDBOXES),
    ready: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Serves sandboxes in the foreground until Ctrl-C (KeyboardInterrupt, after closing) or SIGTERM (returns).

    `records` is the number of contacts of a new state (accounts, leads and others in proportion) and does not matter
    for one that exists; `port` is that of the first of `crms`. `ready` is called with what sandbox.json holds, once it
    is written and the ports are open. Raises StateInUse, and OSError when the port is taken.
    """
    service = SandboxService(state_dir, records=records, port=port, crms=crms)
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
    state_dir: Path,
    *,
    records: int = 1000,
    port: int = 0,
    around: Around | None = None,
    crms: Sequence[str] = tuple(SANDBOXES),
) -> Iterator[SandboxService]:
    """Sandboxes served by threads of this process, for as long as the context lasts."""
    service = SandboxService(state_dir, records=records, port=port, around=around, crms=crms)
    thread = threading.Thread(target=service.serve_forever, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.close()
        thread.join()
