"""Values of the wire by version and zone."""

from zoneinfo import ZoneInfo

import pytest

from crosstie.sandbox.oracle_on_demand.field_kinds import (
    boolean,
    date,
    instant,
    integer,
    number,
    picklist,
    text,
    values,
)
from crosstie.sandbox.oracle_on_demand.objects import Field
from crosstie.sandbox.oracle_on_demand.values import Wire, WrongValue

BERLIN = ZoneInfo("Europe/Berlin")
V1 = Wire(version="v1", zone=BERLIN)
V2 = Wire(version="v2", zone=BERLIN)
FALSE_Z = Wire(version="v2", zone=BERLIN, utc=False)
AT = instant("At", "At")
DAY = date("Day", "Day")
YES = boolean("Yes", "Yes")
TIER = picklist("Tier", "Tier", values(("A", "Gold"), ("B", "Silver"), disabled=("Old",)))


@pytest.mark.parametrize(
    ("wire", "field", "shown", "stored"),
    [
        (V1, AT, "07/01/2026 12:00:00", "2026-07-01T10:00:00Z"),
        (V1, AT, "10/25/2026 02:30:00", "2026-10-25T00:30:00Z"),
        (V1, DAY, "12/31/2026", "2026-12-31"),
        (V1, YES, "Y", "true"),
        (V1, YES, "N", "false"),
        (V2, AT, "2026-07-01T10:00:00Z", "2026-07-01T10:00:00Z"),
        (V2, DAY, "2026-12-31", "2026-12-31"),
        (V2, YES, "false", "false"),
        (FALSE_Z, AT, "2026-07-01T12:00:00Z", "2026-07-01T10:00:00Z"),
        (V2, TIER, "A", "A"),
        (Wire(version="v2", zone=BERLIN, labels=True), TIER, "Gold", "A"),
        (V2, number("N", "N"), "-12.5", "-12.5"),
        (V2, integer("I", "I"), "-7", "-7"),
    ],
)
def test_what_is_written_is_read_back(wire: Wire, field: Field, shown: str, stored: str) -> None:
    assert wire.read(field, shown) == stored
    assert wire.write(field, stored) == shown


@pytest.mark.parametrize(
    ("wire", "field", "shown", "stored"),
    [
        (V1, AT, "03/29/2026 02:30:00", "2026-03-29T01:30:00Z"),
        (V1, AT, "07/01/2026", "2026-06-30T22:00:00Z"),
        (V2, AT, "2026-07-01T10:00:00.5-02:00", "2026-07-01T12:00:00Z"),
        (V2, AT, "2026-07-01T12:00:00", "2026-07-01T10:00:00Z"),
        (V2, number("N", "N"), "007.50", "7.5"),
        (V2, number("N", "N"), "-0", "0"),
        (V2, YES, "1", "true"),
    ],
)
def test_other_forms_are_understood(wire: Wire, field: Field, shown: str, stored: str) -> None:
    assert wire.read(field, shown) == stored


@pytest.mark.parametrize(
    ("wire", "field", "shown"),
    [
        (V1, AT, "2026-07-01T10:00:00Z"),
        (V1, DAY, "02/30/2026"),
        (V1, YES, "true"),
        (V2, AT, "07/01/2026 12:00:00"),
        (V2, DAY, "2026-07-01T00:00:00Z"),
        (V2, YES, "Y"),
        (V2, TIER, "Gold"),
        (V2, TIER, "Old"),
        (V2, text("T", "T", 3), "four"),
        (V2, number("N", "N"), "1e5"),
        (V2, number("N", "N"), "NaN"),
        (V2, integer("I", "I"), "2147483648"),
        (V2, integer("I", "I"), "1.0"),
    ],
)
def test_what_a_field_cannot_take_is_refused(wire: Wire, field: Field, shown: str) -> None:
    with pytest.raises(WrongValue) as refused:
        wire.read(field, shown)
    assert refused.value.code.startswith("SBL-DAT-00")
