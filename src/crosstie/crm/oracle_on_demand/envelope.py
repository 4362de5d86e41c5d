"""SOAP envelopes: writing them, and reading answers safely (SOAP 1.1; OASIS username token profile 1.0).

Nothing that an answer says is expanded, fetched or believed: no entities, no document types, no external references.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from crosstie.crm.http import REPORT, Answer
from crosstie.errors import ProtocolError, RequestError, UnavailableError

if TYPE_CHECKING:
    from lxml import etree

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
"""The final namespace, which asks for no session."""

PASSWORD_TEXT = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText"  # noqa: S105 - a type's name
REQUEST_LIMIT_BYTES = 28_800 * 1024
ANSWER_LIMIT_BYTES = 64 * 1024 * 1024

_NO_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CUT = re.compile(rb"</[\w.-]*:?Envelope\s*>\s*\Z")


def text(value: str) -> str:
    """Characters for the content of an element. Raises RequestError for those that XML cannot carry."""
    wrong = _NO_XML.search(value)
    if wrong:
        raise RequestError(
            f"A value holds the character U+{ord(wrong.group()):04X}, which Oracle CRM On Demand can't take.",
            hint="Take it out of the value.",
            code="SBL-ODU-01008",
        )
    return escape(value, {"\r": "&#13;"})


def attribute(value: str) -> str:
    """A quoted attribute value. Raises RequestError for characters that XML cannot carry."""
    text(value)
    return quoteattr(value)


def element(tag: str, value: str) -> str:
    """An element that holds a text; without one an empty element."""
    return f"<{tag}>{text(value)}</{tag}>" if value else f"<{tag}/>"


def envelope(body: str, *, user: str = "", password: str = "") -> bytes:
    """A request. With a user it carries the credentials, for the services that take no session."""
    header = f"<soap:Header>{_security(user, password)}</soap:Header>" if user else ""
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="{SOAP}">{header}'
        f"<soap:Body>{body}</soap:Body></soap:Envelope>"
    ).encode()
    if len(content) > REQUEST_LIMIT_BYTES:
        raise RequestError(
            f"A request of {len(content):,} bytes is more than the {REQUEST_LIMIT_BYTES:,} that Oracle CRM On Demand"
            " takes.",
            hint="Ask for fewer values.",
        )
    return content


def _security(user: str, password: str) -> str:
    return (
        f'<wsse:Security xmlns:wsse="{WSSE}" soap:mustUnderstand="1"><wsse:UsernameToken>'
        f"<wsse:Username>{text(user)}</wsse:Username>"
        f'<wsse:Password Type="{PASSWORD_TEXT}">{text(password)}</wsse:Password>'
        "</wsse:UsernameToken></wsse:Security>"
    )


def local_name(node: etree._Element) -> str:
    """The tag without its namespace."""
    return str(node.tag).rpartition("}")[2]


def elements(node: etree._Element) -> Iterator[etree._Element]:
    """The elements right inside another."""
    return node.iterchildren(tag="*")


def child(node: etree._Element | None, *path: str) -> etree._Element | None:
    """The first descendant along these local names; None when there is none."""
    for name in path:
        if node is None:
            return None
        node = next((one for one in elements(node) if local_name(one) == name), None)
    return node


def child_text(node: etree._Element | None, *path: str) -> str:
    """The text of that descendant, without white space around it; '' when there is none."""
    found = child(node, *path)
    return (found.text or "").strip() if found is not None else ""


def body_of(answer: Answer) -> etree._Element:
    """The element inside the Body of an answer: an output, or a Fault.

    Raises UnavailableError for what is no envelope (a proxy's page, nothing) or has no end: asking again may help.
    Raises ProtocolError for a document type and for an envelope that holds nothing."""
    root = _parsed(answer)
    inside = child(root, "Body")
    first = next(elements(inside), None) if inside is not None else None
    if local_name(root) != "Envelope" or inside is None:
        raise UnavailableError(
            f"The answer to “{answer.what}” is no SOAP envelope (HTTP {answer.status}).",
            hint="A proxy or a maintenance page may stand in the way. Run it again later.",
            code=f"HTTP {answer.status}",
            request_id=answer.request_id,
        )
    if first is None:
        raise ProtocolError(
            f"The answer to “{answer.what}” is an empty envelope.", hint=REPORT, request_id=answer.request_id
        )
    return first


def _parsed(answer: Answer) -> etree._Element:
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        recover=False,
    )
    try:
        root = etree.fromstring(answer.body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _no_xml(answer) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise ProtocolError(
            f"The answer to “{answer.what}” has a document type, which no SOAP answer may have.",
            hint=REPORT,
            request_id=answer.request_id,
        )
    return root


def _no_xml(answer: Answer) -> UnavailableError | ProtocolError:
    head = answer.body.lstrip()[:1]
    whole = _CUT.search(answer.body[-200:]) is not None
    if whole:
        return ProtocolError(
            f"The answer to “{answer.what}” is not well-formed XML.", hint=REPORT, request_id=answer.request_id
        )
    how = "was cut: its XML has no end" if head == b"<" else "is no XML"
    return UnavailableError(
        f"The answer to “{answer.what}” {how} (HTTP {answer.status}).",
        hint="The connection is bad, or a proxy shortens or replaces answers. Run it again later.",
        code=f"HTTP {answer.status}",
        request_id=answer.request_id,
    )
