"""QueryPage over the wire: what comes back, in which order, and what moves between two pages."""

import re
from datetime import timedelta

import pytest
from lxml import etree

from tests.contract.oracle_sandbox.messages import fault, written
from tests.sandboxes import Sandbox, SoapWire


def _page(attributes: str, record: str, criteria: str = "") -> str:
    return f"<ListOfContact {attributes}><Contact {criteria}>{record}</Contact></ListOfContact>"


def _ids(soap: SoapWire, inner: str) -> list[str]:
    return [one["Id"] for one in written(soap.send("Contact", inner, method="QueryPage"))]


def test_only_what_is_asked_comes_back_in_the_order_of_the_wsdl(soap: SoapWire) -> None:
    asked = "<ContactLastName/><DateofBirth/><Id/><Department/><ModifiedDate/>"
    rows = written(soap.send("Contact", _page('pagesize="60"', asked), method="QueryPage"))
    shapes = {tuple(one) for one in rows}
    assert max(shapes, key=len)[:2] == ("ModifiedDate", "Id")
    assert {f"<{one}/>" for shape in shapes for one in shape} == set(re.findall("<[^>]*>", asked))
    assert any("DateofBirth" not in shape for shape in shapes)
    assert all(value for one in rows for value in one.values())


def test_texts_without_a_value_may_come_as_empty_elements(soap: SoapWire, oracle: Sandbox) -> None:
    oracle.switches(v2_empty_texts=True)
    asked = "<Id/><Department/><DateofBirth/>"
    rows = written(soap.send("Contact", _page('pagesize="60"', asked), method="QueryPage"))
    assert all("Department" in one for one in rows)
    assert any(one["Department"] == "" for one in rows) and any("DateofBirth" not in one for one in rows)


def test_a_page_has_ten_rows_unless_asked_and_a_hundred_at_most(soap: SoapWire, oracle: Sandbox) -> None:
    oracle.switches(page_limit=20)
    assert len(_ids(soap, _page("", "<Id/>"))) == 10
    assert len(_ids(soap, _page('pagesize="100"', "<Id/>"))) == 20
    answer = soap.send(
        "Contact", "<PageSize>100</PageSize>" + _page("", "<ContactId/>"), method="QueryPage", version="v1"
    )
    assert len(written(answer)) == 20


def test_rows_that_change_while_they_are_read_move_between_the_pages(soap: SoapWire, oracle: Sandbox) -> None:
    order = '<Id/><ModifiedDate sortorder="ASC"/>'
    first = _ids(soap, _page('pagesize="30"', order))
    oracle.advance(timedelta(seconds=5))
    oracle.control("change", ids=first[:3])
    second = _ids(soap, _page('pagesize="100" startrownum="30"', order))
    assert set(second[-3:]) == set(first[:3])
    everything = set(_ids(soap, _page('pagesize="100"', order)))
    assert len(everything - set(first) - set(second)) == 3


def test_v1_may_answer_in_no_order_that_means_anything(soap: SoapWire, oracle: Sandbox) -> None:
    def ask() -> list[str]:
        inner = "<PageSize>100</PageSize>" + _page("", "<ContactId/>")
        answer = soap.send("Contact", inner, method="QueryPage", version="v1")
        return [one["ContactId"] for one in written(answer)]

    assert ask() == sorted(ask())
    oracle.switches(v1_ordered_by_id=False)
    oracle.advance(timedelta(seconds=5))
    (last,) = oracle.control("change", ids=[max(ask())])["ids"]
    assert ask()[0] == last


def test_a_calculated_field_among_the_criteria_cannot_be_counted(soap: SoapWire) -> None:
    for name, shape in (("*", ("A", "SBL-EAI-04376")), ("nobody", None)):
        criteria = f"""searchspec="[ContactFullName] LIKE '{name}'" """
        answer = soap.send("Contact", _page('recordcountneeded="true"', "<Id/>", criteria), method="QueryPage")
        if shape:
            assert fault(answer)[:2] == shape
        else:
            assert written(answer) == []


def test_picklists_come_by_code_or_by_label(soap: SoapWire) -> None:
    criteria = """searchspec="[LeadSource] = '{}'" """
    by_code = _page('pagesize="60"', "<Id/><LeadSource/>", criteria.format("Partner"))
    by_label = _page('pagesize="60"', "<Id/><LeadSource/>", criteria.format("Business partner"))
    codes = written(soap.send("Contact", by_code, method="QueryPage"))
    mode = "<LOVLanguageMode>LDC</LOVLanguageMode>"
    labels = written(soap.send("Contact", by_label + mode, method="QueryPage"))
    assert codes and [one["Id"] for one in codes] == [one["Id"] for one in labels]
    assert {one["LeadSource"] for one in codes} == {"Partner"}
    assert {one["LeadSource"] for one in labels} == {"Business partner"}
    assert fault(soap.send("Contact", by_code + mode.replace("LDC", "X"), method="QueryPage"))[1] == "SBL-ODU-00271"


def test_a_personal_view_has_only_what_the_user_owns(soap: SoapWire) -> None:
    record = "<Id/><OwnerId/>"
    everything = written(soap.send("Contact", _page('pagesize="100"', record), method="QueryPage"))
    mine = written(
        soap.send("Contact", _page('pagesize="100"', record) + "<ViewMode>Personal</ViewMode>", method="QueryPage")
    )
    owners = {one["OwnerId"] for one in mine}
    assert len(owners) == 1 and len(everything) > len(mine) > 0
    assert len(mine) == sum(one["OwnerId"] in owners for one in everything)


@pytest.mark.parametrize("together", ["true", "false"])
def test_criteria_on_children_come_on_top_or_beside(soap: SoapWire, together: str) -> None:
    def ask(name: str, role: str) -> set[str]:
        team = f"<ListOfContactTeam><ContactTeam><TeamRole>{role}</TeamRole></ContactTeam></ListOfContactTeam>"
        record = f"<ContactId/><ContactFirstName>{name}</ContactFirstName>{team if role else ''}"
        inner = f"<UseChildAnd>{together}</UseChildAnd><PageSize>100</PageSize>" + _page("", record)
        return {one["ContactId"] for one in written(soap.send("Contact", inner, method="QueryPage", version="v1"))}

    name, role = "LIKE 'A*'", "='Sales'"
    named, supported = ask(name, ""), ask("", role)
    assert named - supported and supported - named
    assert ask(name, role) == (named & supported if together == "true" else named | supported)


def test_children_come_in_pages_of_their_own(soap: SoapWire) -> None:
    team = '<ListOfContactTeam pagesize="1"><ContactTeam><UserId/><TeamRole/></ContactTeam></ListOfContactTeam>'
    criteria = """searchspec="EXISTS ([TeamRole] IS NOT NULL)" """
    answer = soap.send("Contact", _page('pagesize="60"', "<Id/>" + team, criteria), method="QueryPage")
    lists = list(etree.fromstring(answer.content).iter("{*}ListOfContactTeam"))
    assert lists and all(len(one) == 1 and one.get("lastpage") in ("true", "false") for one in lists)
    assert all(one.findtext("{*}ContactTeam/{*}UserId") for one in lists)
