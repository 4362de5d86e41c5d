"""What can happen to an import with automatic index, and when: the strategies of the state machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st

from crosstie.sandbox.salesforce.switches import Switches
from tests.adversity.org import Lateness
from tests.contract.positions import OTHER

MALFORMED = "yesterday at noon"
_BELIEVED = Switches()
SWITCHES = st.fixed_dictionaries(
    {name: st.sampled_from([getattr(_BELIEVED, name), value]) for name, value in OTHER.items()}
    | {"bulk_in_progress_polls": st.sampled_from([0, 0, 1])}
)
"""Every fact that nobody is sure of, either way."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens: a method of the machine and its arguments."""

    name: str
    arguments: tuple[Any, ...] = ()


def _events(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Event]:
    return st.builds(Event, st.just(name), st.tuples(*arguments))


def _weighed(*choices: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One of the choices; one that is given twice is twice as likely, which `one_of` would not see."""
    return st.integers(0, len(choices) - 1).flatmap(choices.__getitem__)


PLACES = st.integers(0, 40)
LATENESS = (
    st.none()
    | st.builds(Lateness, seconds=st.sampled_from([30, 300, 840, 900, 959, 960]), held=st.booleans())
    | st.builds(Lateness, seconds=st.sampled_from([1800, 10_000]), held=st.just(True))
)
TIMES = st.sampled_from([1, 2, 5])
MINUTES = st.sampled_from([1, 4, 10, 14, 15, 30, 300])
CHANGE = _events("change", st.lists(PLACES, min_size=1, max_size=4), LATENESS)
CHANGES = (
    CHANGE,
    CHANGE,
    CHANGE,
    _events("change", st.none(), LATENESS),
    _events("change_again", LATENESS),
    _events("change_again", st.none()),
    _events("insert", st.integers(1, 8), LATENESS),
    _events("insert_without_stamp"),
    _events("delete", PLACES, LATENESS),
    _events("undelete", PLACES),
    _events("purge", PLACES),
    _events("spoil", PLACES),
    _events("mend", PLACES, st.booleans()),
)
CLOCKS = (
    _events("move_clock", st.sampled_from([1, 59, 60, 200, 900, 86_400])),
    _events("move_clock", st.sampled_from([-1, -30, -61, -300, -900])),
    _events("move_our_clock", st.sampled_from([-86_400, -60, 60, 86_400])),
)
OPTIONS = (
    _events("set_option_back", MINUTES),
    _events("set_option_forward", MINUTES),
    _events("set_option", st.sampled_from(["", "", MALFORMED])),
)
PEOPLE = (
    *OPTIONS,
    _events("hide"),
    _events("show"),
    _events("lead_elsewhere"),
    _events("lead_back"),
    _events("dismiss"),
    _events("redefine"),
)
FAULTS = (
    {"type": "status", "status": 503},
    {"type": "status", "status": 400, "code": "UNKNOWN_EXCEPTION", "message": "UNKNOWN"},
    {"type": "drop_before"},
    {"type": "drop_after"},
    {"type": "truncate"},
    {"type": "no_next"},
)
BULK_FAULTS = ({"type": "cut_csv"}, {"type": "wrong_count"}, {"type": "truncate"})
KINDS = (None, "query", "query_more", "describe", "updated", "token", "bulk_create", "bulk_status")
TROUBLES = (
    _events("expire", st.sampled_from(["locators", "jobs", "sessions"])),
    _events("spoil_requests", st.sampled_from(KINDS), st.sampled_from(FAULTS), st.integers(0, 3), TIMES),
    _events("spoil_requests", st.just("bulk_results"), st.sampled_from(BULK_FAULTS), st.integers(0, 3), TIMES),
)
BEFORE_A_RUN = st.lists(_weighed(*CHANGES, *CHANGES, *CLOCKS, *PEOPLE), max_size=3)
BETWEEN_RUNS = st.sampled_from([0, 1, 2, 2, 3, 5, 5, 10, 14, 16, 40])
AT_REQUEST = st.tuples(st.integers(1, 12), st.booleans())
ACTIVITIES = ("read", "rows", "before", "write", "after", "done")
IN_A_RUN = st.lists(
    st.one_of(
        st.tuples(AT_REQUEST, _weighed(*CHANGES, *CHANGES, *OPTIONS, *OPTIONS, *CLOCKS, *PEOPLE)),
        st.tuples(AT_REQUEST, _weighed(*TROUBLES)),
        st.tuples(st.sampled_from(ACTIVITIES), _weighed(*CHANGES, *CLOCKS, *PEOPLE)),
    ),
    max_size=3,
)
ENDINGS = st.sampled_from(["killed", "interrupted"])
