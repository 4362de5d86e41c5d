"""SOAP 1.1 envelopes: read safely from a request, and put around an answer."""

import re
from dataclasses import dataclass

from lxml import etree

from crosstie.sandbox.oracle_on_demand.faults import SOAP, unreadable

WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
"""The final namespace: each request signs in by itself."""
DRAFT_WSSE = tuple(f"http://schemas.xmlsoap.org/ws/2002/{month}/secext" for month in ("04", "07"))
"""The draft namespaces: a session comes of it."""
PLAIN_TEXT = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordText"
_OPENING = (
    b'<?xml version="1.0" encoding="UTF-8"?><SOAP-ENV:Envelope xmlns:SOAP-ENV="%s"><SOAP-ENV:Body>' % SOAP.encode()
)
_CLOSING = b"</SOAP-ENV:Body></SOAP-ENV:Envelope>"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of a request's header. `stateful` when its namespace is a draft's."""

    user: str
    password: str
    stateful: bool

    def __repr__(self) -> str:
        return f"Credentials(user={self.user!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A request's: its credentials if it has any, whether it asks to keep the session, and its body's element."""

    credentials: Credentials | None
    keep_alive: bool
    body: etree._Element


def read_envelope(body: bytes) -> Envelope:
    """Reads a request. Raises SoapFault for what is no envelope, and for a document type; no entity is resolved."""
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise unreadable(str(error)) from None
    information = root.getroottree().docinfo
    if getattr(information, "doctype", ""):
        raise unreadable("a document type is not allowed")
    if root.tag != f"{{{SOAP}}}Envelope":
        raise unreadable(f"the root is {root.tag}, and no envelope of SOAP 1.1")
    found = root.find(f"{{{SOAP}}}Body")
    if found is None or len(found) != 1:
        raise unreadable("the envelope's body must have one element")
    header = root.find(f"{{{SOAP}}}Header")
    return Envelope(credentials=_credentials(header), keep_alive=_keeps_alive(header), body=found[0])


def enveloped(output: etree._Element | bytes) -> bytes:
    """An answer whose body has this element."""
    inner = output if isinstance(output, bytes) else etree.tostring(output, encoding="UTF-8", xml_declaration=False)
    return b"".join((_OPENING, re.sub(rb"^<\?xml[^>]*\?>\s*", b"", inner), _CLOSING))


def local_name(element: etree._Element) -> str:
    """A tag without its namespace."""
    return etree.QName(element).localname


def _credentials(header: etree._Element | None) -> Credentials | None:
    for element in header if header is not None else ():
        namespace = etree.QName(element).namespace
        if local_name(element) != "Security" or namespace not in (WSSE, *DRAFT_WSSE):
            continue
        token = {local_name(one): one for one in element.iter() if one is not element}
        user, password = token.get("Username"), token.get("Password")
        if user is None or password is None:
            continue
        if password.get("Type", PLAIN_TEXT) not in (PLAIN_TEXT, "wsse:PasswordText", "PasswordText"):
            raise unreadable("the password must be of the type PasswordText")
        return Credentials((user.text or "").strip(), password.text or "", namespace != WSSE)
    return None


def _keeps_alive(header: etree._Element | None) -> bool:
    elements = header if header is not None else ()
    told = (one.text or "" for one in elements if local_name(one) == "SessionKeepAlive")
    return any(text.strip().lower() == "true" for text in told)
