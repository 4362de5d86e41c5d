"""What a person tells us about a Salesforce account: host, way to sign in, credentials."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from crosstie.crm.hosts import Hosts, host_and_port, https_url
from crosstie.errors import AuthError

NEWEST_VERSION = "68.0"
"""The newest API version that this connector was written against (Winter '27)."""

LAST_SOAP_LOGIN_VERSION = "64.0"
"""SOAP login() is absent from 65.0 on (Salesforce SOAP API guide, login)."""

_LIKE = "https://acme.my.salesforce.com"
_VERSION = re.compile(r"\d{2}\.0")
_NAMED_HOSTS = {"production": "https://login.salesforce.com", "test": "https://test.salesforce.com"}


class Flow(StrEnum):
    """The ways to sign in."""

    JWT_BEARER = "jwt_bearer"
    CLIENT_CREDENTIALS = "client_credentials"
    PASSWORD = "password"  # noqa: S105 - the name of a flow
    REFRESH_TOKEN = "refresh_token"  # noqa: S105 - the name of a flow
    SOAP = "soap"


_NEEDED: dict[Flow, tuple[str, ...]] = {
    Flow.JWT_BEARER: ("client_id", "username"),
    Flow.CLIENT_CREDENTIALS: ("client_id", "client_secret"),
    Flow.PASSWORD: ("client_id", "client_secret", "username", "password"),
    Flow.REFRESH_TOKEN: ("client_id", "refresh_token"),
    Flow.SOAP: ("username", "password"),
}


def _for(*flows: Flow, secret: bool = False, advanced: bool = False, file: bool = False) -> Any:
    return {"flows": [str(flow) for flow in flows], "secret": secret, "advanced": advanced, "file": file}


class SalesforceSettings(BaseModel):
    """A Salesforce account. Fields marked `secret` are kept sealed; `flows` says for which ways to sign in a field
    is asked; `advanced` ones have a default that nearly always fits; `file` ones are paths."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(
        default="production",
        title="Login host",
        description="production, test (a Salesforce sandbox org), or your My Domain like "
        "https://acme.my.salesforce.com (Setup → My Domain).",
    )
    flow: Flow = Field(
        default=Flow.JWT_BEARER,
        title="Way to sign in",
        description="jwt_bearer and client_credentials need a connected app and no password; soap needs only user "
        "name, password and security token but leaves with API 64.0.",
    )
    username: str = Field(
        default="",
        title="User name",
        description="The integration user's login name. Setup → Users.",
        json_schema_extra=_for(Flow.JWT_BEARER, Flow.PASSWORD, Flow.SOAP),
    )
    password: SecretStr = Field(
        default=SecretStr(""),
        title="Password",
        description="The integration user's password.",
        json_schema_extra=_for(Flow.PASSWORD, Flow.SOAP, secret=True),
    )
    security_token: SecretStr = Field(
        default=SecretStr(""),
        title="Security token",
        description="Sent to the user by e-mail: their Settings → Reset My Security Token. Empty when our address "
        "is in the org's trusted IP ranges.",
        json_schema_extra=_for(Flow.PASSWORD, Flow.SOAP, secret=True),
    )
    client_id: str = Field(
        default="",
        title="Consumer key",
        description="Setup → App Manager → your connected app → View → Manage Consumer Details.",
        json_schema_extra=_for(Flow.JWT_BEARER, Flow.CLIENT_CREDENTIALS, Flow.PASSWORD, Flow.REFRESH_TOKEN),
    )
    client_secret: SecretStr = Field(
        default=SecretStr(""),
        title="Consumer secret",
        description="Beside the consumer key.",
        json_schema_extra=_for(Flow.CLIENT_CREDENTIALS, Flow.PASSWORD, Flow.REFRESH_TOKEN, secret=True),
    )
    private_key: SecretStr = Field(
        default=SecretStr(""),
        title="Private key (PEM)",
        description="The text of the key whose certificate was uploaded to the connected app. Leave empty to name "
        "a file instead.",
        json_schema_extra=_for(Flow.JWT_BEARER, secret=True),
    )
    private_key_file: str = Field(
        default="",
        title="Private key file",
        description="Path of that key's PEM file, read at each sign-in.",
        json_schema_extra=_for(Flow.JWT_BEARER, file=True),
    )
    refresh_token: SecretStr = Field(
        default=SecretStr(""),
        title="Refresh token",
        description="From the connected app's web sign-in (scope refresh_token).",
        json_schema_extra=_for(Flow.REFRESH_TOKEN, secret=True),
    )
    api_version: str = Field(
        default="",
        title="API version",
        description=f"Like 64.0. Empty: the newest that the org and Crosstie (up to {NEWEST_VERSION}) both know.",
        json_schema_extra=_for(advanced=True),
    )
    ca_file: str = Field(
        default="",
        title="Certificate authority file",
        description="PEM file of a private certificate authority, when https goes through one.",
        json_schema_extra=_for(advanced=True, file=True),
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        title="Allowed hosts",
        description="Hosts beside the login host and *.salesforce.com to which the org may send us.",
        json_schema_extra=_for(advanced=True),
    )
    daily_calls: int = Field(
        default=0,
        ge=0,
        title="Daily calls",
        description="Stop when the org has used so many API calls in the last 24 hours. 0: the org's own limit.",
        json_schema_extra=_for(advanced=True),
    )

    @field_validator("host")
    @classmethod
    def _https(cls, value: str) -> str:
        word = value.strip().lower()
        if word == "sandbox":
            raise ValueError("“sandbox” is not the address of a host; a Salesforce sandbox org signs in at test")
        return word if word in _NAMED_HOSTS else https_url(value, like=_LIKE)

    @field_validator("allowed_hosts")
    @classmethod
    def _all_https(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(https_url(host, like=_LIKE) for host in value)

    @field_validator("api_version")
    @classmethod
    def _like_a_version(cls, value: str) -> str:
        version = value.removeprefix("v")
        if version and not _VERSION.fullmatch(version):
            raise ValueError("is not an API version; give it like 64.0, or leave it empty")
        return version

    @model_validator(mode="after")
    def _complete(self) -> SalesforceSettings:
        missing = [name for name in _NEEDED[self.flow] if not _text(getattr(self, name))]
        if self.flow is Flow.JWT_BEARER and not (_text(self.private_key) or self.private_key_file):
            missing.append("private_key or private_key_file")
        if missing:
            raise ValueError(f"signing in by {self.flow} needs {', '.join(missing)}")
        if self.flow is Flow.CLIENT_CREDENTIALS and self.host in _NAMED_HOSTS:
            raise ValueError(
                "client_credentials works on your My Domain only: give host like https://acme.my.salesforce.com"
            )
        return self

    def login_url(self) -> str:
        """Where to sign in, without a trailing slash."""
        return _NAMED_HOSTS.get(self.host, self.host)

    def hosts(self) -> Hosts:
        """Where our token may travel: the login host and, unless that is a host of its own, all of Salesforce."""
        login = self.login_url()
        exact = {host_and_port(login), *(host_and_port(host) for host in self.allowed_hosts)}
        name = urlsplit(login).hostname or ""
        return Hosts(exact=frozenset(exact), suffixes=(".salesforce.com",) if name.endswith(".salesforce.com") else ())

    def audiences(self) -> tuple[str, ...]:
        """The JWT audiences to try, best first: Salesforce takes login, test or the site's URL (JWT bearer flow)."""
        login = self.login_url()
        name = urlsplit(login).hostname or ""
        if self.host in _NAMED_HOSTS or not name.endswith(".salesforce.com"):
            return (login,)
        return (login, _NAMED_HOSTS["test" if ".sandbox." in name else "production"])

    def key_text(self) -> str:
        """The private key's PEM text. Raises AuthError when its file cannot be read."""
        text = self.private_key.get_secret_value()
        if text:
            return text
        try:
            return Path(self.private_key_file).expanduser().read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
            raise AuthError(
                f"The private key file {self.private_key_file} cannot be read: {reason}.",
                hint="Give the path of the PEM file whose certificate was uploaded to the connected app.",
            ) from error


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
