"""Records found by the values of an alternate key that can't stand in a URL: by a filter, in as many calls as it takes.

Source: Dataverse Web API guide, "Query function reference", In.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from crosstie.crm.dynamics.binding import BoundTable
from crosstie.crm.dynamics.ids import complete_id
from crosstie.crm.dynamics.session import Session
from crosstie.crm.http import REPORT
from crosstie.errors import ProtocolError

_URL_CHARACTERS = 8_000
_MOST_VALUES = 200


class _Page(msgspec.Struct):
    value: list[dict[str, Any]]


def ids_by_key(session: Session, table: BoundTable, column: str, texts: Iterable[str]) -> dict[str, str]:
    """The ids of the records with those values in a text column, by the text that was given; values without a record
    are missing. Dataverse compares texts without regard to case. Raises ConnectorError."""
    wanted = list(dict.fromkeys(texts))
    held: dict[str, str] = {}
    for values in _cuts(wanted):
        listed = quote(msgspec.json.encode(values).decode(), safe="")
        path = (
            f"{table.entity_set}?$select={table.key},{column}&$filter=Microsoft.Dynamics.CRM.In"
            f"(PropertyName='{column}',PropertyValues={listed})"
        )
        answer = session.get(path, f"{table.name} by {column}")
        page: _Page = answer.decoded(_Page, "is no list of records")
        for one in page.value:
            record_id, text = complete_id(str(one.get(table.key))), one.get(column)
            if record_id is None or not isinstance(text, str):
                raise ProtocolError(
                    f"A record in the answer to “{answer.what}” has no id or no {column}.",
                    hint=REPORT,
                    request_id=answer.request_id,
                )
            held[text.casefold()] = record_id
    return {one: held[one.casefold()] for one in wanted if one.casefold() in held}


def _cuts(texts: Sequence[str]) -> Iterator[list[str]]:
    """The values in as many parts as URLs take."""
    part: list[str] = []
    length = 0
    for one in texts:
        characters = len(quote(one, safe="")) + 9
        if part and (length + characters > _URL_CHARACTERS or len(part) == _MOST_VALUES):
            yield part
            part, length = [], 0
        part.append(one)
        length += characters
    if part:
        yield part
