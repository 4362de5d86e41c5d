"""Building XML answers out of elements."""

from __future__ import annotations

from lxml import etree


def element(namespace: str, name: str, *inner: etree._Element | str | None) -> etree._Element:
    """An element of a namespace, with texts and elements inside."""
    made = etree.Element(f"{{{namespace}}}{name}", nsmap={"ns": namespace})
    for one in inner:
        if isinstance(one, str):
            made.text = (made.text or "") + one
        elif one is not None:
            made.append(one)
    return made
