"""What the tests write into requests, and read out of answers."""

from typing import Any

import requests
from lxml import etree

from tests.sandboxes import SoapWire

FINAL = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
DRAFT = "http://schemas.xmlsoap.org/ws/2002/04/secext"
ANY_CONTACT = '<ListOfContact pagesize="1"><Contact><Id/></Contact></ListOfContact>'


def contacts(*records: str) -> str:
    """A list of contacts, each by its inner elements."""
    return f"<ListOfContact>{''.join(f'<Contact>{one}</Contact>' for one in records)}</ListOfContact>"


def person(last: str, more: str = "") -> str:
    """The required fields of a contact."""
    return f"<ContactFirstName>Ada</ContactFirstName><ContactLastName>{last}</ContactLastName>{more}"


def credentials(soap: SoapWire, namespace: str = FINAL, password: str | None = None) -> str:
    """A Security header."""
    told = soap.sandbox.told
    token = etree.Element(f"{{{namespace}}}Security")
    inner = etree.SubElement(token, f"{{{namespace}}}UsernameToken")
    etree.SubElement(inner, f"{{{namespace}}}Username").text = told["user"]
    etree.SubElement(inner, f"{{{namespace}}}Password").text = told["password"] if password is None else password
    return etree.tostring(token, encoding="unicode")


def written(answer: requests.Response) -> list[dict[str, str]]:
    """The records of a list, each by its tags."""
    assert answer.status_code == 200, answer.text
    return [{etree.QName(one).localname: one.text or "" for one in record} for record in _list(answer)]


def _list(answer: requests.Response) -> Any:
    root = etree.fromstring(answer.content)
    return next(one for one in root.iter("{*}*") if etree.QName(one).localname.startswith("ListOf"))


def fault(answer: requests.Response) -> tuple[str, str, str]:
    """The shape of a fault, its code without parentheses, and its message."""
    root = etree.fromstring(answer.content)
    assert root.find(".//{*}Fault/faultstring") is not None, answer.text
    if root.find(".//detail/ErrorCode") is not None:
        return "B", root.findtext(".//ErrorCode") or "", root.findtext(".//ErrorMessage") or ""
    code = (root.findtext(".//{*}siebdetail/{*}errorstack/{*}error/{*}errorcode") or "").strip("()")
    message = root.findtext(".//{*}error/{*}errormsg") or ""
    assert root.findtext(".//faultstring") == message and root.findtext(".//{*}logfilename")
    return "A", code, message
