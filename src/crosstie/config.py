"""`crosstie.toml` and the environment, read once into one frozen Config."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from crosstie.database_urls import refuse_connection_string, refuse_password
from crosstie.errors import ConfigError

FILE_NAME = "crosstie.toml"


class LinkKeys(BaseModel):
    """A `[[link]]` of `crosstie.toml`: columns that refer to another table, which the database does not say itself."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    from_: str | list[str] = Field(alias="from", description="TABLE.COLUMN, or a list of them for a key of several")
    to: str | list[str] = Field(description="TABLE.COLUMN that it refers to, or as many of them")
    name: str = Field("", description="under which name it is followed; by default the column's without _id")
    back: str = Field("", description="under which name it is followed back; by default the table's")

    @model_validator(mode="after")
    def _one_table_each(self) -> LinkKeys:
        own, other = split_columns(self.from_), split_columns(self.to)
        if own is None or other is None:
            raise ValueError("from and to are written TABLE.COLUMN, each with columns of one table")
        if len(own[1]) != len(other[1]):
            raise ValueError("from and to need as many columns")
        return self


def split_columns(written: str | list[str]) -> tuple[str, tuple[str, ...]] | None:
    """The table and its columns, of `TABLE.COLUMN` once or several times; None when that is not what it says."""
    parts = [one.rpartition(".") for one in ([written] if isinstance(written, str) else written)]
    tables = {table for table, _, _ in parts}
    if len(tables) != 1 or not all(table and column for table, _, column in parts):
        return None
    return tables.pop(), tuple(column for _, _, column in parts)


class SmtpKeys(BaseModel):
    """The section `[smtp]`: how mail leaves."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, populate_by_name=True)

    host: str = Field(description="the mail server", min_length=1)
    from_: str = Field(alias="from", description="the address that mails come from", min_length=3)
    port: int = Field(0, ge=0, le=65535, description="by default 587, with tls 465, with none 25")
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="starttls, tls or none")
    user: str = Field("", description="who signs in; the password is in CROSSTIE_SMTP_PASSWORD")
    ca_file: str = Field("", description="certificates to trust beside the system's, relative to this folder")

    @model_validator(mode="after")
    def _safe(self) -> SmtpKeys:
        if self.security == "none" and self.user and self.host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError(f"the password would travel to {self.host} unencrypted: use security starttls or tls")
        if "@" not in self.from_:
            raise ValueError(f"“{self.from_}” is no address that mails can come from")
        return self

    @property
    def port_in_use(self) -> int:
        """The port, by default that of the kind of security."""
        return self.port or {"starttls": 587, "tls": 465}.get(self.security, 25)


class WebhookKeys(BaseModel):
    """The section `[webhook]`: where messages may be posted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    hosts: list[str] = Field(default=[], description="the hosts that may be called; any where there is no list")
    ca_file: str = Field(default="", description="certificates to trust beside the system's, relative to this folder")


class ConfigFile(BaseModel):
    """The keys of `crosstie.toml`; the description of each is what `docs/configuration.md` must say of it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    database: str = Field(
        "crosstie.db",
        description="the marketing database: a SQLite file, relative to this folder, or postgresql://host/name",
        min_length=1,
    )
    key_file: str = Field(
        ".crosstie/key", description="the file with the key that seals secrets, relative to this folder", min_length=1
    )
    time_zone: str = Field(
        "UTC", description="the zone in force where a workflow names none, an IANA name like Europe/Paris"
    )

    files_folder: str = Field(
        "files",
        description="the folder within which workflows read and write files, relative to this folder",
        min_length=1,
    )
    schema_watch_hours: int = Field(
        0,
        ge=0,
        description="compare what was collected with the CRMs every so many hours, in serve; 0: only when asked",
    )
    smtp: SmtpKeys | None = Field(None, description="how mail leaves: host, from, port, security, user, ca_file")
    webhook: WebhookKeys = Field(
        default_factory=WebhookKeys, description="where messages may be posted: hosts, ca_file"
    )
    link: list[LinkKeys] = Field(
        [], description="links between tables that are not foreign keys: [[link]] with from, to, name and back"
    )

    @field_validator("database")
    @classmethod
    def _without_password(cls, text: str) -> str:
        try:
            refuse_password(text)
        except ConfigError as error:
            raise ValueError(f"{error.message} {error.hint}") from None
        return text

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"“{name}” is not a time zone. Use an IANA name like Europe/Paris or UTC") from error
        return name


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Where everything is. Environment beats file; `database` may hold a password and is left out of the repr."""

    project: Path
    database: str = field(repr=False)
    key_file: Path
    key: str = field(repr=False, default="")
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    links: tuple[LinkKeys, ...] = ()
    files: str = "files"
    schema_watch: timedelta = timedelta(0)
    smtp: SmtpKeys | None = None
    smtp_password: str = field(repr=False, default="")
    webhook: WebhookKeys = field(default_factory=WebhookKeys)
    webhook_secret: str = field(repr=False, default="")

    @property
    def files_folder(self) -> Path:
        """The folder within which workflows read and write files."""
        return self.project / Path(self.files).expanduser()

    @property
    def state_folder(self) -> Path:
        """Where Crosstie keeps its own files beside the project: the log of unexpected errors."""
        return self.project / ".crosstie"

    @property
    def databases_file(self) -> Path:
        """The ids of the databases that this installation works with, a line each, beside the key file."""
        return self.key_file.with_name(self.key_file.name + ".databases")


def find_project(start: Path) -> Path | None:
    """The nearest folder with a `crosstie.toml`, from `start` upward."""
    here = start.resolve()
    return next((folder for folder in (here, *here.parents) if (folder / FILE_NAME).is_file()), None)


def read_config(project: Path | None, environment: Mapping[str, str], *, cwd: Path | None = None) -> Config:
    """Reads the configuration of `project` (a folder, or its crosstie.toml), else of the nearest one above `cwd`.

    CROSSTIE_DATABASE, CROSSTIE_KEY_FILE and CROSSTIE_KEY in the environment win. Raises ConfigError, naming file and
    key."""
    folder = _folder(project, cwd or Path.cwd())
    written = _read(folder / FILE_NAME)
    key_file = environment.get("CROSSTIE_KEY_FILE") or written.key_file
    return Config(
        project=folder,
        database=database_url(environment.get("CROSSTIE_DATABASE") or written.database, folder),
        key_file=folder / Path(key_file).expanduser(),
        key=environment.get("CROSSTIE_KEY", ""),
        zone=ZoneInfo(written.time_zone),
        links=tuple(written.link),
        files=written.files_folder,
        schema_watch=timedelta(hours=written.schema_watch_hours),
        smtp=written.smtp,
        smtp_password=environment.get("CROSSTIE_SMTP_PASSWORD", ""),
        webhook=written.webhook,
        webhook_secret=environment.get("CROSSTIE_WEBHOOK_SECRET", ""),
    )


def _folder(project: Path | None, cwd: Path) -> Path:
    if project is None:
        found = find_project(cwd)
        if found is None:
            raise ConfigError(
                f"There is no {FILE_NAME} in {cwd} or in a folder above it.",
                hint="Make a project here with: crosstie init. Or name its folder: crosstie --project DIR …",
            )
        return found
    folder = (cwd / project).resolve()
    if folder.is_file() and folder.name == FILE_NAME:
        folder = folder.parent
    if not (folder / FILE_NAME).is_file():
        raise ConfigError(
            f"There is no {FILE_NAME} in {folder}.", hint=f"Make a project there with: crosstie init {folder}"
        )
    return folder


def _read(file: Path) -> ConfigFile:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not readable TOML: {error}", hint="Mend that line and try again.") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    try:
        return ConfigFile.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(file, one) for one in error.errors(include_url=False))) from error


def _explain(file: Path, error: Mapping[str, object]) -> str:
    location = error["loc"]
    key = ".".join(str(part) for part in location) if isinstance(location, tuple) else str(location)
    if error["type"] != "extra_forbidden":
        return f"{file}: {key}: {str(error['msg']).removeprefix('Value error, ')}"
    close = difflib.get_close_matches(key, ConfigFile.model_fields, n=1)
    suggestion = f" Did you mean “{close[0]}”?" if close else ""
    return f"{file}: “{key}” is not a key.{suggestion} Known: {', '.join(ConfigFile.model_fields)}"


def database_url(text: str, folder: Path) -> str:
    """A PostgreSQL URL as it is; a SQLite path made absolute, from `folder`. Raises ConfigError for another kind, and
    for a connection string of key=value."""
    refuse_connection_string(text)
    if text.startswith(("postgresql://", "postgres://")):
        return text
    path = text.removeprefix("sqlite:///") if text.startswith("sqlite:///") else text
    if "://" in path:
        raise ConfigError(
            f"The database “{text.split('://', 1)[0]}://…” is of no known kind.",
            hint="Use a path or sqlite:///path for SQLite, or postgresql://user@host/name.",
        )
    return str(folder / Path(path).expanduser())
