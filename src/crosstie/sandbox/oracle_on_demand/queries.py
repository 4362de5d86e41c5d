"""QueryPage for the objects of the company, as a request asks for it."""

from __future__ import annotations

from crosstie.sandbox.oracle_on_demand.org import Call, Org
from crosstie.sandbox.oracle_on_demand.query_page import QueryPage, Rules


def query_page(org: Org, call: Call) -> bytes:
    """The output element. Raises SoapFault."""
    switches = org.switches
    rules = Rules(
        page_limit=switches.page_limit,
        start_row_from_one=switches.start_row_from_one,
        strict_parentheses=switches.strict_parentheses,
        unequal_finds_empty=switches.unequal_finds_empty,
        empty_texts=switches.v2_empty_texts,
        v1_ordered_by_id=switches.v1_ordered_by_id,
    )
    with org.read() as connection:
        return QueryPage(
            connection=connection,
            subject=call.record,
            flavour=call.flavour,
            wire=org.wire(call.version),
            rules=rules,
            user_id=call.user.id,
        ).answer(call.input)
