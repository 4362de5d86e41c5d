"""The tricks of `tricks` on answers in XML: envelopes whose body holds a `ListOf…` with one element for each row."""

from collections.abc import Callable

from lxml import etree

from crosstie.sandbox.faults import Fault

_MARK = "@here@"
_RAW = {"invalid_utf8": b"\xff", "nul": b"&#0;"}
_LAUGHS = 12


def rewritten(body: bytes, fault: Fault) -> bytes | None:
    """The changed answer; None for a trick that has no meaning for XML of its own."""
    if fault.trick in _DOCUMENTS:
        return _DOCUMENTS[fault.trick](body, fault)
    if fault.trick not in _LISTS:
        return None
    root = etree.fromstring(body)
    listed = next((one for one in root.iter("{*}*") if etree.QName(one).localname.startswith("ListOf")), None)
    if listed is None or not len(listed):
        return body
    _LISTS[fault.trick](listed, fault)
    changed = etree.tostring(root, encoding="UTF-8", xml_declaration=True)
    return changed.replace(_MARK.encode(), _RAW.get(fault.trick, b""))


def _deep(body: bytes, fault: Fault) -> bytes:
    return b"<a>" * 200_000 + b"</a>" * 200_000


def _entities(body: bytes, fault: Fault) -> bytes:
    """Entities of entities, that would grow to gigabytes, in place of the text of the answer's last element."""
    defined = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, _LAUGHS))
    return _with_entity(body, f'<!ENTITY e0 "ha">{defined}', f"&e{_LAUGHS - 1};")


def _external_entity(body: bytes, fault: Fault) -> bytes:
    """An entity that is a file or an address, which is in `location`."""
    return _with_entity(body, f'<!ENTITY there SYSTEM "{fault.location}">', "&there;")


def _with_entity(body: bytes, entities: str, reference: str) -> bytes:
    root = etree.fromstring(body)
    last = [one for one in root.iter("{*}*") if not len(one)][-1]
    last.text = _MARK
    told = etree.tostring(root, encoding="UTF-8", xml_declaration=False).replace(_MARK.encode(), reference.encode())
    return b'<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE a [%s]>' % entities.encode() + told


def _value(listed: etree._Element, fault: Fault) -> None:
    field = "Id" if fault.trick == "bad_id" else fault.field
    told = {"big_field": "x" * fault.bytes, "bad_id": "0035g0000", "big_number": "1e400", "nan": "NaN"}
    for one in listed[0]:
        if etree.QName(one).localname == field:
            one.text = told.get(fault.trick, f"a{_MARK}b")


def _members(listed: etree._Element, fault: Fault) -> None:
    row = listed[0]
    if fault.trick == "extra_member":
        etree.SubElement(row, f"{{{etree.QName(row).namespace}}}Extra__c").text = "x"
    elif fault.trick == "other_object":
        row.tag = f"{{{etree.QName(row).namespace}}}Lead"
    elif fault.trick == "reordered":
        row[:] = list(reversed(row))
    else:
        for one in [one for one in row if etree.QName(one).localname == fault.field]:
            row.remove(one)


def _rows(listed: etree._Element, fault: Fault) -> None:
    listed.remove(listed[-1])
    if fault.trick == "same_row" and len(listed):
        listed.append(etree.fromstring(etree.tostring(listed[0])))


def _total(listed: etree._Element, fault: Fault) -> None:
    if "recordcount" in listed.attrib:
        listed.set("recordcount", str(int(listed.get("recordcount", "0")) + fault.rows))


def _own_next(listed: etree._Element, fault: Fault) -> None:
    """The last page says that it is not the last."""
    if "lastpage" in listed.attrib:
        listed.set("lastpage", "false")
    parent = listed.getparent()
    for one in parent if parent is not None else ():
        if etree.QName(one).localname == "LastPage":
            one.text = "false"


_DOCUMENTS: dict[str, Callable[[bytes, Fault], bytes]] = {
    "deep": _deep,
    "entities": _entities,
    "external_entity": _external_entity,
}
_LISTS: dict[str, Callable[[etree._Element, Fault], None]] = {
    **dict.fromkeys(("big_field", "invalid_utf8", "nul", "bad_id", "big_number", "nan"), _value),
    **dict.fromkeys(("extra_member", "missing_member", "other_object", "reordered"), _members),
    **dict.fromkeys(("same_row", "short_page"), _rows),
    "total": _total,
    "own_next": _own_next,
}
