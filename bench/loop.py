"""A bare HTTP loop: posts prepared bodies, four connections at a time, and reads the answers. See `bench.exports`."""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

CONNECTIONS = 4


def post(given: dict[str, str], bodies: list[bytes]) -> None:
    """All bodies by one connection."""
    target = urlsplit(given["url"])
    assert target.hostname is not None, "the sandbox has an address"
    context = ssl.create_default_context(cafile=given["ca_file"])
    connection = http.client.HTTPSConnection(target.hostname, target.port, context=context)
    headers = {
        "Authorization": f"Bearer {given['token']}",
        "Content-Type": "application/json",
        "Sforce-Duplicate-Rule-Header": "allowSave=true",
    }
    for body in bodies:
        connection.request("POST", target.path, body, headers)
        answer = connection.getresponse()
        if answer.status != 200 or any(not one["success"] for one in json.loads(answer.read())):
            raise SystemExit(f"HTTP {answer.status}")
    connection.close()


def main() -> None:
    """Posts what the file named in the arguments says."""
    given = json.loads(Path(sys.argv[1]).read_text())
    bodies = Path(given["bodies"]).read_bytes().splitlines()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for done in [pool.submit(post, given, bodies[lane::CONNECTIONS]) for lane in range(CONNECTIONS)]:
            done.result()


if __name__ == "__main__":
    main()
