"""Ids as clients write them, in paths, lists and rows: read, completed, or refused in the words of that place."""

from collections import Counter
from collections.abc import Iterable

from crosstie.sandbox.salesforce.catalog import SObject
from crosstie.sandbox.salesforce.errors import ApiError, malformed_id, not_found
from crosstie.sandbox.salesforce.ids import to_18


def record_id_of(text: str) -> str:
    """The 18-character form of an id in a path or list; refuses what is none."""
    complete = to_18(text)
    if complete is not None:
        return complete
    if len(text) in (15, 18) and text.isascii() and text.isalnum():
        raise malformed_id(text)
    raise not_found(f"Provided external ID field does not exist or is not accessible: {text}")


def changed_id(sobject: SObject, text: str) -> str:
    """The 18-character form of the id of a row to change; refuses what is none, or another object's, in its words."""
    complete = to_18(text)
    if complete is None or (sobject.key_prefix is not None and complete[:3] != sobject.key_prefix):
        raise malformed_id(text, "Id", sobject.fields["id"].label)
    return complete


def row_id(text: str) -> str:
    """The 18-character form of an id in a row; refuses what is none in a row's words."""
    try:
        return record_id_of(text)
    except ApiError as error:
        raise ApiError(400, "MALFORMED_ID", f"bad id {text}", ["Id"]) from error


def doubled_ids(given: Iterable[str]) -> frozenset[str]:
    """The records whose id comes more than once, as 15 characters or 18."""
    times = Counter(complete for complete in map(to_18, given) if complete is not None)
    return frozenset(record_id for record_id, number in times.items() if number > 1)
