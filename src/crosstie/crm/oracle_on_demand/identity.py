"""Who signed in, and to which company: the CurrentUser service, whose answer is about the session's own user."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from crosstie.crm.oracle_on_demand.envelope import child, child_text
from crosstie.crm.oracle_on_demand.names import Service

if TYPE_CHECKING:
    from lxml import etree

CURRENT_USER = Service(name="CurrentUser", payload="currentuser")
_FIELDS = ("UserSignInId", "FullName", "TimeZoneName")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The signed-in user. `company` is the company's sign-in id, which no other company has, `told` whether the service
    said so, or the account's user name did; `time_zone` is Oracle's name of the user's."""

    company: str
    user: str = ""
    time_zone: str = ""
    told: bool = True

    @property
    def org_id(self) -> str:
        """What tells one company from another."""
        return self.company.casefold()


def who_asks() -> str:
    """The message that asks for it."""
    asked = "".join(f"<{tag}/>" for tag in _FIELDS)
    return (
        f'<CurrentUserWS_CurrentUserQueryPage_Input xmlns="{CURRENT_USER.namespace}">'
        f'<ListOfCurrentUser xmlns="{CURRENT_USER.query_namespace}"><CurrentUser>{asked}</CurrentUser>'
        "</ListOfCurrentUser></CurrentUserWS_CurrentUserQueryPage_Input>"
    )


def identity_of(output: etree._Element | None, user: str) -> Identity:
    """What the answer says; where it names nobody, what the account's user name says."""
    found = child(output, "ListOfCurrentUser", "CurrentUser")
    signed_in = child_text(found, "UserSignInId")
    return Identity(
        company=(signed_in or user).partition("/")[0],
        user=child_text(found, "FullName") or signed_in or user,
        time_zone=child_text(found, "TimeZoneName"),
        told="/" in signed_in,
    )
