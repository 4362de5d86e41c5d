"""What activities that talk to a CRM have in common: the collected object, its fields, its reject columns."""

from __future__ import annotations

from collections.abc import Iterable

from crosstie.crm import kind_of
from crosstie.errors import ConfigError, MappingError
from crosstie.model import Column, ColumnType, RemoteField, RemoteObject
from crosstie.workflow.activity import Problem, Site
from crosstie.workflow.yaml_source import suggest


def find_object(site: Site, account: str, name: str) -> tuple[RemoteObject | None, Problem | None]:
    """The collected object of an account, or what is wrong with the keys `account` and `object`."""
    accounts = site.accounts()
    if account not in accounts:
        known = f" Known: {', '.join(accounts)}." if accounts else ""
        return None, Problem(
            path=("account",),
            message=f"there is no external account “{account}”.{suggest(account, accounts)}{known}"
            f" Create it: crosstie account add {account}",
        )
    remote = site.remote_object(account, name)
    if remote is None:
        collected = site.collected(account)
        known = f" Collected: {', '.join(collected)}." if collected else ""
        return None, Problem(
            path=("object",),
            message=f"“{name}” is not a collected object of account {account}."
            f"{suggest(name, collected)}{known} Collect it: crosstie collect {account} {name}",
        )
    return remote, None


def collected_object(site: Site, account: str, name: str) -> RemoteObject:
    """The collected object of an account, for a run. Raises ConfigError where it is not collected any more."""
    found = site.remote_object(account, name)
    if found is None:
        raise ConfigError(
            f"{name} is not a collected object of account {account}.",
            hint=f"Collect it: crosstie collect {account} {name}",
        )
    return found


def find_remote_field(remote: RemoteObject, path: str, account: str, site: Site) -> RemoteField:
    """The field behind a name or a relationship path (`Account.Name`). Raises MappingError naming what is wrong."""
    return find_remote_path(remote, path, account, site)[1]


def find_remote_path(remote: RemoteObject, path: str, account: str, site: Site) -> tuple[RemoteObject, RemoteField]:
    """The same, with the object that has the field."""
    first, _, rest = path.partition(".")
    if not rest:
        field = remote.field(path)
        if field is None:
            words = [one.name for one in remote.fields]
            raise MappingError(f"{remote.name} has no field “{path}”.{guess_field(remote, path, words)}")
        if field.parts:
            raise MappingError(f"{field.name} is a compound field. Import its parts: {', '.join(field.parts)}")
        return remote, field
    link = next((one for one in remote.fields if one.relationship and one.relationship.lower() == first.lower()), None)
    if link is None:
        words = [one.relationship for one in remote.fields if one.relationship]
        raise MappingError(f"{remote.name} has no relationship “{first}”.{suggest(first, words)}")
    if len(link.reference_to) != 1:
        raise MappingError(f"{first} can point to several objects ({', '.join(link.reference_to)}); import {link.name}")
    parent = site.remote_object(account, link.reference_to[0])
    if parent is None:
        raise MappingError(
            f"{path} needs {link.reference_to[0]}, which is not collected."
            f" Collect it: crosstie collect {account} {link.reference_to[0]}"
        )
    return find_remote_path(parent, rest, account, site)


def guess_field(remote: RemoteObject, word: str, names: Iterable[str]) -> str:
    """` Did you mean “x”?` of the field that has the word as its label, or whose name is close; else nothing."""
    labelled = remote.name_by_label(word)
    return f" Did you mean “{labelled}”?" if labelled else suggest(word, names)


def reject_columns(kind: str) -> tuple[Column, ...]:
    """The reject columns that the CRM's own errors have, and the field at fault."""
    names = (*kind_of(kind).reject_columns, "errorField")
    return tuple(Column(name=name, type=ColumnType.TEXT) for name in names)
