"""What a person tells us about a Dynamics account: environment, tenant, way to sign in, credentials."""

from __future__ import annotations

import base64
import binascii
import re
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from crosstie.crm.hosts import Hosts, host_and_port, https_url
from crosstie.errors import AuthError

AUTHORITY = "https://login.microsoftonline.com"
"""Microsoft's public cloud; the national clouds have authorities of their own."""

_LIKE = "https://acme.crm4.dynamics.com"
_VERSION = re.compile(r"9\.\d")
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,253}", re.ASCII)
_GUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_ENVIRONMENT = re.compile(r"([^.]+)\.(?:api\.)?(crm\d*\..+)", re.ASCII)
_KEY_BLOCK = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL)
_THUMBPRINT_BYTES = 20


class Flow(StrEnum):
    """The ways to sign in."""

    CLIENT_SECRET = "client_secret"  # noqa: S105 - the name of a flow
    CERTIFICATE = "certificate"
    PASSWORD = "password"  # noqa: S105 - the name of a flow


class Bypass(StrEnum):
    """Which of the customer's own plug-ins and workflows writes go past, as the service calls them."""

    NONE = "none"
    SYNC = "CustomSync"
    ASYNC = "CustomAsync"
    ALL = "CustomSync,CustomAsync"


_NEEDED: dict[Flow, tuple[str, ...]] = {
    Flow.CLIENT_SECRET: ("client_secret",),
    Flow.CERTIFICATE: (),
    Flow.PASSWORD: ("username", "password"),
}


def _for(*flows: Flow, secret: bool = False, advanced: bool = False, file: bool = False) -> Any:
    extra: dict[str, Any] = {"secret": secret, "advanced": advanced, "file": file}
    return {**extra, "flows": [str(flow) for flow in flows]} if flows else extra


class DynamicsSettings(BaseModel):
    """A Dynamics account. Fields marked `secret` are kept sealed; `flows` says for which ways to sign in a field is
    asked; `advanced` ones have a default that nearly always fits; `file` ones are paths."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    host: str = Field(
        default="",
        title="Environment URL",
        description="The environment's address like https://acme.crm4.dynamics.com "
        "(Power Platform admin center → Environments).",
    )
    tenant: str = Field(
        default="",
        title="Tenant",
        description="The directory (tenant) id of the app registration, or a domain of the tenant.",
    )
    flow: Flow = Field(
        default=Flow.CLIENT_SECRET,
        title="Way to sign in",
        description="client_secret and certificate need an application user in the environment; password does not work "
        "with multi-factor sign-in, and Microsoft is giving it up.",
    )
    client_id: str = Field(
        default="",
        title="Application id",
        description="The application (client) id of the app registration in Microsoft Entra.",
    )
    client_secret: SecretStr = Field(
        default=SecretStr(""),
        title="Client secret",
        description="App registration → Certificates & secrets → Client secrets: its value, not its id.",
        json_schema_extra=_for(Flow.CLIENT_SECRET, secret=True),
    )
    private_key: SecretStr = Field(
        default=SecretStr(""),
        title="Private key (PEM, or its base64)",
        description="The key whose certificate was uploaded to the app registration, as PEM or, as Campaign keeps it, "
        "as base64 of the PEM file. Leave empty to name a file instead.",
        json_schema_extra=_for(Flow.CERTIFICATE, secret=True),
    )
    private_key_file: str = Field(
        default="",
        title="Private key file",
        description="Path of that key's PEM file, read at each sign-in.",
        json_schema_extra=_for(Flow.CERTIFICATE, file=True),
    )
    certificate_file: str = Field(
        default="",
        title="Certificate file",
        description="Path of its PEM file, which may hold the key too. Not needed with customKeyIdentifier.",
        json_schema_extra=_for(Flow.CERTIFICATE, file=True),
    )
    custom_key_identifier: str = Field(
        default="",
        title="customKeyIdentifier",
        description="The thumbprint of the certificate, as keyCredentials in the app's manifest has it. Not needed "
        "with a certificate file.",
        json_schema_extra=_for(Flow.CERTIFICATE),
    )
    key_id: str = Field(
        default="",
        title="keyId",
        description="The keyId beside it in the manifest; it may be left empty.",
        json_schema_extra=_for(Flow.CERTIFICATE),
    )
    username: str = Field(
        default="",
        title="User name",
        description="The integration user's sign-in name.",
        json_schema_extra=_for(Flow.PASSWORD),
    )
    password: SecretStr = Field(
        default=SecretStr(""),
        title="Password",
        description="The integration user's password.",
        json_schema_extra=_for(Flow.PASSWORD, secret=True),
    )
    authority: str = Field(
        default=AUTHORITY,
        title="Authority",
        description="Where to sign in; another one for national clouds.",
        json_schema_extra=_for(advanced=True),
    )
    resource: str = Field(
        default="",
        title="Resource",
        description="What the token is asked for. Empty: the environment URL.",
        json_schema_extra=_for(advanced=True),
    )
    api_version: str = Field(
        default="9.2",
        title="API version",
        description="The version of the Web API, like 9.2.",
        json_schema_extra=_for(advanced=True),
    )
    bypass: Bypass = Field(
        default=Bypass.NONE,
        title="Bypass custom logic",
        description="Writes go past plug-ins and workflows that were made for this environment; the account's user "
        "needs the privilege prvBypassCustomBusinessLogic.",
        json_schema_extra=_for(advanced=True),
    )
    skip_flows: bool = Field(
        default=False,
        title="Skip flows",
        description="Writes start no Power Automate flows; the account's user has to be a system administrator, or "
        "have the privilege prvBypassCustomBusinessLogic.",
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
        description="Hosts beside the environment's own and its api. alias to which it may send us.",
        json_schema_extra=_for(advanced=True),
    )

    @field_validator("host", "authority")
    @classmethod
    def _https(cls, value: str) -> str:
        return https_url(value, like=_LIKE)

    @field_validator("resource")
    @classmethod
    def _resource(cls, value: str) -> str:
        return https_url(value, like=_LIKE) if value.strip() else ""

    @field_validator("tenant")
    @classmethod
    def _tenant(cls, value: str) -> str:
        tenant = value.strip()
        if not _TENANT.fullmatch(tenant):
            raise ValueError("is not a tenant; give its id (a GUID) or one of its domains")
        return tenant

    @field_validator("allowed_hosts")
    @classmethod
    def _all_https(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(https_url(host, like=_LIKE) for host in value)

    @field_validator("api_version")
    @classmethod
    def _like_a_version(cls, value: str) -> str:
        version = value.strip().removeprefix("v") or "9.2"
        if not _VERSION.fullmatch(version):
            raise ValueError("is not a version of the Web API; give it like 9.2")
        return version

    @field_validator("key_id")
    @classmethod
    def _guid(cls, value: str) -> str:
        if value.strip() and not _GUID.fullmatch(value.strip()):
            raise ValueError("is not a keyId, which is a GUID")
        return value.strip().lower()

    @field_validator("custom_key_identifier")
    @classmethod
    def _thumbprint(cls, value: str) -> str:
        if value.strip() and thumbprint_of(value) is None:
            raise ValueError("is not a customKeyIdentifier: 28 characters of base64, or 40 hexadecimal digits")
        return value.strip()

    @model_validator(mode="after")
    def _complete(self) -> DynamicsSettings:
        missing = [
            name for name in ("host", "tenant", "client_id", *_NEEDED[self.flow]) if not _text(getattr(self, name))
        ]
        if self.flow is Flow.CERTIFICATE:
            if not (_text(self.private_key) or self.private_key_file or self.certificate_file):
                missing.append("private_key or private_key_file")
            if not (self.custom_key_identifier or self.certificate_file):
                missing.append("custom_key_identifier or certificate_file")
        if missing:
            raise ValueError(f"signing in by {self.flow} needs {', '.join(missing)}")
        return self

    def login_url(self) -> str:
        """The environment's address, without a trailing slash: what tells one account from another."""
        return self.host

    def resource_url(self) -> str:
        """What the token is asked for, without a trailing slash."""
        return self.resource or self.host

    def hosts(self) -> Hosts:
        """Where the token may travel: the environment's two names, and hosts that were added."""
        named = [self.host, *self.allowed_hosts]
        found = _ENVIRONMENT.fullmatch(urlsplit(self.host).hostname or "")
        if found and host_and_port(self.host).endswith(":443"):
            named += [f"https://{found[1]}.{found[2]}", f"https://{found[1]}.api.{found[2]}"]
        return Hosts(exact=frozenset(host_and_port(one) for one in named))

    def authority_hosts(self) -> Hosts:
        """Where credentials may travel: the authority only."""
        return Hosts(exact=frozenset({host_and_port(self.authority)}))

    def key_text(self) -> str:
        """The private key's PEM text. Raises AuthError when it cannot be read or is none."""
        text = self.private_key.get_secret_value().strip()
        if not text:
            text = _read(self.private_key_file or self.certificate_file, "The private key file")
        if "-----BEGIN" not in text:
            try:
                text = base64.b64decode("".join(text.split()), validate=True).decode("ascii")
            except (binascii.Error, ValueError):
                text = ""
        found = _KEY_BLOCK.search(text)
        if found is None:
            raise AuthError(
                "The private key cannot be read: it is neither a PEM private key nor the base64 of one.",
                hint="It begins with -----BEGIN PRIVATE KEY-----, or, as base64, mostly with LS0tLS1CRUdJTi.",
            )
        return found.group()

    def certificate_text(self) -> str:
        """The certificate's PEM text, '' when it is named by its thumbprint only. Raises AuthError when its file
        cannot be read or holds none."""
        if not self.certificate_file:
            return ""
        text = _read(self.certificate_file, "The certificate file")
        if "BEGIN CERTIFICATE" not in text:
            raise AuthError(
                f"The certificate file {self.certificate_file} holds no certificate.",
                hint="Give the PEM file of the certificate that was uploaded to the app registration.",
            )
        return text


def thumbprint_of(text: str) -> str | None:
    """The SHA-1 thumbprint as 40 hexadecimal digits, of the forms in which manifests show it: base64 with or without
    padding, base64url, hexadecimal. None for what is none of them."""
    given = re.sub(r"[\s:]", "", text)
    if re.fullmatch(r"[0-9A-Fa-f]{40}", given, re.ASCII):
        return given.lower()
    plain = given.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        found = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return found.hex() if len(found) == _THUMBPRINT_BYTES else None


def _read(path: str, what: str) -> str:
    try:
        return Path(path).expanduser().read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise AuthError(
            f"{what} {path} cannot be read: {reason}.",
            hint="Give the path of the PEM file whose certificate was uploaded to the app registration.",
        ) from error


def _text(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
