"""How the kinds of CRM call what an import is about, as data: paths are written once, against these roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of one kind of CRM. `last_activity` is a date, `created` and `modified` are instants that no window
    looks at; `last` and `after_last` are values of records that come after all others in pages, where those that were
    made last do not; `late` are further arguments of a change that becomes visible late and says nothing of it; `pages`
    is the switch for the rows of a page where the connector has none, `steady` are further switches."""

    kind: str
    contact: str
    key: str
    stamp: str
    first_name: str
    last_name: str
    email: str
    birthday: str
    last_activity: str
    created: str
    modified: str
    interests: str
    score: str
    wire_stamp: str
    last: Mapping[str, Any] = field(default_factory=dict)
    after_last: Mapping[str, Any] = field(default_factory=dict)
    late: Mapping[str, Any] = field(default_factory=dict)
    pages: str = ""
    steady: Mapping[str, Any] = field(default_factory=dict)

    def fill(self, text: str) -> str:
        """A text with the names of roles in it, each as <role>."""
        for role, name in asdict(self).items():
            text = text.replace(f"<{role}>", str(name))
        return text

    def switches(self, page_rows: int) -> dict[str, Any]:
        """Those of the sandbox for pages of so many rows."""
        return ({self.pages: page_rows} if self.pages else {}) | dict(self.steady)


SALESFORCE = Names(
    kind="salesforce",
    contact="Contact",
    key="Id",
    stamp="SystemModstamp",
    first_name="FirstName",
    last_name="LastName",
    email="Email",
    birthday="Birthdate",
    last_activity="LastActivityDate",
    created="CreatedDate",
    modified="LastModifiedDate",
    interests="Interests__c",
    score="Score__c",
    wire_stamp="%Y-%m-%dT%H:%M:%S.000+0000",
    late={"holds_back": False},
    pages="query_page_rows",
    steady={"bulk_in_progress_polls": 1},
)
DYNAMICS = Names(
    kind="dynamics",
    contact="contact",
    key="contactid",
    stamp="modifiedon",
    first_name="firstname",
    last_name="lastname",
    email="emailaddress1",
    birthday="birthdate",
    last_activity="anniversary",
    created="createdon",
    modified="createdon",
    interests="new_interests",
    score="new_score",
    wire_stamp="%Y-%m-%dT%H:%M:%SZ",
    last={"contactid": "ffffffff-ffff-4fff-bfff-fffffffffffe"},
    after_last={"contactid": "ffffffff-ffff-4fff-bfff-ffffffffffff"},
)
ORACLE_ON_DEMAND = Names(
    kind="oracle_on_demand",
    contact="Contact",
    key="Id",
    stamp="ModifiedDate",
    first_name="ContactFirstName",
    last_name="ContactLastName",
    email="ContactEmail",
    birthday="DateofBirth",
    last_activity="dLast_Visit",
    created="CreatedDate",
    modified="dtLast_Mailing",
    interests="mspInterests",
    score="nScore",
    wire_stamp="%Y-%m-%dT%H:%M:%SZ",
    steady={"request_gap": 0},
)
