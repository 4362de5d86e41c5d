"""What the input of a QueryPage asks for: the fields by template, the criteria, the order and the page.

Elements are matched by their local names: requests that put everything into the service namespace are understood
(fact sheet, section 2.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from lxml import etree

from crosstie.sandbox.oracle_on_demand.definitions import Child, Field, Object
from crosstie.sandbox.oracle_on_demand.faults import unknown_field
from crosstie.sandbox.oracle_on_demand.refusals import bad_argument, sorts_and_filters

DEFAULT_PAGE = 10
VIEW_MODES = frozenset(
    {"Broadest", "Sales Rep", "Manager", "Manager's", "Personal", "Organization", "Catalog", "Context"}
    | {"Sub-Organization", "Group"}
)
_SORT_TOKEN = re.compile(r"\((ASC|DESC)ENDING\)")


@dataclass(frozen=True, slots=True)
class Asked:
    """A field of the template. `content` filters when it is not empty; `order` is ASC, DESC or empty."""

    field: Field
    tag: str
    content: str = ""
    order: str = ""
    rank: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What is asked of an object, or of a child list of it. `size` and `start` are as they were asked."""

    child: Child | None
    asked: tuple[Asked, ...]
    search: str = ""
    size: int = DEFAULT_PAGE
    start: int = 0
    counted: bool = False
    children: tuple[Template, ...] = ()
    children_and: bool = True
    """v1.0's UseChildAnd: whether criteria on children come on top of those on the object, or beside them."""
    labels: bool = False
    view_mode: str = "Broadest"

    @property
    def filters(self) -> bool:
        """Whether anything here is a criterion."""
        return bool(self.search) or any(one.content for one in self.asked)

    @property
    def sorted(self) -> list[Asked]:
        """The fields to sort by, the first one first."""
        return sorted((one for one in self.asked if one.order), key=lambda one: one.rank)


@dataclass(frozen=True, slots=True)
class TemplateReader:
    """Reads templates of one object, as one version and flavour know it."""

    subject: Object
    version: str
    flavour: str

    def read(self, body: etree._Element) -> Template:
        """The template in a body element. Raises SoapFault."""
        listed = next((one for one in elements(body) if local(one) == f"ListOf{self.subject.name}"), None)
        if listed is None:
            raise bad_argument(f"ListOf{self.subject.name}")
        arguments = {local(one): (one.text or "").strip() for one in elements(body) if one is not listed}
        template = self._list(listed, None)
        if self.version == "v1":
            return _first_version(self.subject.name, template, arguments)
        return replace(
            template,
            labels=_chosen("LOVLanguageMode", arguments, ("LIC", "LDC"), "LIC") == "LDC",
            view_mode=_chosen("ViewMode", arguments, VIEW_MODES, "Broadest"),
        )

    def _list(self, listed: etree._Element, child: Child | None) -> Template:
        """A ListOf element and the one record in it."""
        tag = child.tag if child else self.subject.name
        records = [one for one in elements(listed) if local(one) == tag]
        if len(records) != 1:
            raise bad_argument(local(listed))
        (record,) = records
        asked, lists = self._record(record, child)
        attributes = {} if self.version == "v1" else {str(name): str(value) for name, value in listed.items()}
        return Template(
            child=child,
            asked=tuple(asked.values()),
            search="" if self.version == "v1" else record.get("searchspec", "").strip(),
            size=_whole("pagesize", attributes.get("pagesize", ""), DEFAULT_PAGE, 1),
            start=_whole("startrownum", attributes.get("startrownum", ""), 0, 0),
            counted=_yes("recordcountneeded", attributes.get("recordcountneeded", "")),
            children=tuple(lists),
        )

    def _record(self, record: etree._Element, child: Child | None) -> tuple[dict[str, Asked], list[Template]]:
        asked: dict[str, Asked] = {}
        lists: list[Template] = []
        inner = {one.list_tag: one for one in self.subject.children} if child is None else {}
        for element in elements(record):
            tag = local(element)
            if tag in inner:
                lists.append(self._list(element, inner[tag]))
                continue
            field = self._field(tag, child)
            if field is None:
                raise unknown_field(tag, self.subject.name)
            asked.setdefault(tag, self._asked(field, tag, element))
        return asked, lists

    def _field(self, tag: str, child: Child | None) -> Field | None:
        if child is None:
            return self.subject.field_of(tag, self.version, self.flavour)
        named = {one.tag_in(self.version, self.flavour): one for one in child.fields.values()}
        return named.get(tag)

    def _asked(self, field: Field, tag: str, element: etree._Element) -> Asked:
        content = (element.text or "").strip()
        if self.version == "v1":
            token = _SORT_TOKEN.fullmatch(content)
            return Asked(field, tag, order=token[1]) if token else Asked(field, tag, content)
        order, rank = element.get("sortorder", ""), element.get("sortsequence", "")
        if order not in ("", "ASC", "DESC"):
            raise bad_argument("sortorder")
        sequence = _whole("sortsequence", rank, 0, 0)
        return Asked(field, tag, content, order or ("ASC" if rank else ""), sequence)


def _first_version(component: str, template: Template, arguments: dict[str, str]) -> Template:
    """With what v1.0 has in elements instead of attributes. It sorts or filters, never both."""
    lists = (template, *template.children)
    if template.sorted and any(one.filters for one in lists):
        raise sorts_and_filters(component)
    return replace(
        template,
        size=_whole("PageSize", arguments.get("PageSize", ""), DEFAULT_PAGE, 1),
        start=_whole("StartRowNum", arguments.get("StartRowNum", ""), 0, 0),
        children_and=_yes("UseChildAnd", arguments.get("UseChildAnd", "")),
    )


def elements(parent: etree._Element) -> Iterator[etree._Element]:
    """The elements inside one; comments and processing instructions are no elements."""
    return parent.iterchildren("*")


def local(element: etree._Element) -> str:
    """An element's name without its namespace."""
    return etree.QName(element).localname


def _chosen(name: str, arguments: dict[str, str], allowed: frozenset[str] | tuple[str, ...], default: str) -> str:
    found = arguments.get(name) or default
    if found not in allowed:
        raise bad_argument(name)
    return found


def _whole(name: str, text: str, default: int, least: int) -> int:
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise bad_argument(name)
    return int(text)


def _yes(name: str, text: str) -> bool:
    if text.lower() not in ("", "true", "false", "1", "0", "y", "n"):
        raise bad_argument(name)
    return text.lower() in ("true", "1", "y")
