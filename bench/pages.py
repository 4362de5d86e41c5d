"""A bare HTTP loop over the Dataverse Web API: reads pages and throws them away, keeps them once as CSV, or posts
prepared batches. See `bench.dynamics`."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

CONNECTIONS = 8


def connected(given: dict[str, str]) -> http.client.HTTPSConnection:
    """A connection to the organization."""
    target = urlsplit(given["url"])
    assert target.hostname is not None, "the sandbox has an address"
    return http.client.HTTPSConnection(
        target.hostname, target.port, context=ssl.create_default_context(cafile=given["ca_file"])
    )


def read(given: dict[str, str], *, keep: bool) -> None:
    """Every page, one after the other."""
    connection, url, first = connected(given), given["url"], True
    headers = {"Authorization": f"Bearer {given['token']}", "Prefer": "odata.maxpagesize=5000"}
    while url:
        target = urlsplit(url)
        connection.request("GET", f"{target.path}?{target.query}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise SystemExit(f"HTTP {answer.status}")
        if keep:
            from bench.dynamics import written

            written(given["rows"], json.loads(body)["value"], first=first)
        # The link stands at the end, as JSON writes it.
        found = re.search(rb'"@odata\.nextLink":("[^"]*")', body[-4000:])
        url, first = (json.loads(found[1]) if found else ""), False


def post(given: dict[str, str], bodies: list[bytes]) -> None:
    """All batches of one connection."""
    connection, path = connected(given), urlsplit(given["url"]).path
    headers = {
        "Authorization": f"Bearer {given['token']}",
        "Content-Type": "multipart/mixed; boundary=b",
        "Prefer": "odata.continue-on-error",
    }
    for body in bodies:
        connection.request("POST", path, json.loads(body).encode(), headers)
        answer = connection.getresponse()
        if b" 204 No Content" not in answer.read() or answer.status != 200:
            raise SystemExit(f"HTTP {answer.status}")


def main() -> None:
    """Does what the file named in the arguments says."""
    given = json.loads(Path(sys.argv[1]).read_text())
    if sys.argv[2:] != ["post"]:
        read(given, keep=sys.argv[2:] == ["keep"])
        return
    bodies = Path(given["bodies"]).read_bytes().splitlines()
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for done in [pool.submit(post, given, bodies[lane::CONNECTIONS]) for lane in range(CONNECTIONS)]:
            done.result()


if __name__ == "__main__":
    main()
