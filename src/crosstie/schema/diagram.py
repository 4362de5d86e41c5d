"""Collected objects as an entity diagram: as Mermaid text, or as an SVG of our own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from crosstie.model import FieldType, RemoteField
from crosstie.schema.store import Schema

_ROW, _HEAD, _PADDING, _GAP, _CHARACTER = 18, 26, 10, 70, 7.2
_WIDEST = 44
_PLAIN = re.compile(r"[A-Za-z][\w-]*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A field of a collected object that leads to another one in the same diagram."""

    from_: str
    field: str
    to: str
    optional: bool


def lines(schemas: Sequence[Schema]) -> tuple[Line, ...]:
    """The links among these objects, each field once for each object that it leads to."""
    names = {one.object.name for one in schemas}
    return tuple(
        Line(from_=one.object.name, field=field.name, to=target, optional=field.nullable)
        for one in schemas
        for field in one.object.fields
        for target in field.reference_to
        if target in names
    )


def linked(schema: Schema, schemas: Sequence[Schema]) -> tuple[Schema, ...]:
    """The object, and those of `schemas` that it leads to or that lead to it."""
    name = schema.object.name
    near = {line.to for line in lines(schemas) if line.from_ == name}
    near |= {line.from_ for line in lines(schemas) if line.to == name}
    return (schema, *(one for one in schemas if one.object.name in near - {name}))


def mermaid(schemas: Sequence[Schema], *, every_field: bool = False) -> str:
    """The diagram as Mermaid's `erDiagram`, which many viewers of Markdown draw."""
    written = ["erDiagram"]
    for one in schemas:
        written.append(f"  {_entity(one.object.name)} {{")
        for field in _shown(one, every_field):
            mark = _mark(one, field)
            written.append(f"    {_word(str(field.type))} {_word(field.name)}{f' {mark}' if mark else ''}")
        written.append("  }")
    for line in lines(schemas):
        written.append(
            f"  {_entity(line.to)} {'|o' if line.optional else '||'}--o{{ {_entity(line.from_)} : {_word(line.field)}"
        )
    return "\n".join(written) + "\n"


def _shown(schema: Schema, every: bool) -> Iterator[RemoteField]:
    """All fields, or those by which objects are told apart and joined."""
    for field in schema.object.fields:
        if every or _mark(schema, field) or field.external_id or field.name == schema.object.safe_index:
            yield field


def _mark(schema: Schema, field: RemoteField) -> str:
    if field.name == schema.object.key:
        return "PK"
    if field.type is FieldType.REFERENCE and field.reference_to:
        return "FK"
    return "UK" if field.unique else ""


def _entity(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', "'") + '"'


def _word(text: str) -> str:
    """A word as Mermaid takes it for types and names of attributes."""
    word = re.sub(r"[^\w-]", "_", text, flags=re.ASCII)
    return word if _PLAIN.fullmatch(word) else f"x{word}"


@dataclass(slots=True, kw_only=True)
class _Box:
    """An object in the drawing, with the place of its upper left corner."""

    schema: Schema
    fields: tuple[RemoteField, ...]
    width: float
    x: float = 0.0
    y: float = 0.0

    @property
    def height(self) -> float:
        return _HEAD + _ROW * len(self.fields) + _PADDING

    def row(self, name: str) -> float:
        """The height at which a field stands."""
        names = [field.name for field in self.fields]
        return self.y + _HEAD + _ROW * (names.index(name) + 0.5) if name in names else self.y + _HEAD / 2


def svg(schemas: Sequence[Schema], *, every_field: bool = False) -> str:
    """The diagram drawn: boxes in columns, a line from each linking field to the object that it leads to."""
    boxes = _placed([_box(one, every_field) for one in schemas])
    width = max((box.x + box.width for box in boxes), default=0.0) + _GAP
    height = max((box.y + box.height for box in boxes), default=0.0) + _PADDING
    named = {box.schema.object.name: box for box in boxes}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="12">',
        '<defs><marker id="arrow" markerWidth="9" markerHeight="9" refX="8" refY="4" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#456"/></marker></defs>',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
    ]
    parts += [_path(named[line.from_], named[line.to], line) for line in lines(schemas)]
    parts += [part for box in boxes for part in _drawn(box)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _box(schema: Schema, every: bool) -> _Box:
    fields = tuple(_shown(schema, every))
    texts = [_title(schema), *(_row_text(schema, field) for field in fields)]
    return _Box(schema=schema, fields=fields, width=max(len(text) for text in texts) * _CHARACTER + 2 * _PADDING)


def _placed(boxes: list[_Box]) -> list[_Box]:
    """In as many columns as there are rows, about; each box goes to the shortest column."""
    columns = [_PADDING * 2.0] * max(1, round(len(boxes) ** 0.5))
    homes: list[list[_Box]] = [[] for _ in columns]
    for box in boxes:
        place = columns.index(min(columns))
        box.y = columns[place]
        columns[place] += box.height + _GAP / 2
        homes[place].append(box)
    left = float(_GAP)
    for home in homes:
        for box in home:
            box.x = left
        left += max((box.width for box in home), default=0.0) + _GAP
    return boxes


def _path(from_: _Box, to: _Box, line: Line) -> str:
    """A curve from the field to the head of the box, leaving and arriving at the sides that face each other."""
    start, end = from_.row(line.field), to.y + _HEAD / 2
    if from_.x < to.x:
        first, last, bend = from_.x + from_.width, to.x, 1
    elif from_.x > to.x:
        first, last, bend = from_.x, to.x + to.width, -1
    else:  # in the same column: around the left side
        first, last, bend = from_.x, to.x, -1
    reach = _GAP * 0.6 * bend
    arriving = last + reach if from_.x == to.x else last - reach
    dash = ' stroke-dasharray="5 3"' if line.optional else ""
    return (
        f'<path d="M{first:.0f} {start:.0f} C{first + reach:.0f} {start:.0f} {arriving:.0f} {end:.0f} {last:.0f}'
        f' {end:.0f}" fill="none" stroke="#456"{dash} marker-end="url(#arrow)"><title>{_text(line.from_)}.'
        f"{_text(line.field)} → {_text(line.to)}</title></path>"
    )


def _drawn(box: _Box) -> Iterator[str]:
    yield (
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" height="{box.height:.0f}" rx="4" fill="#f7fafc"'
        ' stroke="#456"/>'
    )
    yield (
        f'<text x="{box.x + _PADDING:.0f}" y="{box.y + 17:.0f}" font-weight="bold">{_text(_title(box.schema))}</text>'
    )
    yield (
        f'<line x1="{box.x:.0f}" y1="{box.y + _HEAD - 3:.0f}" x2="{box.x + box.width:.0f}" y2="{box.y + _HEAD - 3:.0f}"'
        ' stroke="#456"/>'
    )
    for field in box.fields:
        yield (
            f'<text x="{box.x + _PADDING:.0f}" y="{box.row(field.name) + 5:.0f}">'
            f"{_text(_row_text(box.schema, field))}</text>"
        )


def _title(schema: Schema) -> str:
    name, label = schema.object.name, schema.object.label
    return _short(name if name == label else f"{name} “{label}”")


def _row_text(schema: Schema, field: RemoteField) -> str:
    mark = _mark(schema, field)
    return _short(f"{field.name}  {field.type}{f'  {mark}' if mark else ''}")


def _short(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def _text(text: str) -> str:
    return escape(text)
