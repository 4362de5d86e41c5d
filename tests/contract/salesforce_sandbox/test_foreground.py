"""The sandbox in the foreground of a process of its own, as the command line starts it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = "import sys, pathlib; from crosstie import sandbox; sandbox.start(pathlib.Path(sys.argv[1]), records=20)"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal(tmp_path: Path, how: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], stderr=subprocess.PIPE)
    info = tmp_path / "sandbox.json"
    for _ in range(600):
        if info.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    described = json.loads(info.read_text())
    assert described["salesforce"]["instance_url"].startswith("https://localhost:")
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    if how is signal.SIGTERM:
        assert (process.returncode, errors) == (0, b"")
    else:
        assert b"KeyboardInterrupt" in errors


def test_a_killed_one_can_be_started_again(tmp_path: Path) -> None:
    for _ in range(2):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)])
        info = tmp_path / "sandbox.json"
        for _ in range(600):
            if info.exists() or process.poll() is not None:
                break
            time.sleep(0.05)
        assert process.poll() is None
        process.kill()
        process.wait()
        info.unlink()
