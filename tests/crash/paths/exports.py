"""Exports and deletions: each operation by each road that it can take, and inserts of which nobody can say more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from tests.crash.paths.path import OURS, SEEN, Backend, Path, Record, Setting, ready, refused

Batches = Literal["on", "off", "auto"]
INSERTS_BY: tuple[Batches, ...] = ("on", "auto")
"""By bulk jobs; the inserts by one, and the updates by calls. By calls inserts are opaque: a path of their own."""
KEYED_BY: tuple[Batches, ...] = ("on", "off")

SET_ASIDE = """\
  set-aside:
    type: update_data
    into: recipient
    operation: update
    identify: {id: id}
    set: {state: "'refused'"}
    outcome: true
    ties: false
"""
_SEND = """\
  send:
    type: crm_export
    account: salesforce
    object: Contact
    batches: BATCHES
    map:
      LastName: last_name
      Email: {from: email, null: clear}
      Score__c: score
      Department: "'Ours'"
"""
REMEMBER = """\
  remember:
    type: update_data
    into: recipient
    operation: update
    identify: dimension
    set: {crm_id: remoteId}
    ties: false
"""

KNOWN_AND_NEW = f"""\
workflow: known-and-new
parallel: 1
activities:
  ours:
    type: query
    from: recipient
    where: state = 'ours'
    add: [crm_id, code, last_name, email, score]
{_SEND}    key: {{Id: crm_id}}
    rejects: set-aside
{REMEMBER}    next: done
{SET_ASIDE}{refused("code", "errorSymbol")}  done: {{type: end}}
"""

CODES_AND_DELETIONS = f"""\
workflow: codes-and-deletions
parallel: 1
activities:
  ours:
    type: query
    from: recipient
    where: state = 'ours'
    add: [code, last_name, email, score]
{_SEND.replace("score", "{from: score, on_conflict: crm}")}    key: {{ERP_Id__c: code}}
    rejects: set-aside
{REMEMBER}  leaving:
    type: query
    from: recipient
    where: state = 'leaving'
    add: [crm_id, code]
  gone:
    type: crm_delete
    account: salesforce
    object: Contact
    ids: crm_id
    batches: BATCHES
    rejects: kept
  left:
    type: update_data
    into: recipient
    operation: update
    identify: dimension
    set: {{state: "'left ' || done"}}
    ties: false
    next: done
  kept:
    type: update_data
    into: recipient
    operation: update
    identify: {{id: id}}
    set: {{state: errorSymbol}}
    ties: false
    next: done
{SET_ASIDE}{refused("code", "errorSymbol")}  done: {{type: end}}
"""

OPAQUE = f"""\
workflow: opaque-inserts
parallel: 1
activities:
  ours:
    type: query
    from: recipient
    where: state = 'ours' and crm_id is null
    add: [code, last_name, email, score]
{_SEND}    insert: always
    rejects: refused
{REMEMBER}    next: done
{refused("code", "errorSymbol")}  done: {{type: end}}
"""

_PEOPLE = {
    "people: recipient": "select code, crm_id, last_name, state from recipient",
    "people: ties": 'select r.code, e.remote_id, e."LastName", e."Email", e."Score__c", e.tombstone'
    " from {tie} e left join recipient r on cast(r.id as text) = e.local_key",
    **SEEN,
}
_TWO_SHIPMENTS = 203
_FEW = 8
_WRONG = "no address"
_LONG = f"{'x' * 80}@ours.invalid"
_REFUSED = {_WRONG: "by the CRM", _LONG: "by ourselves"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """A row of people's."""

    code: str | None
    name: str
    email: str | None
    score: float
    state: str = "ours"

    def record(self, title: str | None = None, key: str | None = None) -> Record:
        """What the org holds of it when it was sent."""
        return (self.name, title, key, self.email, self.score, False)


def _insert(setting: Setting, people: Sequence[_Person], ids: Sequence[str | None]) -> None:
    """Puts rows into people's table."""
    rows = (
        f"({', '.join(_quoted(one) for one in (row.code, record_id, row.name, row.email, row.score, row.state))})"
        for row, record_id in zip(people, ids, strict=True)
    )
    setting.sql(f"insert into recipient (code, crm_id, last_name, email, score, state) values {', '.join(rows)}")


def _quoted(value: object) -> str:
    if value is None:
        return "null"
    return str(value) if isinstance(value, float) else "'{}'".format(str(value).replace("'", "''"))


def _records(setting: Setting, records: Sequence[Record]) -> list[str]:
    """Records of ours that the org has already; their ids."""
    names = ("LastName", "Title", "ERP_Id__c", "Email", "Score__c")
    values = [{"Department": OURS, **dict(zip(names, one[:5], strict=True))} for one in records]
    return setting.sandbox.insert("Contact", values)


def _known(number: int) -> list[_Person]:
    """Rows whose records are there: one loses its e-mail, one is refused by the CRM."""
    people = [
        _Person(code=f"k{n}", name=f"Known {n}", email=f"k{n}@ours.invalid", score=n + 0.5) for n in range(number)
    ]
    people[1] = _Person(code="k1", name='Zoë "王", x', email=None, score=-0.01)
    people[2] = _Person(code="k2", name="Known 2", email=_WRONG, score=2.5)
    return people


def _new() -> list[_Person]:
    """Rows without a record: two of them equal, one refused by the CRM, one by ourselves."""
    people = [_Person(code=f"n{n}", name=f"New {n}", email=f"n{n}@ours.invalid", score=n + 0.25) for n in range(3)]
    people += [_Person(code=f"n{n}", name="Same", email="same@ours.invalid", score=7.0) for n in (3, 4)]
    people.append(_Person(code="n5", name="New 5", email=_WRONG, score=5.25))
    people.append(_Person(code="n6", name="New 6", email=_LONG, score=6.25))
    return people


def known_and_new(backend: Backend, batches: Batches, *, near: int = 0) -> Path:
    """An export that updates known records and inserts new ones, with rows that are refused. Its inserts go by bulk
    jobs always, its updates too (on) or by two calls (auto)."""
    known, new = _known(_TWO_SHIPMENTS if batches == "auto" and not near else _FEW), _new()
    before = [(f"Old {n}", one.code, None, f"old{n}@ours.invalid", 0.0, False) for n, one in enumerate(known)]

    def prepare(setting: Setting) -> datetime:
        ready(setting)
        _insert(setting, known, _records(setting, before))
        _insert(setting, new, [None] * len(new))
        return setting.sandbox.advance(timedelta(minutes=30))

    changed = [was if one.email in _REFUSED else one.record(one.code) for one, was in zip(known, before, strict=True)]
    return Path(
        name=f"known-and-new-batches-{batches}{'-near' * bool(near)}",
        backend=backend,
        workflow="known-and-new",
        definition=KNOWN_AND_NEW.replace("BATCHES", batches),
        prepare=prepare,
        people=_PEOPLE,
        page_rows=1_000,
        holds=(*changed, *(one.record() for one in new if one.email not in _REFUSED)),
        near=near,
    )


def codes_and_deletions(backend: Backend, batches: Batches, *, near: int = 0) -> Path:
    """An export by an external id: some of its rows were exported before, one was changed by both sides since. Then a
    deletion: of records that are there, are in the recycle bin, are gone or never were, and of a row without record."""
    number = _TWO_SHIPMENTS if batches == "off" and not near else _FEW
    people = [
        _Person(code=f"c{n}", name=f"Coded {n}", email=f"c{n}@ours.invalid", score=n + 0.5) for n in range(number)
    ]
    people[4] = _Person(code="c4", name="Coded 4", email=_WRONG, score=4.5)
    people[5] = _Person(code=None, name="Coded 5", email=None, score=5.5)
    first = people[:3]
    before = [(f"Old {n}", f"t{n}", f"c{n}", None, 0.0, False) for n in (0, 1, 6)]
    leaving = [(f"Leaving {n}", f"l{n}", None, None, float(n), False) for n in range(4)]

    def prepare(setting: Setting) -> datetime:
        ready(setting)
        known = _records(setting, before)
        _insert(setting, first, [None] * len(first))
        setting.run(setting.sandbox.advance(timedelta(minutes=30)))
        setting.sql("update recipient set score = 77 where code in ('c0', 'c1')")
        setting.sandbox.control("update", id=known[1], values={"Score__c": 99})
        setting.sql("update recipient set state = 'leaving' where code = 'c2'")
        _insert(setting, people[3:], [None] * (number - 3))
        ids = _records(setting, leaving)
        setting.sandbox.control("delete", ids=ids[:2])
        setting.sandbox.control("purge", ids=ids[:1])
        gone = [_Person(code=f"l{n}", name=f"Leaving {n}", email=None, score=0.0, state="leaving") for n in range(6)]
        _insert(setting, gone, [*ids, "0035g00000zzzzzAAA", None])
        return setting.sandbox.advance(timedelta(minutes=30))

    titles = {str(one[2]): str(one[1]) for one in before}
    sent = [one for one in people if one.code is not None and one.email not in _REFUSED]
    held = {str(one.code): one.record(titles.get(str(one.code)), one.code) for one in sent}
    held["c0"] = (*held["c0"][:4], 77.0, False)
    held["c1"] = (*held["c1"][:4], 99.0, False)
    held["c2"] = (*held["c2"][:5], True)
    return Path(
        name=f"codes-and-deletions-batches-{batches}{'-near' * bool(near)}",
        backend=backend,
        workflow="codes-and-deletions",
        definition=CODES_AND_DELETIONS.replace("BATCHES", batches),
        prepare=prepare,
        people=_PEOPLE,
        page_rows=1_000,
        holds=(*held.values(), *((*one[:5], True) for one in leaving[1:])),
        near=near,
    )


def opaque_inserts(backend: Backend) -> Path:
    """Inserts without a key that are forced by calls, two of them: what became of a lost answer nobody can say."""
    people = [
        _Person(code=f"o{n}", name=f"Opaque {n}", email=f"o{n}@ours.invalid", score=n + 0.5)
        for n in range(_TWO_SHIPMENTS)
    ]

    def prepare(setting: Setting) -> datetime:
        ready(setting)
        _insert(setting, people, [None] * len(people))
        return setting.sandbox.advance(timedelta(minutes=30))

    return Path(
        name="opaque-inserts",
        backend=backend,
        workflow="opaque-inserts",
        definition=OPAQUE.replace("BATCHES", "off"),
        prepare=prepare,
        people=_PEOPLE,
        page_rows=1_000,
        holds=tuple(one.record() for one in people),
        opaque=True,
    )
