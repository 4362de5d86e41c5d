"""What is still true of a population of which only some columns go on."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from crosstie.model import Column, Lineage, Link
from crosstie.workflow.activity import Shape


def narrowed(
    shape: Shape, columns: tuple[Column, ...], names: Mapping[str, str], changed: Set[str] = frozenset()
) -> Shape:
    """The shape with those columns. `names` gives, for each inbound column that goes on, its name there; `changed`
    are the inbound columns whose values are others now. Key, dimension, lineage and links stay where they are right."""
    whole = {name: new for name, new in names.items() if name not in changed}
    key = tuple(whole[name] for name in shape.key if name in whole)
    keyed = len(key) == len(shape.key)
    return Shape(
        columns=columns,
        lineage=_lineage(shape.lineage, whole),
        links=tuple(_link(link, whole) for link in shape.links if link.column in whole),
        key=key if keyed else (),
        dimension=shape.dimension if keyed else "",
    )


def _lineage(lineage: Lineage | None, whole: Mapping[str, str]) -> Lineage | None:
    if lineage is None or lineage.remote_id not in whole:
        return None
    return replace(
        lineage,
        remote_id=whole[lineage.remote_id],
        stamp=whole.get(lineage.stamp, ""),
        fields=tuple((whole[column], field) for column, field in lineage.fields if column in whole),
    )


def _link(link: Link, whole: Mapping[str, str]) -> Link:
    return replace(link, column=whole[link.column])
