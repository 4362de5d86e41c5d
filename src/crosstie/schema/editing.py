"""What people change of an enumeration."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from crosstie.errors import ConfigError
from crosstie.model import EnumerationValue
from crosstie.schema.enumerations import Enumeration, Source, Unknown


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Changes of one enumeration; what is left out stays. Values are meant by their names.

    `add` and `labels` give labels; `default` '' means that none is. What `order` names comes first, in that order.
    `columns` and `without_columns` are (table, column); `unfollow` are fields that are not followed any more."""

    label: str | None = None
    add: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    activate: Sequence[str] = ()
    deactivate: Sequence[str] = ()
    remove: Sequence[str] = ()
    default: str | None = None
    order: Sequence[str] = ()
    replaces: bool | None = None
    on_unknown: Unknown | None = None
    columns: Sequence[tuple[str, str]] = ()
    without_columns: Sequence[tuple[str, str]] = ()
    unfollow: Sequence[Source] = ()

    def of(self, before: Enumeration) -> Enumeration:
        """The enumeration as it becomes. Raises ConfigError for a value that is not there, or is there already."""
        taken = [name for name in self.add if before.value(name) is not None]
        if taken:
            raise ConfigError(
                f"Enumeration {before.name} has the value {taken[0]} already.",
                hint="Give it another label: --relabel VALUE=LABEL",
            )
        unknown = [one for one in self.unfollow if one not in before.sources]
        if unknown:
            raise ConfigError(
                f"Enumeration {before.name} does not follow {unknown[0]}.",
                hint=f"What it follows: crosstie enumeration show {before.name}",
            )
        columns = [one for one in before.columns if one not in self.without_columns]
        return replace(
            before,
            label=before.label if self.label is None else self.label,
            values=self._values(before),
            replaces=before.replaces if self.replaces is None else self.replaces,
            on_unknown=self.on_unknown or before.on_unknown,
            sources=tuple(one for one in before.sources if one not in self.unfollow),
            columns=tuple(sorted({*columns, *self.columns})),
        )

    def _values(self, before: Enumeration) -> tuple[EnumerationValue, ...]:
        new = (EnumerationValue(name=name, label=label or name) for name, label in self.add.items())
        found = {one.name: one for one in (*before.values, *new)}

        for name, label in self.labels.items():
            found[name] = replace(_value(before, found, name), label=label)
        for names, active in ((self.activate, True), (self.deactivate, False)):
            for name in names:
                found[name] = replace(_value(before, found, name), active=active)
        for name in self.remove:
            del found[_value(before, found, name).name]
        if self.default is not None:
            found = {name: replace(one, default=False) for name, one in found.items()}
            if self.default:
                found[self.default] = replace(_value(before, found, self.default), default=True)
        first = [_value(before, found, name).name for name in self.order]
        return tuple(found[name] for name in dict.fromkeys([*first, *found]))


def _value(before: Enumeration, found: Mapping[str, EnumerationValue], name: str) -> EnumerationValue:
    if name not in found:
        labelled = [one.name for one in found.values() if one.label.casefold() == name.casefold()]
        close = labelled or difflib.get_close_matches(name, found, n=1)
        suggestion = f"Did you mean {close[0]}? " if close else ""
        raise ConfigError(
            f"Enumeration {before.name} has no value {name}.",
            hint=f"{suggestion}All of them: crosstie enumeration show {before.name}",
        )
    return found[name]
