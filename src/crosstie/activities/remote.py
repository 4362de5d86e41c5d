"""What activities that talk to a CRM have in common: the collected object, its fields, its reject columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from crosstie.crm import kind_of
from crosstie.errors import ConfigError, MappingError
from crosstie.model import LABEL, Column, ColumnType, FieldType, Lineage, RemoteField, RemoteObject
from crosstie.schema.conversions import local_column
from crosstie.workflow.activity import Problem, Shape, Site
from crosstie.workflow.yaml_source import suggest

DELETED_AT = "deletedAt"
MERGED_INTO = "mergedInto"
_OWN_LABEL = frozenset({FieldType.TEXT, FieldType.ID, FieldType.BINARY, FieldType.COMPOUND, FieldType.OTHER})


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


class Described(Protocol):
    """What knows the accounts, and the objects that were collected."""

    def account_kind(self, name: str) -> str:
        """See `Site`."""
        ...

    def remote_object(self, account: str, name: str) -> RemoteObject | None:
        """A collected remote object, as stored."""
        ...


def find_remote_field(remote: RemoteObject, path: str, account: str, site: Described) -> RemoteField:
    """The field behind a name or a relationship path (`Account.Name`; where the CRM has links to several objects and
    takes paths that say to which, `account:parentcustomerid.name`), or its label. Raises MappingError naming what is
    wrong."""
    return find_remote_path(remote, path, account, site)[1]


def find_remote_path(
    remote: RemoteObject, path: str, account: str, site: Described
) -> tuple[RemoteObject, RemoteField]:
    """The same, with the object that has the field."""
    if path.endswith(LABEL):
        if not kind_of(site.account_kind(account)).labels:
            raise MappingError(f"{path}: this CRM tells no labels with its records; leave “{LABEL}” out")
        holder, shown = find_remote_path(remote, path.removesuffix(LABEL), account, site)
        return holder, _label(shown)
    first, _, rest = path.partition(".")
    if not rest:
        field = remote.field(path)
        if field is None:
            words = [one.name for one in remote.fields]
            raise MappingError(f"{remote.name} has no field “{path}”.{guess_field(remote, path, words)}")
        if field.parts:
            raise MappingError(f"{field.name} is a compound field. Import its parts: {', '.join(field.parts)}")
        return remote, field
    chosen, _, name = first.rpartition(":")
    link = remote.link(name)
    if link is None:
        words = [one.relationship for one in remote.fields if one.relationship]
        raise MappingError(f"{remote.name} has no relationship “{name}”.{suggest(name, words)}")
    several = ", ".join(link.reference_to)
    typed = kind_of(site.account_kind(account)).typed_paths
    if chosen and not typed:
        raise MappingError(f"{path}: this CRM takes paths without “{chosen}:”")
    if not chosen and len(link.reference_to) != 1:
        way = f" or say to which: {link.reference_to[0]}:{path}" if typed else ""
        raise MappingError(f"{name} can point to several objects ({several}); import {link.name}{way}")
    leads_to = link.leads_to(chosen)
    if leads_to is None:
        raise MappingError(f"{name} does not point to {chosen}, but to {several}.{suggest(chosen, link.reference_to)}")
    parent = site.remote_object(account, leads_to)
    if parent is None:
        raise MappingError(
            f"{path} needs {leads_to}, which is not collected. Collect it: crosstie collect {account} {leads_to}"
        )
    return find_remote_path(parent, rest, account, site)


def _label(field: RemoteField) -> RemoteField:
    """What people see of a field, as a field of its own."""
    if field.type in _OWN_LABEL:
        raise MappingError(f"{field.name} is shown as it is; leave “{LABEL}” out")
    return RemoteField(
        name=f"{field.name}{LABEL}",
        label=f"{field.label} (label)",
        type=FieldType.TEXT,
        wire_type=field.wire_type,
        filterable=False,
        sortable=False,
        part_of=field.name,
    )


def guess_field(remote: RemoteObject, word: str, names: Iterable[str]) -> str:
    """` Did you mean “x”?` of the field that has the word as its label, or whose name is close; else nothing."""
    labelled = remote.name_by_label(word)
    return f" Did you mean “{labelled}”?" if labelled else suggest(word, names)


def reject_columns(kind: str) -> tuple[Column, ...]:
    """The reject columns that the CRM's own errors have, and the field at fault."""
    names = (*kind_of(kind).reject_columns, "errorField")
    return tuple(Column(name=name, type=ColumnType.TEXT) for name in names)


def untracked(remote: RemoteObject, kind: str) -> str:
    """Why an import of an object can't go by change tracking; '' where it can."""
    crm = kind_of(kind)
    if not crm.tracks_changes:
        return f"{crm.label} has no change tracking; leave “by” out"
    if not remote.tracks_changes:
        return (
            f"the CRM tracks no changes of {remote.name}; switch that on there and collect the object again, or leave"
            " “by” out"
        )
    return ""


def deleted_shape(remote: RemoteObject, site: Site, account: str, *, org: str) -> Shape:
    """The shape of deleted records: remote id, when it was deleted, and the surviving record of a merge."""
    key = local_column(find_remote_field(remote, remote.key, account, site), "default", remote.key)
    columns = (
        key,
        Column(name=DELETED_AT, type=ColumnType.INSTANT, label="deleted at"),
        Column(name=MERGED_INTO, type=key.type, label="surviving record of a merge", length=key.length),
    )
    lineage = Lineage(account=account, org=org, object=remote.name, remote_id=key.name, stamp=DELETED_AT, gone=True)
    return Shape(columns=columns, lineage=lineage, key=(key.name,))
