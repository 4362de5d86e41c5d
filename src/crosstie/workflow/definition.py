"""A workflow's definition: from YAML text to activities joined by transitions, every mistake reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from crosstie.workflow.activity import ERRORS, OK, REJECTS, Activity, Shape, Site
from crosstie.workflow.yaml_source import Path, Source, parse, suggest

_TOP_KEYS = ("workflow", "label", "time_zone", "activities")
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A readable workflow. `activities` keep the order of the file; `edges` are (activity, transition) → targets."""

    name: str
    label: str
    time_zone: str
    activities: Mapping[str, Activity]
    edges: Mapping[tuple[str, str], tuple[str, ...]]
    text: str = field(repr=False)

    @property
    def zone(self) -> ZoneInfo:
        """The zone in force: the workflow's, else UTC."""
        return ZoneInfo(self.time_zone or "UTC")

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
        name=str(top.get("workflow") or ""),
        label=str(top.get("label") or top.get("workflow") or ""),
        time_zone=str(top.get("time_zone") or ""),
        activities=activities,
        edges=_edges(source, activities, _written(top)),
        text=text,
    )
    _check_graph(source, definition, _written(top))
    _check_activities(source, definition, site)
    source.refuse_if_mistaken()
    return definition


def workflow_name(source_name: str, text: str) -> str:
    """The name a definition gives itself, without validating the rest. Raises DefinitionError when it has none."""
    source = parse(source_name, text)
    top = _top(source)
    if not top.get("workflow"):
        source.refuse_if_mistaken()
    return str(top["workflow"])


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
            ZoneInfo(str(zone))
        except (KeyError, ValueError, OSError):
            source.mistake(("time_zone",), f"“{zone}” is not a time zone. Use an IANA name like Europe/Paris or UTC")
            top["time_zone"] = "UTC"
    return top


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
            read[name] = model.model_validate(keys)
        except ValidationError as error:
            _explain(source, path, error, model)
    return read


def _explain(source: Source, path: Path, error: ValidationError, model: type[Activity]) -> None:
    known = [info.alias or key for key, info in model.model_fields.items()]
    seen: set[tuple[Path, str]] = set()
    for one in error.errors(include_url=False):
        place = _place(source, path, tuple(one["loc"]))
        if one["type"] == "extra_forbidden":
            key = str(place[-1])
            words = known if len(place) == len(path) + 1 else ()
            message = f"“{key}” is not a key here.{suggest(key, words)}"
            if words:
                message += f" Known: {', '.join(words)}"
        elif one["type"] == "missing":
            message = f"“{one['loc'][-1]}” is missing"
        elif one["type"] == "literal_error" or one["type"] == "enum":
            expected = str(one.get("ctx", {}).get("expected", ""))
            words = [word.strip("' ") for part in expected.split(" or ") for word in part.split(",")]
            shown = str(one["input"])
            message = f"“{shown}” is not known here.{suggest(shown, words)} It can be {expected}"
        else:
            message = one["msg"].removeprefix("Value error, ")
        if (place, message) not in seen:
            seen.add((place, message))
            source.mistake(place, message)


def _place(source: Source, path: Path, location: tuple[str | int, ...]) -> Path:
    """The written path nearest to a pydantic location, which also names union members that nobody wrote."""
    here = path
    for part in location:
        if (*here, part) in source.places:
            here = (*here, part)
    if location and isinstance(location[-1], str) and here[-1:] != location[-1:] and len(location) == 1:
        return (*here, location[-1])
    return here


def _edges(
    source: Source, activities: Mapping[str, Activity], written: tuple[str, ...]
) -> dict[tuple[str, str], tuple[str, ...]]:
    edges: dict[tuple[str, str], tuple[str, ...]] = {}
    for name, activity in activities.items():
        for transition, targets, path in _named_targets(activity):
            known = []
            for target in targets:
                if target in written:
                    known.append(target)
                else:
                    source.mistake(
                        ("activities", name, *path),
                        f"there is no activity “{target}”.{suggest(target, written)}",
                    )
            edges[(name, transition)] = tuple(known)
    named = {target for targets in edges.values() for target in targets}
    names = list(activities)
    for position, name in enumerate(names):
        activity = activities[name]
        if (name, OK) in edges or activity.next is not None or not activity.has_default_next:
            continue
        follower = next(
            (one for one in names[position + 1 :] if one not in named and not _joins(activities[one])), None
        )
        if follower is not None:
            edges[(name, OK)] = (follower,)
    for name, activity in activities.items():
        for origin in _taken_from(activity):
            if origin not in written:
                source.mistake(
                    ("activities", name, "from"), f"there is no activity “{origin}”.{suggest(origin, written)}"
                )
            elif name not in edges.get((origin, OK), ()):
                edges[(origin, OK)] = (*edges.get((origin, OK), ()), name)
    order = {name: place for place, name in enumerate(names)}
    return dict(sorted(edges.items(), key=lambda edge: order.get(edge[0][0], 0)))


def _joins(activity: Activity) -> bool:
    return bool(_taken_from(activity)) and activity.max_inputs > 1


def _taken_from(activity: Activity) -> tuple[str, ...]:
    taken = activity.inputs_from
    if taken is None or activity.max_inputs < 2:
        return ()
    return (taken,) if isinstance(taken, str) else tuple(taken)


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
    for name, activity in definition.activities.items():
        sources = definition.sources(name)
        if activity.max_inputs == 0 and sources:
            source.mistake(
                ("activities", name),
                f"{activity.type} begins a branch, but “{sources[0][0]}” leads to it",
            )
        if activity.min_inputs > 0 and not sources:
            source.mistake(
                ("activities", name), f"nothing leads to it, and {activity.type} needs an inbound population"
            )


def _check_activities(source: Source, definition: Definition, site: Site) -> None:
    """Walks the graph from its beginnings; each activity is checked once all it takes from was, or with what is known
    when a loop leads back to it."""
    complete = not source.mistakes
    shapes: dict[tuple[str, str], Shape | None] = {}
    broken: set[str] = set()
    waiting = list(definition.activities)
    while waiting:
        ready = [name for name in waiting if _is_ready(definition, name, waiting)] or waiting[:1]
        for name in ready:
            waiting.remove(name)
            activity = definition.activities[name]
            inputs = tuple(
                shape
                for edge in definition.sources(name)
                if (shape := shapes.get(edge)) is not None and edge[0] not in broken
            )
            if any(edge[0] in broken for edge in definition.sources(name)):
                broken.add(name)
                continue
            if activity.min_inputs > len(inputs):
                broken.add(name)
                if not complete:
                    continue
                source.mistake(
                    ("activities", name),
                    f"{activity.type} needs an inbound population, but what leads to it carries none",
                )
                continue
            problems = list(activity.problems(inputs, site))
            for problem in problems:
                source.mistake(("activities", name, *problem.path), problem.message)
            if problems:
                broken.add(name)
                continue
            shapes[(name, ERRORS)] = inputs[0] if inputs else None
            for transition, shape in activity.outputs(inputs, site).items():
                shapes[(name, transition)] = shape


def _is_ready(definition: Definition, name: str, waiting: list[str]) -> bool:
    return all(source not in waiting for source, _ in definition.sources(name))
