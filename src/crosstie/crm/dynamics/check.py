"""Proving an account: who we are, where, which role is missing, what this user can no longer see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from crosstie.crm.connector import Check, Finding
from crosstie.crm.dynamics.session import Session
from crosstie.crm.dynamics.settings import Flow
from crosstie.errors import AuthError, MappingError
from crosstie.model import RemoteObject

_ROLE = "Give the user a security role: Power Platform admin center → Environments → … → Settings → Application users."

_UNNAMED = "Nothing but this check needs it: a role that reads Organization and User lets it name both."


class _Org(msgspec.Struct):
    name: str | None = None


class _User(msgspec.Struct):
    full_name: str | None = msgspec.field(name="fullname", default=None)
    name: str | None = msgspec.field(name="domainname", default=None)


def check_account(session: Session, objects: Sequence[RemoteObject], describe: Callable[[str], RemoteObject]) -> Check:
    """All findings. Raises AuthError when signing in is refused: then there is nothing else to find. Dataverse gives
    every instant in UTC, whatever the user's zone is."""
    signed_in = session.signed_in_anew()
    findings: list[Finding] = []
    org = _read(session, f"organizations({signed_in.org_id})?$select=name", "org", _Org, findings)
    user = _read(session, f"systemusers({signed_in.user_id})?$select=fullname,domainname", "user", _User, findings)
    without_role = org is None and user is None
    name = (user.full_name or user.name if user else None) or signed_in.user_id
    org_name = (org.name if org else None) or ""
    flow = str(session.settings.flow).replace("_", " ")
    shown = [
        Finding(
            ok=True,
            text=f"signed in to {session.settings.host} as {name} ({flow}), API {session.settings.api_version}",
        ),
        Finding(ok=True, text=f"org {signed_in.org_id} “{org_name}”, instants in UTC"),
    ]
    if session.settings.flow is Flow.PASSWORD:
        findings.append(
            Finding(
                ok=False,
                warning=True,
                text="the account signs in by password, which Microsoft is giving up.",
                hint="Change it to client_secret or certificate with an application user: "
                f"crosstie account edit {session.account} --flow client_secret.",
            )
        )
    if without_role:
        findings = [
            Finding(
                ok=False, text="this user may read neither its org nor itself: it has no security role.", hint=_ROLE
            )
        ]
    for known in () if without_role else objects:
        findings.extend(_vanished(session, known, describe))
    return Check(findings=(*shown, *findings), org_id=signed_in.org_id, org_name=org_name, time_zone="UTC")


def _read(session: Session, path: str, what: str, kind: Any, findings: list[Finding]) -> Any:
    """A record of the environment's own; when this user may not read it, that is a finding, but nothing needs it."""
    try:
        return session.get(path, f"read the {what}").decoded(kind, f"does not describe the {what}")
    except AuthError as error:
        findings.append(Finding(ok=False, warning=True, text=error.message, hint=_UNNAMED))
        return None


def _vanished(session: Session, known: RemoteObject, describe: Callable[[str], RemoteObject]) -> list[Finding]:
    """What is missing of a collected object. Everybody may see what there is, so whether its records may be read is
    asked of them; columns that are secured come back empty, and nothing tells them from empty ones."""
    try:
        now = describe(known.name)
        session.get(f"{now.collection}?$select={now.key}&$top=1", f"read a record of {known.name}")
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
            hint="It was removed. Collect the object again, or take it out of the import.",
        )
        for field in known.fields
        if field.name not in visible
    ]
