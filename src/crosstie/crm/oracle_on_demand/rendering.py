"""How values of ours are written for Oracle CRM On Demand (Web Services guide, "Data types").

v2.0 has the forms of XML Schema. v1.0 has texts: dates as MM/DD/YYYY, booleans as Y and N.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

from crosstie.crm.comparing import instant_of
from crosstie.crm.oracle_on_demand.settings import OracleOnDemandSettings, Version
from crosstie.crm.oracle_on_demand.times import WireTimes
from crosstie.crm.outgoing import NUMBERS
from crosstie.model import FieldType, RemoteField

SEPARATOR = ";"
"""Between the values of a multi-select list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """How one account has its values."""

    v2: bool
    times: WireTimes

    @staticmethod
    def of(settings: OracleOnDemandSettings) -> Rendering:
        """As the account's settings say."""
        v2 = settings.version is Version.V2
        return Rendering(v2=v2, times=WireTimes(zone=settings.zone if settings.in_zone else None, is_text=not v2))

    def wire(self, field: RemoteField, text: str) -> str:
        """A text of a plan, in the form that its field takes; empty stays empty. What has no such form was refused."""
        text = text.strip()
        if not text:
            return ""
        if field.type is FieldType.BOOLEAN:
            true = text.lower() in {"true", "1"}
            return ("true" if true else "false") if self.v2 else ("Y" if true else "N")
        if field.type in NUMBERS:
            return _plain(text)
        if field.type is FieldType.DATE:
            return self.times.date_literal(date.fromisoformat(text))
        if field.type in {FieldType.DATETIME, FieldType.WALL_CLOCK}:
            instant = instant_of(text)
            return self.times.instant_literal(instant) if instant is not None else text
        if field.type is FieldType.SET:
            return SEPARATOR.join(part.strip() for part in text.split(";") if part.strip())
        return text


def _plain(text: str) -> str:
    """A number without exponent, in its very digits."""
    try:
        return f"{Decimal(text):f}"
    except InvalidOperation:
        return text
