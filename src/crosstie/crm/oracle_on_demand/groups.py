"""One request that writes a group of records, its answer, and what a fault says of the group.

Source: Web Services guide, "Insert", "Update", "Delete", "Execute", "InsertOrUpdate". A request is one transaction; a
fault never says which record it is about, and answers come in the order of the records.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from crosstie.crm.http import REPORT
from crosstie.crm.oracle_on_demand.envelope import child, child_text, elements, local_name
from crosstie.crm.oracle_on_demand.faults import Fault, FaultKind
from crosstie.crm.oracle_on_demand.ids import complete_id
from crosstie.crm.oracle_on_demand.names import Service
from crosstie.crm.oracle_on_demand.session import Message, Reply
from crosstie.crm.oracle_on_demand.shipment import Shipment
from crosstie.errors import ProtocolError

USER_KEYS = frozenset({"ExternalSystemId", "IntegrationId"})
"""The fields, beside the id, by which the service itself finds a record (Web Services guide, "User keys")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What one request writes: `records` are the elements of each, `operations` what Execute does with each. `places`
    are those of its rows. `nil`: how fields are cleared, see `Shipment.elements`."""

    method: str
    places: tuple[int, ...]
    records: tuple[str, ...]
    operations: tuple[str, ...] = ()
    nil: bool = False

    def message(self, service: Service) -> Message:
        """The request."""
        name = service.name
        said = [f' operation="{one}"' for one in self.operations] or [""] * len(self.records)
        listed = "".join(f"<{name}{what}>{record}</{name}>" for what, record in zip(said, self.records, strict=True))
        asked = "<LOVLanguageMode>LIC</LOVLanguageMode>" if service.is_v2 and self.method != "Delete" else ""
        tag = service.input_tag(self.method)
        return Message(
            action=service.action(self.method),
            body=f'<{tag} xmlns="{service.namespace}"><{service.list_tag} xmlns="{service.data_namespace}">{listed}'
            f"</{service.list_tag}>{asked}</{tag}>",
            what=f"{self.method} of {name}",
        )

    def ids(self, reply: Reply, service: Service, expected: Sequence[str | None]) -> list[str]:
        """The ids of the records that were written. Raises ProtocolError when they cannot be those of what was sent;
        `expected` are those that are known."""
        answer = reply.answer

        def wrong(how: str) -> ProtocolError:
            return ProtocolError(f"The answer to “{answer.what}” {how}.", hint=REPORT, request_id=answer.request_id)

        around = child(reply.output, service.list_tag)
        found = [] if around is None else [one for one in elements(around) if local_name(one) == service.name]
        if len(found) != len(self.places):
            raise wrong(f"has {len(found):,} records for {len(self.places):,} that were sent")
        ids: list[str] = []
        for record, known in zip(found, expected, strict=True):
            told = complete_id(child_text(record, service.key))
            if told is None:
                raise wrong("does not say which record was written")
            if known is not None and known != told:
                raise wrong("names another record than the one that was sent")
            ids.append(told)
        if len(set(ids)) != len(ids) and len({one for one in expected if one}) < len(set(ids)):
            raise wrong("gives one id to several records")
        return ids


def suspect(shipment: Shipment, places: Sequence[int], fault: Fault) -> int | None:
    """The one row whose id or key the fault quotes; None where it quotes none, or several."""
    keys = shipment.external_ids() if shipment.key is not None else shipment.tokens
    named = {place: (shipment.remote_ids[place], keys[place]) for place in places}
    found = [place for place, texts in named.items() if any(one and _quotes(fault, one) for one in texts)]
    return found[0] if len(found) == 1 else None


def named_fields(shipment: Shipment, fault: Fault) -> str:
    """The fields of the write that the fault names, by their names or labels; comma between."""
    if fault.kind is FaultKind.MISSING:
        return ""
    fields = {one.name: one for target in shipment.targets for one in (target.field, target.holder)}
    if shipment.key is not None:
        fields[shipment.key.name] = shipment.key
    return ",".join(name for name, one in fields.items() if _quotes(fault, name) or _quotes(fault, one.label))


def _quotes(fault: Fault, text: str) -> bool:
    """Whether a fault names something, in quotes or behind the word field."""
    plain = re.escape(text)
    return re.search(rf"['\"]{plain}['\"]|\bfield {plain}\b", fault.message, re.IGNORECASE) is not None


def halves(places: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """A group in two."""
    middle = (len(places) + 1) // 2
    return (tuple(places[:middle]), tuple(places[middle:]))
