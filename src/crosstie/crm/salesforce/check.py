"""Proving an account: who we are, where, what is left of the API calls, what this user can no longer see."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from crosstie.crm.connector import Check, Finding
from crosstie.crm.http import REPORT
from crosstie.crm.salesforce import soql
from crosstie.crm.salesforce.session import Session
from crosstie.errors import MappingError, ProtocolError
from crosstie.model import RemoteObject

_NEARLY_USED = 0.9
_ORG = ("Id", "Name", "IsSandbox", "OrganizationType", "TimeZoneSidKey")


def check_account(session: Session, objects: Sequence[RemoteObject], describe: Callable[[str], RemoteObject]) -> Check:
    """All findings. Raises AuthError when signing in is refused: then there is nothing else to find."""
    signed_in = session.signed_in_anew()
    org = _one_row(session, f"SELECT {', '.join(_ORG)} FROM Organization", "org", *_ORG)
    org_id = str(org["Id"])
    user: dict[str, object] = {"Username": ""}
    if signed_in.user_id:
        checked = soql.checked_id(signed_in.user_id)
        user = _one_row(session, f"SELECT Username FROM User WHERE Id = '{checked}'", "user", "Username")
    flow = session.flow.replace("_", " ")
    zone = str(org["TimeZoneSidKey"] or "")
    where = "test org" if org["IsSandbox"] else "production"
    findings = [
        Finding(
            ok=True,
            text=f"signed in to {signed_in.instance_url} as {user['Username']} ({flow}), API {signed_in.version}",
        ),
        Finding(ok=True, text=f"org {org_id} “{org['Name']}”, {where}, time zone {zone}"),
    ]
    if signed_in.org_id and signed_in.org_id != org_id:
        findings.append(
            Finding(
                ok=False,
                text=f"signing in named the org {signed_in.org_id}, its own record says {org_id}.",
                hint="Something between here and Salesforce answers for another org. Do not use this account.",
            )
        )
    findings.append(_calls(session))
    for known in objects:
        findings.extend(_vanished(known, describe))
    return Check(findings=tuple(findings), org_id=org_id, org_name=str(org["Name"]), time_zone=zone)


def _one_row(session: Session, query: str, what: str, *members: str) -> dict[str, object]:
    answer = session.get(f"query/?q={soql.encoded(query)}", f"read the {what}")
    body = answer.json()
    rows = body.get("records") if isinstance(body, dict) else None
    only = rows[0] if isinstance(rows, list) and len(rows) == 1 else None
    if not isinstance(only, dict) or not set(members) <= set(only):
        raise ProtocolError(
            f"The answer to “read the {what}” is not one record.", hint=REPORT, request_id=answer.request_id
        )
    return only


def _calls(session: Session) -> Finding:
    limits = session.get("limits", "read the limits").json()
    daily = limits.get("DailyApiRequests") if isinstance(limits, dict) else None
    if (
        not isinstance(daily, dict)
        or not isinstance(daily.get("Max"), int)
        or not isinstance(daily.get("Remaining"), int)
    ):
        return Finding(ok=False, warning=True, text="API calls today: the org does not say how many are left.")
    most, used = daily["Max"], daily["Max"] - daily["Remaining"]
    text = f"API calls today: {used:,} of {most:,}"
    if used >= most * _NEARLY_USED:
        return Finding(
            ok=False,
            warning=True,
            text=text,
            hint="Little is left for the next hours; other integrations share this allowance.",
        )
    return Finding(ok=True, text=text)


def _vanished(known: RemoteObject, describe: Callable[[str], RemoteObject]) -> list[Finding]:
    try:
        now = describe(known.name)
    except MappingError:
        return [
            Finding(
                ok=False,
                text=f"{known.name}: this user can't see the object, or it was removed.",
                hint="In Salesforce: Setup → Permission Sets → … → Object Settings. Or take it out of the imports.",
            )
        ]
    visible = {field.name for field in now.fields}
    return [
        Finding(
            ok=False,
            warning=True,
            text=f"{known.name}.{field.name}: this user can't see the field. Imports that ask for it are refused.",
            hint="In Salesforce: Setup → Permission Sets → … → Field Permissions. Or take it out of the import.",
        )
        for field in known.fields
        if field.name not in visible
    ]
