"""WSDLs, one for each object, version and flavour, whole in themselves, as administrators download them.

Names of types, of arguments and of their order are those of client stubs made from downloaded WSDLs (fact sheet,
sections 2.2, 2.4, 2.5 and 9). Faults are not declared, as there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from crosstie.sandbox.oracle_on_demand import namespaces
from crosstie.sandbox.oracle_on_demand.definitions import Child, Field, FieldType, Object

XSD = "http://www.w3.org/2001/XMLSchema"
SOAP_BINDING = "http://schemas.xmlsoap.org/wsdl/soap/"
TYPES = {
    FieldType.BOOLEAN: "boolean",
    FieldType.INTEGER: "int",
    FieldType.NUMBER: "decimal",
    FieldType.CURRENCY: "decimal",
    FieldType.PERCENT: "decimal",
    FieldType.DATE: "date",
    FieldType.DATETIME: "dateTime",
}
"""The XSD types of v2.0's rows; what is not here is a string."""
_LIST = "{list}"
_V1_ARGUMENTS = {
    "QueryPage": ("BookName", "UseChildAnd", "BookId", "PageSize", _LIST, "IncludeSubBooks", "StartRowNum"),
}
_V2_ARGUMENTS = {
    "QueryPage": ("NamedSearchSpec", _LIST, "LOVLanguageMode", "ViewMode"),
    "Delete": (_LIST, "Echo"),
}
_V1_WRITE: tuple[str, ...] = (_LIST, "Echo")
_V2_WRITE: tuple[str, ...] = (_LIST, "LOVLanguageMode", "ViewMode", "Echo")
_LIST_ATTRIBUTES = {
    "Query": {"pagesize": "string", "startrownum": "string", "recordcountneeded": "boolean"},
    "Data": {"lastpage": "boolean", "recordcount": "int"},
}
_RECORD_ATTRIBUTES = {"Query": "searchspec", "Data": "operation"}
_QUERY_TYPE = """
   <xsd:complexType name="queryType"><xsd:simpleContent><xsd:extension base="xsd:string">
    <xsd:attribute name="sortorder" type="xsd:string"/><xsd:attribute name="sortsequence" type="xsd:string"/>
   </xsd:extension></xsd:simpleContent></xsd:complexType>"""


@dataclass(frozen=True, slots=True)
class Wsdl:
    """The WSDL of an object in a version ("v1", "v2") and a flavour ("custom", "generic")."""

    subject: Object
    version: str
    flavour: str

    def document(self, address: str) -> bytes:
        """The whole document, for a service that is reached at an address."""
        name, service = self.subject.name, self._service
        methods = namespaces.methods(self.subject, self.version)
        binding = f"Default_Binding_{name}"
        text = f"""<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="{SOAP_BINDING}" xmlns:xsd="{XSD}"
 xmlns:tns="{service}" targetNamespace="{service}">
 <types>{"".join(self._payloads())}{self._arguments(methods)}
 </types>{"".join(self._message(method, side) for method in methods for side in ("Input", "Output"))}
 <portType name="{binding}">{"".join(self._port_operation(method) for method in methods)}
 </portType>
 <binding name="{binding}" type="tns:{binding}">
  <soap:binding transport="http://schemas.xmlsoap.org/soap/http" style="document"/>{
            "".join(self._bound_operation(method) for method in methods)
        }
 </binding>
 <service name="{name}">
  <port name="Default" binding="tns:{binding}"><soap:address location={quoteattr(address)}/></port>
 </service>
</definitions>
"""
        return text.encode()

    @property
    def _service(self) -> str:
        return namespaces.service_namespace(self.subject, self.version, self.flavour)

    def _payload(self, side: str) -> str:
        if self.version == "v1":
            return namespaces.v1_namespace(self.subject)
        return namespaces.v2_namespace(self.subject, side)

    def _payloads(self) -> Iterable[str]:
        """The schemas of the records: one in v1.0, one for each side in v2.0."""
        for side in ("Query", "Data") if self.version == "v2" else ("",):
            name = f"ListOf{self.subject.name}"
            types = [self._types(side, name, self.subject.name, self.subject.fields.values(), self.subject.children)]
            types += [
                self._types(side, one.list_tag, one.tag, one.fields.values(), ()) for one in self.subject.children
            ]
            yield f"""
  <xsd:schema targetNamespace="{self._payload(side)}" xmlns:p="{self._payload(side)}" elementFormDefault="qualified"
   attributeFormDefault="unqualified">
   <xsd:element name="{name}" type="p:{name}{side}"/>{_QUERY_TYPE if side == "Query" else ""}{"".join(types)}
  </xsd:schema>"""

    def _types(self, side: str, list_tag: str, tag: str, fields: Iterable[Field], children: tuple[Child, ...]) -> str:
        """The type of a list, and the type of what it holds."""
        elements = "".join(self._field(field, side) for field in fields)
        lists = "".join(
            f'\n     <xsd:element name="{one.list_tag}" type="p:{one.list_tag}{side}" minOccurs="0"/>'
            for one in children
        )
        more = "".join(
            f'<xsd:attribute name="{name}" type="xsd:{kind}"/>' for name, kind in _LIST_ATTRIBUTES.get(side, {}).items()
        )
        own = f'<xsd:attribute name="{_RECORD_ATTRIBUTES[side]}" type="xsd:string"/>' if side else ""
        most = "1" if side == "Query" else "unbounded"
        return f"""
   <xsd:complexType name="{list_tag}{side}"><xsd:sequence>
     <xsd:element name="{tag}" type="p:{tag}{side}" minOccurs="0" maxOccurs="{most}"/>
    </xsd:sequence>{more}</xsd:complexType>
   <xsd:complexType name="{tag}{side}"><xsd:sequence>{elements}{lists}
    </xsd:sequence>{own}</xsd:complexType>"""

    def _field(self, field: Field, side: str) -> str:
        tag = field.tag_in(self.version, self.flavour)
        if tag is None:
            return ""
        kind = "xsd:string" if side == "" else "p:queryType" if side == "Query" else f"xsd:{_type(field)}"
        return f'\n     <xsd:element name="{tag}" type="{kind}" minOccurs="0" maxOccurs="1"/>'

    def _arguments(self, methods: Iterable[str]) -> str:
        """The schema of the inputs and outputs."""
        sides = ("Query", "Data") if self.version == "v2" else ("Data",)
        prefixes = "".join(f' xmlns:{side.lower()}="{self._payload(side)}"' for side in sides)
        imports = "".join(f'\n   <xsd:import namespace="{self._payload(side)}"/>' for side in sides)
        elements = "".join(self._input(method) + self._output(method) for method in methods)
        return f"""
  <xsd:schema targetNamespace="{self._service}"{prefixes} elementFormDefault="qualified"
   attributeFormDefault="unqualified">{imports}{elements}
  </xsd:schema>"""

    def _input(self, method: str) -> str:
        known, write = (_V1_ARGUMENTS, _V1_WRITE) if self.version == "v1" else (_V2_ARGUMENTS, _V2_WRITE)
        side = "query" if method == "QueryPage" and self.version == "v2" else "data"
        arguments = (
            f'<xsd:element ref="{side}:ListOf{self.subject.name}"/>'
            if one == _LIST
            else f'<xsd:element name="{one}" type="xsd:string" minOccurs="0"/>'
            for one in known.get(method, write)
        )
        return self._element(method, "Input", arguments)

    def _output(self, method: str) -> str:
        listed = [f'<xsd:element ref="data:ListOf{self.subject.name}"/>']
        if method == "QueryPage" and self.version == "v1":
            listed.insert(0, '<xsd:element name="LastPage" type="xsd:string"/>')
        return self._element(method, "Output", listed)

    def _element(self, method: str, part: str, elements: Iterable[str]) -> str:
        inner = "".join(f"\n     {one}" for one in elements)
        return f"""
   <xsd:element name="{self._name(method, part)}"><xsd:complexType><xsd:sequence>{inner}
    </xsd:sequence></xsd:complexType></xsd:element>"""

    def _name(self, method: str, part: str) -> str:
        return namespaces.message_name(self.subject, self.version, method, part)

    def _message(self, method: str, part: str) -> str:
        name = self._name(method, part)
        return f'\n <message name="{name}"><part name="{name}" element="tns:{name}"/></message>'

    def _port_operation(self, method: str) -> str:
        return f"""
  <operation name="{self.subject.name}{method}">
   <input message="tns:{self._name(method, "Input")}"/><output message="tns:{self._name(method, "Output")}"/>
  </operation>"""

    def _bound_operation(self, method: str) -> str:
        action = namespaces.soap_action(self.subject, self.version, self.flavour, method)
        return f"""
  <operation name="{self.subject.name}{method}">
   <soap:operation soapAction="{action}"/>
   <input><soap:body use="literal"/></input><output><soap:body use="literal"/></output>
  </operation>"""


def _type(field: Field) -> str:
    return TYPES.get(field.type, "string")
