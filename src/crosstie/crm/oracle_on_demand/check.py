"""Proving an account: who we are, where, which right is missing, which zone its dates are in, what this user can no
longer see."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from crosstie.crm.connector import Check, Finding, RemoteQuery
from crosstie.crm.oracle_on_demand.envelope import child_text
from crosstie.crm.oracle_on_demand.names import Service
from crosstie.crm.oracle_on_demand.session import Message, Session
from crosstie.crm.oracle_on_demand.settings import Flow
from crosstie.crm.oracle_on_demand.times import WireTimes
from crosstie.errors import AuthError, MappingError, RequestError
from crosstie.model import RemoteObject

TIME = Service(name="Time")
_ROLE = "Give the user's role access to the record type (Admin → Role Management → Record Type Access)."
_TEXT_TIME = re.compile(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", re.ASCII)
_SAME_CLOCK = timedelta(minutes=10)


def check_account(
    session: Session,
    objects: Sequence[RemoteObject],
    describe: Callable[[str], RemoteObject],
    count: Callable[[RemoteQuery], int],
) -> Check:
    """All findings. Raises AuthError when signing in is refused: then there is nothing else to find."""
    identity = session.identity_anew()
    settings = session.settings
    flow = str(settings.flow).replace("_", " ")
    findings = [
        Finding(ok=True, text=f"signed in to {settings.host} as {identity.user} ({flow}), {settings.version}"),
        Finding(ok=True, text=f"company {identity.company}, {_said_zone(session)}"),
    ]
    if not identity.told:
        findings.append(
            Finding(
                ok=False,
                warning=True,
                text="the company could not be asked for its name; it is taken from the user's.",
                hint="Give the user as COMPANY/user, so that another company behind the host is noticed.",
            )
        )
    findings.extend(_clock(session))
    if settings.flow is Flow.WS_SECURITY:
        findings.extend(_compatibility(session))
    for known in objects:
        findings.extend(_vanished(known, describe, count))
    return Check(
        findings=tuple(findings),
        org_id=identity.org_id,
        org_name=identity.company,
        time_zone=settings.time_zone or "UTC",
    )


def server_clock(session: Session) -> tuple[datetime, datetime | None]:
    """The company's clock in the user's zone, as the account names it, and the moment by the answer's own Date. One
    call. Raises ConnectorError."""
    body = f'<TimeWS_GetServerTime_Input xmlns="{TIME.namespace}"/>'
    message = Message(action=f"document/{TIME.namespace}:GetServerTime", body=body, what="read the clock")
    reply = session.ask(message)
    texts = (child_text(reply.output, *path) for path in (("CurrentServerTime",), ("ServerTime",)))
    text = next((one for one in texts if _TEXT_TIME.fullmatch(one)), "")
    if not text:
        raise RequestError("Oracle CRM On Demand's clock gives no time.", hint="The account's check says what it can.")
    wall = WireTimes(zone=session.settings.zone, is_text=True).read_instant(text)
    return datetime.fromisoformat(wall), session.server_time


def _said_zone(session: Session) -> str:
    zone = session.settings.time_zone
    if session.settings.in_zone:
        return f"dates in {zone}"
    return f"dates in UTC, deletions in {zone}" if zone else "dates in UTC"


def _clock(session: Session) -> Iterator[Finding]:
    """Whether the zone of the account is that of the user: the two clocks tell."""
    settings = session.settings
    if not settings.time_zone:
        yield Finding(
            ok=False,
            warning=True,
            text="the account names no time zone: deletions can't be imported.",
            hint=f"Name the integration user's (My Profile → Time Zone): crosstie account edit {session.account} "
            "--time-zone Europe/Paris.",
        )
        return
    try:
        clock, moment = server_clock(session)
    except (RequestError, AuthError):
        return  # the service is not there: nothing is proved, and nothing needs it
    if moment is not None and abs(clock - moment) > _SAME_CLOCK:
        hours = round((clock - moment) / timedelta(hours=1), 2)
        yield Finding(
            ok=False,
            text=f"the user's clock differs from that of {settings.time_zone} by {hours:g} hours.",
            hint=f"The user's time zone is “{session.identity().time_zone or 'another one'}”. Name it: crosstie account"
            f" edit {session.account} --time-zone NAME; UTC for the integration user is best.",
        )


def _compatibility(session: Session) -> Iterator[Finding]:
    if session.leaves_sessions():
        yield Finding(
            ok=False,
            text="every request with user and password opens a session, of which a company has ten: Web Services R16 "
            "Compatibility Mode is switched on.",
            hint="Have it switched off (Admin → Company Administration → Company Profile → Web Services R16 "
            f"Compatibility Mode), or sign in by a session: crosstie account edit {session.account} --flow session.",
        )


def _vanished(
    known: RemoteObject, describe: Callable[[str], RemoteObject], count: Callable[[RemoteQuery], int]
) -> list[Finding]:
    """What is missing of a collected object. That it is described does not say that its records may be read."""
    try:
        now = describe(known.name)
        count(RemoteQuery(object=now, fields=(now.key,), ids=("AAPA-0",)))
    except (MappingError, AuthError):
        return [
            Finding(
                ok=False,
                text=f"{known.name}: this user can't see the object, or it was removed.",
                hint=f"{_ROLE} Or take it out of the imports.",
            )
        ]
    visible = {field.name for field in now.fields}
    return [
        Finding(
            ok=False,
            warning=True,
            text=f"{known.name}.{field.name}: this user can't see the field. Imports that ask for it are refused.",
            hint="It was removed or renamed, or the user's access profile hides it. Collect the object again, or take "
            "it out of the import.",
        )
        for field in known.fields
        if field.name not in visible
    ]
