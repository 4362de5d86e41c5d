"""Who signed in, and to which company: the CurrentUser service, whose answer is about the session's own user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crosstie.crm.oracle_on_demand.envelope import child, child_text
from crosstie.crm.oracle_on_demand.names import Service

if TYPE_CHECKING:
    from lxml import etree

CURRENT_USER = Service(name="CurrentUser")
_FIELDS = ("UserSignInId", "FullName", "Company", "CompanySignInID", "TimeZoneName")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The signed-in user. `org_id` is the company's sign-in id, which no other company has; `told` says whether the
    service told it, or it was taken from the user's name. `time_zone` is Oracle's name of the user's."""

    org_id: str
    org_name: str = ""
    user: str = ""
    time_zone: str = ""
    told: bool = True


def who_asks() -> str:
    """The message that asks for it."""
    asked = "".join(f"<{tag}/>" for tag in _FIELDS)
    return (
        f'<CurrentUserWS_CurrentUserQueryPage_Input xmlns="{CURRENT_USER.namespace}">'
        f'<ListOfCurrentUser xmlns="{CURRENT_USER.query_namespace}"><CurrentUser>{asked}</CurrentUser>'
        "</ListOfCurrentUser></CurrentUserWS_CurrentUserQueryPage_Input>"
    )


def identity_of(output: etree._Element | None, user: str) -> Identity:
    """What the answer says; of a company that it does not name, what the user's name says."""
    found = child(output, "ListOfCurrentUser", "CurrentUser")
    company = child_text(found, "CompanySignInID") or user.partition("/")[0]
    return Identity(
        org_id=company.casefold(),
        org_name=child_text(found, "Company"),
        user=child_text(found, "FullName") or child_text(found, "UserSignInId") or user,
        time_zone=child_text(found, "TimeZoneName"),
        told=bool(child_text(found, "CompanySignInID")),
    )
