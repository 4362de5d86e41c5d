"""How an object's web service is addressed (Web Services guide, "SOAPAction" and downloaded WSDLs): its namespaces, the
names of its messages and of its key, in both versions and both flavours of WSDL."""

from __future__ import annotations

from dataclasses import dataclass

from crosstie.crm.oracle_on_demand.settings import Flavour, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The web service of one object, or of one that is of no object, which have the form of v1.0. `payload` is the name
    of its records' namespace, where that is another one than the object's in camel case."""

    name: str
    version: Version = Version.V1
    flavour: Flavour = Flavour.GENERIC
    payload: str = ""

    @property
    def is_v2(self) -> bool:
        """Whether it is v2.0."""
        return self.version is Version.V2

    @property
    def namespace(self) -> str:
        """That of the operations."""
        ecbs = "ecbs/" if self.is_v2 else ""
        custom = "10/2004" if self.flavour is Flavour.CUSTOM else ""
        return f"urn:crmondemand/ws/{ecbs}{self.name.lower()}/{custom}"

    @property
    def query_namespace(self) -> str:
        """That of the records in a query."""
        return f"urn:/crmondemand/xml/{self.name}/Query" if self.is_v2 else self._payload

    @property
    def data_namespace(self) -> str:
        """That of the records in answers and writes."""
        return f"urn:/crmondemand/xml/{self.name}/Data" if self.is_v2 else self._payload

    @property
    def _payload(self) -> str:
        return f"urn:/crmondemand/xml/{self.payload or self.name[:1].lower() + self.name[1:]}"

    @property
    def key(self) -> str:
        """The tag of the record's id: Id, in v1.0 ContactId and the like."""
        return "Id" if self.is_v2 else f"{self.name}Id"

    @property
    def list_tag(self) -> str:
        """The element around records."""
        return f"ListOf{self.name}"

    def action(self, method: str) -> str:
        """The SOAPAction of a method, like QueryPage, without its quotes."""
        return f"document/{self.namespace}:{self.name}{method}"

    def input_tag(self, method: str) -> str:
        """The element that asks for a method."""
        prefix = "" if self.is_v2 else f"{self.name}WS_"
        return f"{prefix}{self.name}{method}_Input"
