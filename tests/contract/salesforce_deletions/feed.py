"""A deletion feed that names records which live, as the real one was seen to do."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

from crosstie.sandbox.http import Request, Response

Answering = Callable[[Request], Response]


@dataclass
class Feed:
    """Adds `named` (id → deletedDate) to what the sandbox tells; `meanwhile` happens once, behind the next query."""

    named: dict[str, str] = field(default_factory=dict)
    meanwhile: list[Callable[[], object]] = field(default_factory=list)

    def around(self, request: Request, answer: Answering) -> Response:
        """Stands between the requests and the sandbox."""
        given = answer(request)
        if self.meanwhile and "/query" in request.path:
            self.meanwhile.pop()()
        if not self.named or "/deleted" not in request.path or given.status != 200:
            return given
        told = json.loads(given.body())
        told["deletedRecords"] += [{"id": one, "deletedDate": at} for one, at in self.named.items()]
        headers = {name: value for name, value in given.headers.items() if name.lower() != "content-length"}
        return Response(status=200, headers=headers, parts=(json.dumps(told).encode(),))
