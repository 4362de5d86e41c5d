"""What a synchronisation makes of an enumeration's values; pure, so that it can be shown before it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from crosstie.model import EnumerationValue


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueChanges:
    """How the values of an enumeration become others, by their names. `kept`: values that the CRM does not have any
    more and that rows here hold, (name, rows); they stay, inactive. `moved`: the order is another one."""

    values: tuple[EnumerationValue, ...]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    kept: tuple[tuple[str, int], ...] = ()
    moved: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing becomes another."""
        return not (self.added or self.removed or self.changed or self.kept or self.moved)


NOTHING = ValueChanges(values=())
"""No change, where nothing was compared."""


def gone(before: Sequence[EnumerationValue], remote: Sequence[EnumerationValue]) -> tuple[str, ...]:
    """The values that the CRM does not have."""
    there = {one.name for one in remote}
    return tuple(one.name for one in before if one.name not in there)


def merged(
    before: Sequence[EnumerationValue],
    remote: Sequence[EnumerationValue],
    *,
    replaces: bool,
    used: Mapping[str, int],
) -> ValueChanges:
    """With `replaces` the values become those of the CRM, in its order; what is gone there and `used` here (by so many
    rows) stays, inactive, at the end. Without, values that are here stay as they are, and new ones come behind them."""
    known = {one.name: one for one in before}
    added = tuple(one.name for one in remote if one.name not in known)
    if not replaces:
        has_default = any(one.default for one in before)
        new = (replace(one, default=one.default and not has_default) for one in remote if one.name not in known)
        return ValueChanges(values=(*before, *new), added=added)
    lost = gone(before, remote)
    stays = tuple(replace(known[name], active=False, default=False) for name in lost if used.get(name))
    values = (*remote, *stays)
    names = [one.name for one in values]
    return ValueChanges(
        values=values,
        added=added,
        removed=tuple(name for name in lost if not used.get(name)),
        changed=tuple(one.name for one in remote if one.name in known and known[one.name] != one),
        kept=tuple((one.name, used[one.name]) for one in stays if known[one.name].active),
        moved=[name for name in names if name in known] != [one.name for one in before if one.name in set(names)],
    )


def joined(lists: Sequence[Sequence[EnumerationValue]]) -> tuple[EnumerationValue, ...]:
    """The values of several fields as one list: each once, as the first field has it; active where any has it so, with
    the one default of the first that has any."""
    found: dict[str, EnumerationValue] = {}
    for values in lists:
        has_default = any(one.default for one in found.values())
        for one in values:
            known = found.get(one.name)
            if known is None:
                found[one.name] = replace(one, default=one.default and not has_default)
            elif one.active and not known.active:
                found[one.name] = replace(known, active=True)
    return tuple(found.values())
