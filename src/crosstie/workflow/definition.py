"""A workflow's definition: from YAML text to activities joined by transitions, every mistake reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from crosstie.errors import CrosstieError, DefinitionError
from crosstie.workflow.activity import ERRORS, OK, REJECTS, Activity, Shape, Site
from crosstie.workflow.explaining import explain
from crosstie.workflow.settings import WorkflowSettings
from crosstie.workflow.yaml_source import Path, Source, parse, suggest
from crosstie.workflow.zones import zone_named

_TOP_KEYS = (*WorkflowSettings.model_fields, "activities")
# PostgreSQL's longest identifier, in bytes of UTF-8 (PostgreSQL manual, Lexical Structure).
_LONGEST_NAME = 63
# The keys of activities that may begin a branch which are about what comes in.
_ABOUT_INBOUND = (("population",),)
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A readable workflow. `activities` keep the order of the file; `edges` are (activity, transition) → targets, and
    `shapes` what is known of the population behind each, None where there is none."""

    settings: WorkflowSettings
    activities: Mapping[str, Activity]
    edges: Mapping[tuple[str, str], tuple[str, ...]]
    text: str = field(repr=False)
    shapes: Mapping[tuple[str, str], Shape | None] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The workflow's internal name."""
        return self.settings.workflow

    @property
    def label(self) -> str:
        """What people see instead of the name."""
        return self.settings.label or self.name

    def zone(self, activity: str, default: ZoneInfo) -> ZoneInfo:
        """The zone in force for an activity: its own, else the workflow's, else that default."""
        return ZoneInfo(self.activities[activity].time_zone or self.settings.time_zone or str(default))

    def initial(self) -> tuple[str, ...]:
        """The activities without inbound transition, in the order of the file."""
        targets = {target for names in self.edges.values() for target in names}
        return tuple(name for name in self.activities if name not in targets)

    def targets(self, activity: str, transition: str) -> tuple[str, ...]:
        """Where that transition goes; nothing when the branch ends there."""
        return self.edges.get((activity, transition), ())

    def sources(self, activity: str) -> tuple[tuple[str, str], ...]:
        """The (activity, transition) pairs that lead to it, in the order of the file."""
        return tuple(edge for edge, targets in self.edges.items() if activity in targets)

    def inbound(self, activity: str) -> tuple[Edge, ...]:
        """What leads to it, the main set first: in the order of its `from`, then of the file."""
        first = [_edge(one) for one in self.activities[activity].default_sources()]
        return tuple(
            sorted(self.sources(activity), key=lambda edge: first.index(edge) if edge in first else len(first))
        )

    def begun_by(self) -> tuple[str, ...]:
        """The activities at which a run begins that no schedule begins, in the order of the file."""
        return tuple(name for name in self.initial() if self.activities[name].timetable() is None)

    def results(self) -> tuple[tuple[str, str], ...]:
        """The (activity, transition) pairs with a population that lead to an end mark; where none does, those that
        lead nowhere. Rejects and errors are no results."""
        known = [edge for edge, shape in self.shapes.items() if shape is not None and edge[1] not in (REJECTS, ERRORS)]
        marked = [edge for edge in known if any(self.activities[one].is_end() for one in self.targets(*edge))]
        return tuple(marked or [edge for edge in known if not self.targets(*edge)])

    def reachable(self, activity: str) -> frozenset[str]:
        """The activity and all that can follow it."""
        seen = {activity}
        waiting = [activity]
        while waiting:
            here = waiting.pop()
            for (source, _), targets in self.edges.items():
                if source == here:
                    waiting.extend(target for target in targets if target not in seen)
                    seen.update(targets)
        return frozenset(seen)

    def graph(self) -> str:
        """The graph as understood, a line per transition, for people."""
        lines = []
        for name, activity in self.activities.items():
            leaving = [(transition, targets) for (source, transition), targets in self.edges.items() if source == name]
            arrows = [
                f"{'' if transition == OK else transition + ' '}→ {', '.join(targets)}"
                for transition, targets in leaving
            ]
            lines.append(f"{name} ({activity.type})  {'   '.join(arrows) or '·'}")
        return "\n".join(lines)


def read_definition(source_name: str, text: str, catalogue: Mapping[str, type[Activity]], site: Site) -> Definition:
    """Reads and validates a definition. Raises DefinitionError with every mistake, each with its line and key."""
    source = parse(source_name, text)
    top = _top(source)
    activities = _activities(source, top, catalogue)
    definition = Definition(
        settings=_settings(source, top),
        activities=activities,
        edges=_edges(source, activities, _written(top), _named_by_unread(top, activities)),
        text=text,
    )
    _check_graph(source, definition, _written(top))
    _check_recursion(source, definition, site)
    shapes = _check_activities(source, definition, site, _written(top))
    source.refuse_if_mistaken()
    return replace(definition, shapes=shapes)


def called_workflows(text: str, catalogue: Mapping[str, type[Activity]]) -> tuple[str, ...]:
    """The names of the workflows that a definition runs as its own part, whether it can run or not."""
    try:
        activities = _top(parse("called", text)).get("activities")
    except DefinitionError:
        return ()
    found: list[str] = []
    for keys in activities.values() if isinstance(activities, dict) else ():
        model = catalogue.get(str(keys.get("type"))) if isinstance(keys, dict) else None
        if model is None:
            continue
        try:
            found += model.model_validate(keys).runs()
        except ValidationError:
            continue
    return tuple(found)


def workflow_name(source_name: str, text: str) -> str:
    """The name a definition gives itself, without validating the rest. Raises DefinitionError when it has none."""
    source = parse(source_name, text)
    top = _top(source)
    if not top.get("workflow"):
        source.refuse_if_mistaken()
    return str(top["workflow"])


def read_settings(source_name: str, text: str) -> WorkflowSettings:
    """The settings of a definition, without validating its activities. Raises DefinitionError where they are wrong."""
    source = parse(source_name, text)
    settings = _settings(source, _top(source))
    source.refuse_if_mistaken()
    return settings


def _top(source: Source) -> dict[str, object]:
    top = source.value if isinstance(source.value, dict) else {}
    if not isinstance(source.value, dict):
        source.mistake((), "a workflow file begins with “workflow: name” and lists its “activities:”")
        return {}
    for key in top:
        if key not in _TOP_KEYS:
            source.mistake((key,), f"“{key}” is not a key of a workflow.{suggest(key, _TOP_KEYS)}")
    name = top.get("workflow")
    if not isinstance(name, str) or not name or not set(name) <= _NAME_CHARACTERS:
        source.mistake(("workflow",), "a workflow needs a name of letters, digits, - and _, like “contact-import”")
    zone = top.get("time_zone")
    if zone is not None:
        try:
            zone_named(str(zone))
        except ValueError as error:
            source.mistake(("time_zone",), str(error))
            top["time_zone"] = "UTC"
    return top


def _settings(source: Source, top: Mapping[str, object]) -> WorkflowSettings:
    given = {key: value for key, value in top.items() if key in WorkflowSettings.model_fields and value is not None}
    given["workflow"] = str(given.get("workflow") or "")
    try:
        return WorkflowSettings.model_validate(given)
    except ValidationError as error:
        explain(source, (), error, WorkflowSettings)
        return WorkflowSettings.model_validate({"workflow": given["workflow"]})


def _written(top: Mapping[str, object]) -> tuple[str, ...]:
    activities = top.get("activities")
    return tuple(activities) if isinstance(activities, dict) else ()


def _activities(
    source: Source, top: Mapping[str, object], catalogue: Mapping[str, type[Activity]]
) -> dict[str, Activity]:
    written = top.get("activities")
    if not isinstance(written, dict) or not written:
        source.mistake(("activities",), "a workflow needs at least one activity under “activities:”")
        return {}
    read: dict[str, Activity] = {}
    for name, keys in written.items():
        path: Path = ("activities", name)
        if not set(name) <= _NAME_CHARACTERS:
            source.mistake(path, f"“{name}” is not a name: use letters, digits, - and _")
        if not isinstance(keys, dict) or not isinstance(keys.get("type"), str):
            meant = next((key for key in keys if suggest(key, ("type",))), "") if isinstance(keys, dict) else ""
            if meant and "type" not in keys:
                source.mistake((*path, meant), f"“{meant}” is not a key here.{suggest(meant, ('type',))}")
                continue
            source.mistake(path, f"this activity needs a type. It can be one of: {', '.join(catalogue)}")
            continue
        kind = keys["type"]
        model = catalogue.get(kind)
        if model is None:
            source.mistake(
                (*path, "type"),
                f"“{kind}” is not an activity.{suggest(kind, catalogue)} It can be one of: {', '.join(catalogue)}",
            )
            continue
        try:
            read[name] = model.model_validate(keys, by_alias=True, by_name=False)
        except ValidationError as error:
            explain(source, path, error, model)
    return read


def _edges(
    source: Source, activities: Mapping[str, Activity], written: tuple[str, ...], elsewhere: frozenset[str]
) -> dict[tuple[str, str], tuple[str, ...]]:
    edges: dict[tuple[str, str], tuple[str, ...]] = {}
    for name, activity in activities.items():
        for transition, targets, path in _named_targets(activity):
            known = []
            for target in targets:
                if target == name:
                    source.mistake(("activities", name, *path), "it leads to itself")
                elif target in written:
                    known.append(target)
                else:
                    source.mistake(
                        ("activities", name, *path),
                        f"there is no activity “{target}”.{suggest(target, written)}",
                    )
            edges[(name, transition)] = tuple(known)
    order = {name: place for place, name in enumerate(written)}
    # What only a later activity names is where a loop leads back to, and stays the next one of what stands before it.
    named = {
        target for (name, _), targets in edges.items() for target in targets if order[name] < order[target]
    } | elsewhere
    for position, name in enumerate(written):
        if name not in activities:
            continue
        activity = activities[name]
        if (name, OK) in edges or activity.next is not None or not activity.has_default_next:
            continue
        follower = next(
            (one for one in written[position + 1 :] if one not in named and not _joins(activities.get(one))), None
        )
        if follower is not None:
            edges[(name, OK)] = (follower,)
    for name, activity in activities.items():
        for origin, transition in map(_edge, activity.default_sources()):
            if origin not in written:
                source.mistake(
                    ("activities", name, "from"), f"there is no activity “{origin}”.{suggest(origin, written)}"
                )
            elif name not in edges.get((origin, transition), ()):
                edges[(origin, transition)] = (*edges.get((origin, transition), ()), name)
    return dict(sorted(edges.items(), key=lambda edge: order.get(edge[0][0], 0)))


def _edge(written: str) -> Edge:
    """`query` is what leaves that activity by OK, `split.young` what leaves it by that transition."""
    name, _, transition = written.partition(".")
    return name, transition or OK


def _joins(activity: Activity | None) -> bool:
    return activity is not None and bool(activity.default_sources())


def _named_by_unread(top: Mapping[str, object], activities: Mapping[str, Activity]) -> frozenset[str]:
    """Every text in activities that could not be read, among which are the names of those that they lead to."""
    written = top.get("activities")
    unread = [keys for name, keys in written.items() if name not in activities] if isinstance(written, dict) else []
    return frozenset(text for keys in unread for text in _texts(keys))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _named_targets(activity: Activity) -> Iterable[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    match activity.next:
        case str(target):
            yield OK, (target,), ("next",)
        case list(targets):
            yield OK, tuple(targets), ("next",)
        case dict(targets_by_name):
            for transition, target in targets_by_name.items():
                yield transition, (target,), ("next", transition)
    for transition in (REJECTS, ERRORS, *activity.extra_transitions):
        named = getattr(activity, transition, None)
        if isinstance(named, str):
            yield transition, (named,), (transition,)


def _check_graph(source: Source, definition: Definition, written: tuple[str, ...]) -> None:
    if not definition.activities or len(definition.activities) != len(written):
        return
    initial = definition.initial()
    if not initial:
        source.mistake(("activities",), "every activity is the target of another one: there is nothing to begin with")
    _check_schedules(source, definition)
    for name, activity in definition.activities.items():
        sources = definition.sources(name)
        if activity.max_inputs == 0 and sources:
            source.mistake(
                ("activities", name),
                f"{activity.type} begins a branch, but “{sources[0][0]}” leads to it",
            )
        elif activity.timetable() is not None and sources:
            source.mistake(
                ("activities", name, "schedule"),
                f"with a schedule it begins a branch, but “{sources[0][0]}” leads to it",
            )
        if activity.min_inputs > 0 and not sources:
            source.mistake(
                ("activities", name), f"nothing leads to it, and {activity.type} needs an inbound population"
            )


def _check_schedules(source: Source, definition: Definition) -> None:
    """Refuses two schedules in one branch: each begins a run of its own, and what joins them would wait for ever."""
    led_to: dict[str, str] = {}
    scheduled = [name for name in definition.initial() if definition.activities[name].timetable() is not None]
    for name in scheduled:
        for target in sorted(_branch(definition, name)):
            other = led_to.setdefault(target, name)
            if other != name and definition.activities[target].has_default_next:
                source.mistake(
                    ("activities", name),
                    f"it leads to “{target}”, and so does “{other}”: there is one schedule per branch. Give each a"
                    " branch of its own, or write both into one schedule (lists of times, or cron)",
                )
                break


def _branch(definition: Definition, name: str) -> frozenset[str]:
    """What follows an activity when nothing goes wrong."""
    seen = {name}
    waiting = [name]
    while waiting:
        here = waiting.pop()
        for (source, transition), targets in definition.edges.items():
            if source == here and transition not in (ERRORS, REJECTS):
                waiting.extend(target for target in targets if target not in seen)
                seen.update(targets)
    return frozenset(seen - {name})


def _check_recursion(source: Source, definition: Definition, site: Site) -> None:
    """Refuses what would run itself, over however many workflows, before anything is asked of those."""
    for name, activity in definition.activities.items():
        ways: list[tuple[str, ...]] = [(called,) for called in activity.runs()]
        seen: set[str] = set()
        while ways:
            way = ways.pop()
            if way[-1] == definition.name:
                told = " → ".join((definition.name, *way))
                source.mistake(("activities", name, "workflow"), f"it would run itself without end: {told}")
                source.refuse_if_mistaken()
            if way[-1] not in seen:
                seen.add(way[-1])
                ways += [(*way, called) for called in site.called_by(way[-1])]


def _check_activities(
    source: Source, definition: Definition, site: Site, written: tuple[str, ...]
) -> dict[Edge, Shape | None]:
    """Walks the graph from its beginnings; each activity is checked once all it takes from was, or with what is known
    when a loop leads back to it. What a mistake hides is unknown downstream: there only what needs no inbound shape is
    checked, so that no mistake follows from another one. Gives the shapes behind transitions, as far as known."""
    complete = len(definition.activities) == len(written)
    shapes: dict[Edge, Shape | None] = {}
    unknown: set[Edge] = set()
    waiting = list(definition.activities)
    while waiting:
        ready = [name for name in waiting if _is_ready(definition, name, waiting)] or waiting[:1]
        for name in ready:
            waiting.remove(name)
            edges = definition.inbound(name)
            given = tuple(shape for edge in edges if (shape := shapes.get(edge)) is not None)
            lacking = definition.activities[name].min_inputs > len(given)
            # An activity that could not be read may lead to one to which nothing else does.
            sure = complete or bool(edges)
            if any(edge in unknown for edge in edges) or (lacking and not sure):
                _check_blindly(source, definition.activities[name], name, site)
                unknown.update(edge for edge in definition.edges if edge[0] == name)
            elif lacking:
                _refuse_lack(source, definition.activities[name], name, led_to=bool(edges))
            else:
                found = _check(source, definition.activities[name], name, given, site)
                shapes.update((edge, shape) for edge, shape in found.items() if sure or shape is not None)
            leaving = [edge for edge in definition.edges if edge[0] == name]
            if not sure or source.is_mistaken(("activities", name)):
                unknown.update(edge for edge in leaving if edge not in shapes)
    return shapes


def _check_blindly(source: Source, activity: Activity, name: str, site: Site) -> None:
    for problem in activity.problems((), site):
        if problem.path[:1] not in _ABOUT_INBOUND:
            source.mistake(("activities", name, *problem.path), problem.message)


def _refuse_lack(source: Source, activity: Activity, name: str, *, led_to: bool) -> None:
    if led_to:
        source.mistake(
            ("activities", name), f"{activity.type} needs an inbound population, but what leads to it carries none"
        )


def _check(
    source: Source, activity: Activity, name: str, given: tuple[Shape, ...], site: Site
) -> dict[Edge, Shape | None]:
    """Notes its problems; the shape behind each of its transitions, as far as it can be told."""
    problems = list(activity.problems(given, site))
    for problem in problems:
        source.mistake(("activities", name, *problem.path), problem.message)
    try:
        outputs = activity.outputs(given, site)
    except CrosstieError:
        if not problems:
            raise
        return {}
    if not problems:
        _check_transitions(source, activity, name, tuple(outputs))
        for shape in outputs.values():
            _check_columns(source, name, given, shape)
    shapes: dict[Edge, Shape | None] = {(name, ERRORS): given[0] if given else None}
    return shapes | {(name, transition): shape for transition, shape in outputs.items()}


def _check_transitions(source: Source, activity: Activity, name: str, known: tuple[str, ...]) -> None:
    """Refuses what is written under `next` for a transition that it does not have."""
    for transition, _, path in _named_targets(activity):
        if transition not in (*known, ERRORS, OK):
            source.mistake(
                ("activities", name, *path),
                f"{activity.type} has no transition “{transition}”.{suggest(transition, known)}"
                f" It has: {', '.join(known) or 'none'}",
            )


def _check_columns(source: Source, name: str, given: tuple[Shape, ...], shape: Shape | None) -> None:
    """Names that PostgreSQL would cut or a person would take for one another; those that came in are told before."""
    inbound = {column.name for one in given for column in one.columns}
    taken: dict[str, str] = {}
    for column in shape.columns if shape is not None else ():
        other = taken.setdefault(column.name.lower(), column.name)
        if column.name in inbound and other in inbound:
            continue
        message = ""
        if len(column.name.encode()) > _LONGEST_NAME:
            message = f"column {column.name} has a name of more than {_LONGEST_NAME} bytes; give it a shorter one"
        elif other != column.name:
            message = f"columns {other} and {column.name} differ only in case; give one of them another name"
        place = ("activities", name)
        mistaken = any(one.message == message for one in source.mistakes)
        if message and not mistaken:
            source.mistake(_written_place(source, place, column.name), message)


def _written_place(source: Source, place: Path, word: str) -> Path:
    """Where an activity's keys name a column, as key or value, else the activity."""
    within = [one for one in source.places if len(one) > len(place) and one[: len(place)] == place]
    return next((one for one in within if one[-1] == word or source.value_at(one) == word), place)


def _is_ready(definition: Definition, name: str, waiting: list[str]) -> bool:
    return all(source not in waiting for source, _ in definition.sources(name))
