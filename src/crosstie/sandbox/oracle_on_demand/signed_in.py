"""Services that tell who asks and what time it is: CurrentUser and Time (fact sheet, section 2.7)."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from lxml import etree

from crosstie.sandbox.fragments import quoted
from crosstie.sandbox.oracle_on_demand.elements import element
from crosstie.sandbox.oracle_on_demand.faults import unknown_field
from crosstie.sandbox.oracle_on_demand.org import Call, Org

TIME = "urn:crmondemand/ws/time/"
CURRENT_USER = "urn:crmondemand/ws/currentuser/"
CURRENT_USER_DATA = "urn:/crmondemand/xml/currentuser"


def zone_label(zone: ZoneInfo, moment: datetime) -> str:
    """A time zone as users see it: `(GMT-05:00) America/New_York`, with its offset outside summer time."""
    local = moment.astimezone(zone)
    minutes = round(((local.utcoffset() or timedelta()) - (local.dst() or timedelta())).total_seconds() / 60)
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}" if minutes else ""
    return f"(GMT{offset}) {zone.key}"


def get_server_time(org: Org, call: Call) -> etree._Element:
    """The company's clock, in the user's zone and without it, and the zone."""
    now = org.clock.now()
    return element(
        TIME,
        "TimeWS_GetServerTime_Output",
        element(TIME, "CurrentServerTime", org.wire("v1").write_instant(now)),
        element(TIME, "TimeZone", zone_label(org.zone, now)),
    )


def current_user(org: Org, call: Call) -> etree._Element:
    """The asked fields of the user who asks; tags are those of v1.0's User."""
    subject, wire = org.all_objects["User"], org.wire("v1")
    template = call.input.find(".//{*}CurrentUser")
    asked = [etree.QName(one).localname for one in (template.iterchildren("*") if template is not None else ())]
    for tag in asked:
        if subject.field_of(tag, "v1", "custom") is None:
            raise unknown_field(tag, "CurrentUser")
    known = {field.v1_tag: field for field in subject.fields.values() if field.v1_tag and field.v1_tag in asked}
    columns = ", ".join(quoted(field.tag) for field in known.values()) or "NULL"
    with org.read() as connection:
        row = connection.execute(f"SELECT {columns} FROM user WHERE Id = ?", (call.user.id,)).fetchone()
    cells = []
    for (tag, field), value in zip(known.items(), row, strict=False):
        shown = zone_label(org.zone, org.clock.now()) if field.tag == "TimeZoneName" else value
        if field.tag == "UserSignInId" and org.switches.company:
            shown = f"{org.switches.company}/{str(value).partition('/')[2]}"
        if shown is not None:
            cells.append(element(CURRENT_USER_DATA, tag, wire.write(field, str(shown))))
    listed = element(CURRENT_USER_DATA, "ListOfCurrentUser", element(CURRENT_USER_DATA, "CurrentUser", *cells))
    return element(
        CURRENT_USER,
        "CurrentUserWS_CurrentUserQueryPage_Output",
        element(CURRENT_USER, "LastPage", "true"),
        listed,
    )
