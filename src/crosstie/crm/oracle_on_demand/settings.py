"""What a person tells us about an Oracle CRM On Demand account: host, user, way to sign in, version, time zone."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from crosstie.crm.hosts import Hosts, host_and_port, https_url

_LIKE = "https://secure-ausomxabc.crmondemand.com"
_KEY = re.compile(r"[A-Za-z]\w*=[A-Za-z]\w*", re.ASCII)
_MOST_PAGE_ROWS = 100
OUR_KEY = "ExternalSystemId"
"""The field that is the integrator's own on every object (Web Services guide, "User keys")."""


class Flow(StrEnum):
    """The ways to sign in: a session that is logged off at the end, or user and password in every request."""

    SESSION = "session"
    WS_SECURITY = "ws_security"


class Version(StrEnum):
    """The versions of the web services, each with field names of its own."""

    V1 = "v1.0"
    V2 = "v2.0"


class Flavour(StrEnum):
    """The two kinds of WSDL: with the company's own field names, or with generic ones (CustomText39)."""

    CUSTOM = "custom"
    GENERIC = "generic"


class Dates(StrEnum):
    """What dates and times on the wire mean: v1.0 has them in the user's zone, v2.0 in UTC."""

    BY_VERSION = "by_version"
    UTC = "utc"
    ZONE = "zone"


def _for(*, secret: bool = False, advanced: bool = False, file: bool = False, folder: bool = False) -> Any:
    return {"secret": secret, "advanced": advanced, "file": file, "folder": folder}


class OracleOnDemandSettings(BaseModel):
    """An Oracle CRM On Demand account. Fields marked `secret` are kept sealed; `advanced` ones have a default that
    nearly always fits; `file` and `folder` ones
    are paths."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(
        default="",
        title="Host",
        description=f"The address that the browser shows when you are signed in, like {_LIKE}.",
    )
    user: str = Field(
        default="",
        title="User",
        description="The integration user's sign-in id, COMPANY/user.",
    )
    password: SecretStr = Field(
        default=SecretStr(""),
        title="Password",
        description="The integration user's password.",
        json_schema_extra=_for(secret=True),
    )
    flow: Flow = Field(
        default=Flow.SESSION,
        title="Way to sign in",
        description="session signs in once and logs off at the end; ws_security sends user and password with every "
        "request, and needs the company's Web Services R16 Compatibility Mode switched off.",
    )
    version: Version = Field(
        default=Version.V2,
        title="Version of the web services",
        description="v2.0, or v1.0 with its own field names. v1.0 sorts or filters, never both.",
    )
    time_zone: str = Field(
        default="",
        title="Time zone",
        description="The integration user's time zone (My Profile → Time Zone) as an IANA name like Europe/Paris: the "
        "dates of v1.0 and of deletions carry none.",
    )
    dates: Dates = Field(
        default=Dates.BY_VERSION,
        title="Dates mean",
        description="Whether dates and times on the wire are in UTC or in the user's time zone; v1.0 has the latter, "
        "v2.0 the former.",
        json_schema_extra=_for(advanced=True),
    )
    wsdl_folder: str = Field(
        default="",
        title="Folder of WSDLs",
        description="Where the WSDL files are that an administrator has downloaded (Admin → Web Services "
        "Administration). Without it fields come from the mapping service.",
        json_schema_extra=_for(advanced=True, folder=True),
    )
    flavour: Flavour = Field(
        default=Flavour.CUSTOM,
        title="Kind of WSDL",
        description="custom has the company's own field names, generic ones like CustomText39. What the WSDL of an "
        "object says goes before it.",
        json_schema_extra=_for(advanced=True),
    )
    admin_services: bool = Field(
        default=True,
        title="Administrators' services",
        description="Whether labels, own names and picklists are asked of the services for administrators. "
        "Say false where the company has none that answer.",
        json_schema_extra=_for(advanced=True),
    )
    keys: tuple[str, ...] = Field(
        default=(),
        title="Key of ours",
        description=f"The field of an object that holds our key, like Contact=IntegrationId; {OUR_KEY} unless told.",
        json_schema_extra=_for(advanced=True),
    )
    page_rows: int = Field(
        default=_MOST_PAGE_ROWS,
        ge=2,
        le=_MOST_PAGE_ROWS,
        title="Rows of a page",
        description="How many records a query page has, at most 100; fewer where wide queries time out.",
        json_schema_extra=_for(advanced=True),
    )
    sort_here: bool = Field(
        default=False,
        title="Sort here",
        description="Ordered reads of v1.0, which can't sort what it filters, are sorted here, in memory.",
        json_schema_extra=_for(advanced=True),
    )
    ca_file: str = Field(
        default="",
        title="Certificate authority file",
        description="PEM file of a private certificate authority, when https goes through one.",
        json_schema_extra=_for(advanced=True, file=True),
    )

    @field_validator("host")
    @classmethod
    def _https(cls, value: str) -> str:
        return https_url(value, like=_LIKE)

    @field_validator("user")
    @classmethod
    def _slash(cls, value: str) -> str:
        user = value.strip().replace("\\", "/")
        if any(not one.isprintable() for one in user):
            raise ValueError("is not a sign-in id; give it as COMPANY/user")
        return user

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        name = value.strip()
        try:
            return name and ZoneInfo(name).key
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError("is not the IANA name of a time zone; give it like Europe/Paris") from error

    @field_validator("keys")
    @classmethod
    def _pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        pairs = tuple("".join(one.split()) for one in value)
        if any(not _KEY.fullmatch(one) for one in pairs):
            raise ValueError("names an object and its field, like Contact=IntegrationId")
        return pairs

    @model_validator(mode="after")
    def _complete(self) -> OracleOnDemandSettings:
        missing = [name for name in ("host", "user") if not getattr(self, name)]
        if not self.password.get_secret_value():
            missing.append("password")
        if missing:
            raise ValueError(f"signing in by {self.flow} needs {', '.join(missing)}")
        if self.in_zone and not self.time_zone:
            raise ValueError("time_zone is needed: dates are in the user's time zone, and carry none")
        return self

    @property
    def in_zone(self) -> bool:
        """Whether dates and times on the wire are in the user's zone."""
        return self.dates is Dates.ZONE or (self.dates is Dates.BY_VERSION and self.version is Version.V1)

    @property
    def zone(self) -> ZoneInfo:
        """The user's time zone; UTC where none was given."""
        return ZoneInfo(self.time_zone or "UTC")

    def key_of(self, name: str) -> str:
        """The field of an object that holds our key."""
        chosen = dict(one.split("=") for one in self.keys)
        return next((field for one, field in chosen.items() if one.lower() == name.lower()), OUR_KEY)

    def login_url(self) -> str:
        """The host's address, without a trailing slash: what tells one account from another."""
        return self.host

    def hosts(self) -> Hosts:
        """Where user, password and session may travel: the host only."""
        return Hosts(exact=frozenset({host_and_port(self.host)}))
