"""What is reconciled: an import with automatic index, and the table in which its rows end."""

from __future__ import annotations

from dataclasses import dataclass

from crosstie.activities.crm_import import DELETED, LEAVERS, CrmImport
from crosstie.activities.update_data import UpdateData
from crosstie.errors import ConfigError
from crosstie.model import RemoteObject
from crosstie.workflow.activity import ERRORS, REJECTS, Site
from crosstie.workflow.definition import Definition
from crosstie.workflow.yaml_source import suggest


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is compared: an import of a workflow, and the update that ends its rows in a table."""

    definition: Definition
    name: str
    activity: CrmImport
    update: UpdateData
    remote: RemoteObject
    on_the_way: tuple[str, ...]

    @property
    def place(self) -> str:
        """`workflow/activity`, for people."""
        return f"{self.definition.name}/{self.name}"

    def column_of(self, field: str) -> str:
        """The name of the imported column of a remote field, '' where it is not imported."""
        wanted = self.activity.wanted(self.remote)
        return next((one.name for one in wanted if one.field.lower() == field.lower()), "")


def find_subject(definition: Definition, site: Site, activity: str, into: str) -> Subject:
    """The import and the update to compare. Raises ConfigError where there is none, or several to choose from."""
    name, chosen = _find_import(definition, activity)
    ends = _find_updates(definition, site, name)
    if into:
        ends = {one: way for one, way in ends.items() if _update(definition, one).into == into} or ends
        known = [_update(definition, one).into for one in ends]
        if into not in known:
            raise ConfigError(f"No rows of {name} are tied to a table {into}.{suggest(into, known)}")
    tables = list(dict.fromkeys(_update(definition, one).into for one in ends))
    if not tables:
        raise ConfigError(
            f"The rows of {definition.name}/{name} end in no update_data that keeps ties, which are what is compared.",
            hint="An update_data keeps them when it has “identify” or writes the table's key, when the table's primary"
            " key is one column, and when it has not “ties: false”.",
        )
    if len(tables) > 1:
        raise ConfigError(
            f"The rows of {definition.name}/{name} are tied to several tables: {', '.join(tables)}.",
            hint=f"Choose one: crosstie reconcile {definition.name} {name} --into {tables[0]}",
        )
    remote = site.remote_object(chosen.account, chosen.object)
    if remote is None:
        raise ConfigError(
            f"{chosen.object} is not a collected object of account {chosen.account}.",
            hint=f"Collect it: crosstie collect {chosen.account} {chosen.object}",
        )
    end = next(iter(ends))
    return Subject(
        definition=definition,
        name=name,
        activity=chosen,
        update=_update(definition, end),
        remote=remote,
        on_the_way=ends[end],
    )


def _find_import(definition: Definition, activity: str) -> tuple[str, CrmImport]:
    imports = {name: one for name, one in definition.activities.items() if isinstance(one, CrmImport)}
    fit = {name: one for name, one in imports.items() if one.index is not None and not one.tracks}
    if activity and activity not in imports:
        raise ConfigError(
            f"Workflow {definition.name} has no import “{activity}”.{suggest(activity, imports)}"
            f"{' It has ' + ', '.join(imports) + '.' if imports else ''}"
        )
    chosen = [activity] if activity else list(fit)
    if chosen and imports[chosen[0]].tracks:
        raise ConfigError(
            f"Import {definition.name}/{chosen[0]} goes by change tracking, which misses no late record: there is"
            " nothing to reconcile.",
            hint="What was deleted while the CRM did not keep changes is found by an import of deletions with"
            " “by: compare”.",
        )
    if not chosen or chosen[0] not in fit:
        what = f"Import {definition.name}/{activity}" if activity else f"No import of {definition.name}"
        raise ConfigError(
            f"{what} has {'no' if activity else 'an'} automatic index.",
            hint="Without one every run reads all its records, and no window can have missed any: there is nothing to"
            " reconcile.",
        )
    if len(chosen) > 1:
        raise ConfigError(
            f"Workflow {definition.name} has several imports with automatic index: {', '.join(chosen)}.",
            hint=f"Choose one: crosstie reconcile {definition.name} {chosen[0]}",
        )
    return chosen[0], fit[chosen[0]]


def _update(definition: Definition, name: str) -> UpdateData:
    found = definition.activities[name]
    assert isinstance(found, UpdateData)
    return found


def _find_updates(definition: Definition, site: Site, start: str) -> dict[str, tuple[str, ...]]:
    """The updates that keep ties of the import's rows, nearest first, with the activities between."""
    found: dict[str, tuple[str, ...]] = {}
    ways: dict[str, tuple[str, ...]] = {start: ()}
    waiting = [start]
    while waiting:
        here = waiting.pop(0)
        for (source, transition), targets in definition.edges.items():
            if source != here or transition in (REJECTS, ERRORS, LEAVERS, DELETED):
                continue
            for target in targets:
                if target in ways:
                    continue
                ways[target] = (*ways[here], *(() if here == start else (here,)))
                waiting.append(target)
                one = definition.activities[target]
                if isinstance(one, UpdateData) and _keeps_ties(one, site):
                    found[target] = ways[target]
    return found


def _keeps_ties(update: UpdateData, site: Site) -> bool:
    table = site.table(update.into)
    if table is None or len(table.key) != 1:
        return False
    return update.keeps_ties(key_written=isinstance(update.set, dict) and table.key[0] in update.set)
