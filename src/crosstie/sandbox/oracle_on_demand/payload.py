"""The records of a write: what an input's list holds, in canonical form.

Elements are matched by their local names, as the service is lenient about namespaces on requests (fact sheet, 2.1).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from lxml import etree

from crosstie.sandbox.oracle_on_demand.envelopes import local_name
from crosstie.sandbox.oracle_on_demand.faults import SoapFault, unknown_field, unreadable, wrapped
from crosstie.sandbox.oracle_on_demand.objects import Child, Field, FieldType
from crosstie.sandbox.oracle_on_demand.org import Call, Org
from crosstie.sandbox.oracle_on_demand.values import Wire, WrongValue

XSI_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
AUDIT = frozenset(
    {"ModifiedDate", "CreatedDate", "ModifiedDateExt", "ModifiedById", "CreatedById", "ModifiedBy", "CreatedBy"}
)
"""What the service fills itself; it passes over what a request says of them."""
OPERATIONS = ("insert", "update", "delete", "skipnode")
_TEXTS = (FieldType.TEXT, FieldType.MEMO, FieldType.PHONE, FieldType.EMAIL, FieldType.URL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One record of a request: its values by v2.0 tag (None clears), Execute's `operation`, and its child records."""

    values: dict[str, str | None]
    operation: str = ""
    children: list[tuple[Child, list["Given"]]] = field(default_factory=list)


class PayloadReader:
    """Reads the records of one call."""

    def __init__(self, org: Org, call: Call) -> None:
        self._org = org
        self._call = call
        self._record = call.record
        self._wire: Wire = org.wire(call.version, call.argument("LOVLanguageMode"))

    def read(self) -> list[Given]:
        """Every record at the top, in order. Raises SoapFault for too many of them, for a field that is not there and
        for a value that the field can't take."""
        name = self._record.name
        lists = [one for one in self._call.input if local_name(one) == f"ListOf{name}"]
        elements = [one for found in lists for one in found if local_name(one) == name]
        limit = self._org.switches.batch_limit
        if len(elements) > limit:
            message = f"The request has {len(elements)} records of {name}, but at most {limit} are allowed."
            raise SoapFault("A", "SBL-EAI-04421", f"{message}(SBL-EAI-04421)")
        return [self._given(one, self._record.fields) for one in elements]

    def _given(self, element: etree._Element, fields: Mapping[str, Field], component: str = "") -> Given:
        component = component or self._record.name
        children = {} if component != self._record.name else {one.list_tag: one for one in self._record.children}
        values: dict[str, str | None] = {}
        held: list[tuple[Child, list[Given]]] = []
        for one in element:
            tag = local_name(one)
            child = children.get(tag)
            if child is not None:
                held.append((child, [self._given(part, child.fields, child.tag) for part in one]))
                continue
            found = self._field(fields.values(), tag)
            if found is None:
                raise unknown_field(tag, component)
            if found.tag not in AUDIT:
                self._read_into(values, found, one, component)
        operation = element.get("operation", "")
        if self._call.method == "Execute" and operation not in OPERATIONS:
            message = f"The operation '{operation}' of Integration Component '{component}' is unknown.(SBL-EAI-04009)"
            raise SoapFault("A", "SBL-EAI-04009", message)
        return Given(values=values, operation=operation, children=held)

    def _field(self, fields: Iterable[Field], tag: str) -> Field | None:
        call = self._call
        return next((one for one in fields if one.tag_in(call.version, call.flavour) == tag), None)

    def _read_into(self, values: dict[str, str | None], found: Field, element: etree._Element, component: str) -> None:
        text = element.text or ""
        if found.read_only:
            if text and self._org.switches.read_only_refused:
                message = f"The field '{found.label}' is read-only. Please don't change it."
                raise wrapped("SBL-DAT-00279", message, "SetFieldValue", component)
            return
        if element.get(XSI_NIL) in ("true", "1"):
            if not self._org.switches.nil_clears:
                raise unreadable(f"{found.tag} is nil")
            values[found.tag] = None
        elif not text and (found.type in _TEXTS or self._org.switches.empty_clears):
            values[found.tag] = None
        else:
            try:
                values[found.tag] = self._wire.read(found, text) or None
            except WrongValue as error:
                raise wrapped(error.code, error.message, "SetFieldValue", component) from None
