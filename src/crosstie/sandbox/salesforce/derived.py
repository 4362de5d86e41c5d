"""Columns that the platform keeps itself: whole names, closed flags, the formula of the gadget."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivation:
    """What an object derives: from which fields, and how, given the record's id and those fields' values."""

    needs: tuple[str, ...]
    compute: Callable[[str, Values], dict[str, Any]]


def _whole_name(_record_id: str, values: Values) -> dict[str, Any]:
    first, last = values["FirstName"], values["LastName"]
    return {"Name": f"{first} {last}" if first and last else first or last or ""}


def _linked_account(record_id: str, values: Values) -> dict[str, Any]:
    # A recorded field that is never null: an account without another one is linked to itself.
    return {"ns__LinkedAccount__c": values["ns__LinkedAccount__c"] or record_id}


def _closed_case(_record_id: str, values: Values) -> dict[str, Any]:
    return {"IsClosed": int(values["Status"] == "Closed")}


def _stage(_record_id: str, values: Values) -> dict[str, Any]:
    stage = values["StageName"]
    category = {"Closed Won": "Closed", "Closed Lost": "Omitted"}.get(stage, "Pipeline")
    return {
        "IsClosed": int(stage in ("Closed Won", "Closed Lost")),
        "IsWon": int(stage == "Closed Won"),
        "ForecastCategory": category,
        "ForecastCategoryName": category,
    }


def _doubled(_record_id: str, values: Values) -> dict[str, Any]:
    count = values["Count__c"]
    return {"Doubled__c": None if count is None else count * 2.0}


_PERSON = Derivation(needs=("FirstName", "LastName"), compute=_whole_name)
DERIVATIONS: Mapping[str, Derivation] = {
    "Contact": _PERSON,
    "Lead": _PERSON,
    "User": _PERSON,
    "Account": Derivation(needs=("ns__LinkedAccount__c",), compute=_linked_account),
    "Case": Derivation(needs=("Status",), compute=_closed_case),
    "Opportunity": Derivation(needs=("StageName",), compute=_stage),
    "Gadget__c": Derivation(needs=("Count__c",), compute=_doubled),
}
