"""Services as real processes, which are killed and begun again."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.project import Project

# Generous: the machine may be busy with other things. Nothing is asserted by it.
PATIENCE_SECONDS = 180


def wait_until(happened: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Waits until something has happened; fails when it takes for ever."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, f"never happened: {what}"
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    """The processes that a process has begun."""
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


@dataclass
class Fleet:
    """Several `crosstie serve` on one project. `killed` are all processes that were ended without a word."""

    project: Project
    services: list[subprocess.Popen[bytes]] = field(default_factory=list)
    killed: set[int] = field(default_factory=set)

    def begin(self) -> subprocess.Popen[bytes]:
        """One more service, whose output goes to a file of the project."""
        with (self.project.folder / f"serve-{len(self.services)}.log").open("ab") as output:
            service = subprocess.Popen(
                self.project.command("serve", "--no-console"),
                cwd=self.project.folder,
                env=self.project.env(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.services.append(service)
        return service

    def living(self) -> list[subprocess.Popen[bytes]]:
        """The services that were not killed."""
        return [one for one in self.services if one.poll() is None]

    def kill(self, service: subprocess.Popen[bytes], *, with_runners: bool) -> None:
        """Kills a service, and those that it has begun, or lets them find out."""
        runners = children(service.pid)
        service.kill()
        service.wait()
        self.killed.add(service.pid)
        for runner in runners if with_runners else ():
            try:
                os.kill(runner, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.killed.add(runner)

    def kill_runner(self, service: subprocess.Popen[bytes]) -> None:
        """Kills whatever a service has begun, and lets the service be."""
        for runner in children(service.pid):
            try:
                os.kill(runner, signal.SIGKILL)
            except ProcessLookupError:
                continue
            self.killed.add(runner)

    def end(self) -> None:
        """Asks all to end, and sees that they do, with their runners."""
        living = self.living()
        runners = [runner for service in living for runner in children(service.pid)]
        for service in living:
            service.terminate()
        for service in living:
            assert service.wait(PATIENCE_SECONDS) == 0
        wait_until(lambda: not any(Path(f"/proc/{one}").exists() for one in runners), "the runners end")

    def output(self) -> str:
        """What all of them have said."""
        return "\n".join(one.read_text(errors="replace") for one in sorted(self.project.folder.glob("serve-*.log")))

    def abandon(self) -> None:
        """Kills what is left."""
        for service in self.living():
            self.kill(service, with_runners=True)
