"""An external account in memory: what a person told us, its secrets kept out of every text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from crosstie.crm import kind_of
from crosstie.errors import ConfigError

HIDDEN = "•••"
"""What is shown and audited instead of a secret."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,29}")


class Secrets(Mapping[str, str]):
    """The secrets of an account by field name. Neither repr, str nor format shows them."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(f'{name}={HIDDEN}' for name in self._values)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAccount:
    """How to reach one CRM org. `settings` are those that differ from their defaults; `host` is the sign-in URL.

    Org and time zone are what the last check found, '' before the first."""

    name: str
    kind: str
    host: str
    settings: Mapping[str, object]
    secrets: Secrets = field(default_factory=Secrets, repr=False)
    org_id: str = ""
    org_name: str = ""
    time_zone: str = ""
    checked_at: datetime | None = None

    def shown_settings(self) -> dict[str, object]:
        """The settings for people: secrets are a marker."""
        return {**self.settings, **dict.fromkeys(self.secrets, HIDDEN)}

    def model(self) -> Any:
        """The settings as the kind's pydantic model. Raises ConfigError when they no longer fit."""
        return validated(self.kind, {**self.settings, **self.secrets})


def make_account(name: str, kind: str, values: Mapping[str, object]) -> ExternalAccount:
    """An account from settings and secrets together. Raises ConfigError, naming every field that is wrong."""
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"“{name}” cannot be the name of an account.",
            hint="Use up to 30 lower case letters, digits and _, beginning with a letter: tables are named after it.",
        )
    model = validated(kind, values)
    settings: dict[str, object] = {}
    secrets: dict[str, str] = {}
    for field_name, value in model.model_dump(mode="json", exclude_defaults=True).items():
        if field_name in secret_fields(kind):
            secrets[field_name] = getattr(model, field_name).get_secret_value()
        else:
            settings[field_name] = value
    return ExternalAccount(name=name, kind=kind, host=model.login_url(), settings=settings, secrets=Secrets(secrets))


def with_files_found(kind: str, values: Mapping[str, object]) -> dict[str, object]:
    """The values with the paths of files and folders made absolute from the current folder, for later commands run
    in others. Raises ConfigError for one that is not there."""
    found = dict(values)
    for name, one in kind_of(kind).settings_model().model_fields.items():
        extra = one.json_schema_extra or {}
        if not (extra.get("file") or extra.get("folder")) or not found.get(name):
            continue
        path = Path(str(found[name])).expanduser().absolute()
        if extra.get("folder") and not path.is_dir():
            raise ConfigError(f"{name}: there is no folder {path}.", hint="Give the path of a folder.")
        if extra.get("file") and not path.is_file():
            raise ConfigError(f"{name}: there is no file {path}.", hint="Give the path of a PEM file.")
        found[name] = str(path)
    return found


def needed_secrets(kind: str, values: Mapping[str, object]) -> tuple[str, ...]:
    """The secrets that the chosen way to sign in uses, without one that stands in a file of its own."""
    fields = kind_of(kind).settings_model().model_fields
    flow = values.get("flow") or (fields["flow"].default if "flow" in fields else "")
    return tuple(
        name
        for name, one in fields.items()
        if (extra := one.json_schema_extra or {}).get("secret")
        and (not extra.get("flows") or str(flow) in extra["flows"])
        and not values.get(f"{name}_file")
    )


def secret_fields(kind: str) -> frozenset[str]:
    """The names of the fields that are secrets."""
    fields = kind_of(kind).settings_model().model_fields
    return frozenset(name for name, one in fields.items() if (one.json_schema_extra or {}).get("secret"))


def validated(kind: str, values: Mapping[str, object]) -> Any:
    """The values as the kind's model. Raises ConfigError without any value in it, for some are secrets."""
    from pydantic import ValidationError

    try:
        return kind_of(kind).settings_model().model_validate(dict(values))
    except ValidationError as error:
        wrong = [
            f"{'.'.join(map(str, one['loc'])) or kind}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise ConfigError(f"The account's settings are not right: {'; '.join(wrong)}.") from None
