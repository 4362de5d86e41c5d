"""Exports and deletions in Dynamics: new records bear keys that the plan has chosen."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

from tests.crash.paths.exports import REMEMBER, SET_ASIDE
from tests.crash.paths.names import DYNAMICS
from tests.crash.paths.path import OURS, SEEN, Backend, Path, Setting, tables
from tests.crash.paths.path import refused as branch_of_refused

Batches = Literal["on", "auto"]
WRITTEN_BY: tuple[tuple[Batches, bool], ...] = (("auto", True), ("on", True), ("on", False))
"""By batches, by bulk messages that fall back to them, and by bulk messages alone."""

_KNOWN, _NEW, _LEAVING = 4, 3, 3
_TOO_MUCH = 1e12
"""A score beyond what the column takes."""

_SEND = """\
    type: crm_export
    account: dynamics
    object: contact
    map:
      lastname: last_name
      emailaddress1: {from: email, null: clear}
      new_score: SCORE
      department: "'Ours'"
"""
_OURS = """\
  ours:
    type: query
    from: recipient
    where: state = 'ours'
    add: [crm_id, code, last_name, email, score]
"""

DEFINITION = f"""\
workflow: chosen-keys
parallel: 1
activities:
{_OURS}  send:
{_SEND.replace("SCORE", "score")}    key: {{contactid: crm_id}}
    batches: BATCHES
    rejects: set-aside
{REMEMBER}  leaving:
    type: query
    from: recipient
    where: state = 'leaving'
    add: [crm_id, code]
  gone: {{type: crm_delete, account: dynamics, object: contact, ids: crm_id}}
  left:
    type: update_data
    into: recipient
    operation: update
    identify: dimension
    set: {{state: "'left'"}}
    ties: false
    next: done
{SET_ASIDE}{branch_of_refused("code", "errorCode")}  done: {{type: end}}
"""

BY_CODE = f"""\
workflow: by-code
parallel: 1
activities:
{_OURS}  send:
{_SEND.replace("SCORE", "{from: score, on_conflict: crm}")}    key: {{new_externalid: code}}
    rejects: set-aside
{REMEMBER}    next: done
{SET_ASIDE}{branch_of_refused("code", "errorCode")}  done: {{type: end}}
"""

_PEOPLE = {
    "people: recipient": "select code, crm_id, last_name, state from recipient",
    "people: ties": "select r.code, e.remote_id, e.lastname, e.emailaddress1, e.new_score, e.tombstone"
    " from {tie} e left join recipient r on cast(r.id as text) = e.local_key",
    **SEEN,
}


def _person(code: str, number: float, record_id: str | None, state: str = "ours") -> str:
    given = "null" if record_id is None else f"'{record_id}'"
    name, mail = f"Name {code}", "null" if code == "k1" else f"'{code}@ours.invalid'"
    return f"('{code}', {given}, '{name}', {mail}, {number}, '{state}')"


def _insert(setting: Setting, *people: str) -> None:
    setting.sql(f"insert into recipient (code, crm_id, last_name, email, score, state) values {', '.join(people)}")


def _made(setting: Setting, codes: list[str], *, keyed: bool = False) -> list[str]:
    """Records of ours that the org has already."""
    records = [{"lastname": f"Old {one}", "jobtitle": one, "department": OURS} for one in codes]
    named = [{**one, "new_externalid": code} for one, code in zip(records, codes, strict=True)] if keyed else records
    return setting.sandbox.insert("contact", named)


def _record(code: str, title: str | None, key: str | None, score: float) -> tuple[object, ...]:
    return (f"Name {code}", title, key, None if code == "k1" else f"{code}@ours.invalid", score, False)


def chosen_keys(backend: Backend, batches: Batches = "auto", *, refused: bool = True, near: int = 0) -> Path:
    """Updates of known records and inserts of new ones, a shipment for each, by bulk messages (on) or by batches; then
    a deletion. One row of each shipment is refused, or none: a bulk message that has such a row is refused in whole,
    and its rows go by a batch. What was gone before a deletion whose answer is lost nobody can tell from what it has
    deleted: there is none of that."""
    known, new = [f"k{n}" for n in range(_KNOWN)], [f"n{n}" for n in range(_NEW)]
    leaving = [f"l{n}" for n in range(_LEAVING)]

    def prepare(setting: Setting) -> datetime:
        tables(setting)
        ids = _made(setting, known)
        scores = [_TOO_MUCH if refused and n == 2 else n + 0.5 for n in range(_KNOWN)]
        _insert(setting, *(_person(code, score, one) for code, score, one in zip(known, scores, ids, strict=True)))
        scores = [_TOO_MUCH if refused and n == 0 else n + 0.25 for n in range(_NEW)]
        _insert(setting, *(_person(code, score, None) for code, score in zip(new, scores, strict=True)))
        away = _made(setting, leaving)
        _insert(setting, *(_person(code, 0, one, "leaving") for code, one in zip(leaving, away, strict=True)))
        return setting.sandbox.advance(timedelta(minutes=30))

    changed = [_record(code, code, None, n + 0.5) for n, code in enumerate(known)]
    made = [_record(code, None, None, n + 0.25) for n, code in enumerate(new)]
    if refused:
        changed[2] = ("Old k2", "k2", None, None, None, False)
        del made[0]
    return Path(
        name=f"chosen-keys-batches-{batches}{'' if refused else '-clean'}{'-near' * bool(near)}",
        backend=backend,
        names=DYNAMICS,
        workflow="chosen-keys",
        definition=DEFINITION.replace("BATCHES", batches),
        prepare=prepare,
        people=_PEOPLE,
        page_rows=1_000,
        holds=(*changed, *made),
        near=near,
    )


def alternate_keys(backend: Backend) -> Path:
    """Upserts by an alternate key, one of which no URL can carry: records are read before they are written."""
    codes = ["a0", "a/1", "a2", "a3"]

    def prepare(setting: Setting) -> datetime:
        tables(setting)
        _made(setting, codes[:2], keyed=True)
        _insert(setting, *(_person(code, n + 0.5 if n != 3 else _TOO_MUCH, None) for n, code in enumerate(codes)))
        return setting.sandbox.advance(timedelta(minutes=30))

    held = [_record(code, code if n < 2 else None, code, n + 0.5) for n, code in enumerate(codes[:3])]
    return Path(
        name="alternate-keys",
        backend=backend,
        names=DYNAMICS,
        workflow="by-code",
        definition=BY_CODE,
        prepare=prepare,
        people=_PEOPLE,
        page_rows=1_000,
        holds=tuple(held),
    )
