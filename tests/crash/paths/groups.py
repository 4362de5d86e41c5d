"""Exports and deletions in Oracle CRM On Demand: rows leave in groups, and a refused one takes its group along."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from tests.crash.paths.exports import REMEMBER, SET_ASIDE
from tests.crash.paths.names import ORACLE_ON_DEMAND
from tests.crash.paths.path import OURS, SEEN, Backend, Path, Setting, tables
from tests.crash.paths.path import refused as branch_of_refused

_REFUSED = "Refused by a rule"
"""A last name that a rule of the company does not allow."""

_SEND = """\
    type: crm_export
    account: oracle_on_demand
    object: Contact
    map:
      ContactFirstName: "'Ann'"
      ContactLastName: last_name
      ContactEmail: {from: email, null: clear}
      nScore: SCORE
      Department: "'Ours'"
"""
_OURS = """\
  ours:
    type: query
    from: recipient
    where: state = 'ours'
    add: [crm_id, code, last_name, email, score]
"""

DEFINITION = f"""\
workflow: groups
parallel: 1
activities:
{_OURS}  send:
{_SEND.replace("SCORE", "score")}    key: {{Id: crm_id}}
    rejects: set-aside
{REMEMBER}  leaving:
    type: query
    from: recipient
    where: state = 'leaving'
    add: [crm_id, code]
  gone: {{type: crm_delete, account: oracle_on_demand, object: Contact, ids: crm_id}}
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
{_SEND.replace("SCORE", "{from: score, on_conflict: crm}")}    key: {{ExternalSystemId: code}}
    rejects: set-aside
{REMEMBER}    next: done
{SET_ASIDE}{branch_of_refused("code", "errorCode")}  done: {{type: end}}
"""

_PEOPLE = {
    "people: recipient": "select code, crm_id, last_name, state from recipient",
    "people: ties": "select r.code, e.remote_id, e.contactlastname, e.contactemail, e.nscore, e.tombstone"
    " from {tie} e left join recipient r on cast(r.id as text) = e.local_key",
    **SEEN,
}


def _person(code: str, number: float, record_id: str | None, *, name: str = "", state: str = "ours") -> str:
    given = "null" if record_id is None else f"'{record_id}'"
    mail = "null" if code == "k1" else f"'{code}@ours.invalid'"
    return f"('{code}', {given}, '{name or f'Name {code}'}', {mail}, {number}, '{state}')"


def _people(codes: list[str], ids: Sequence[str | None]) -> list[str]:
    names = [_REFUSED if 0 < n == len(codes) - 1 else "" for n in range(len(codes))]
    rows = enumerate(zip(codes, ids, names, strict=True))
    return [_person(code, n + 0.5, one, name=name) for n, (code, one, name) in rows]


def _insert(setting: Setting, *people: str) -> None:
    if people:
        setting.sql(f"insert into recipient (code, crm_id, last_name, email, score, state) values {', '.join(people)}")


def _made(setting: Setting, codes: list[str], *, keyed: bool = False) -> list[str]:
    """Records of ours that the company has already, under a rule that it has."""
    rule = {"object": "Contact", "field": "ContactLastName", "value": _REFUSED}
    setting.sandbox.control("rules", rules=[rule])
    named = [
        {"ContactFirstName": "Ann", "ContactLastName": f"Old {one}", "JobTitle": one, "Department": OURS}
        for one in codes
    ]
    keys = [{"ExternalSystemId": one} if keyed else {} for one in codes]
    return setting.sandbox.insert("Contact", [one | key for one, key in zip(named, keys, strict=True)])


def _record(code: str, title: str | None, key: str | None, score: float) -> tuple[object, ...]:
    return (f"Name {code}", title, key, None if code == "k1" else f"{code}@ours.invalid", score, False)


def groups(backend: Backend, *, updates: int = 4, inserts: int = 3, deletions: int = 2, near: int = 0) -> Path:
    """Updates of known records and inserts of new ones, a group for each, of which the last row is refused where it is
    not the only one; then a deletion. Parts of a refused group leave in shipments of their own."""
    known, new = [f"k{n}" for n in range(updates)], [f"n{n}" for n in range(inserts)]
    leaving = [f"l{n}" for n in range(deletions)]

    def prepare(setting: Setting) -> datetime:
        tables(setting)
        ids = _made(setting, known)
        _insert(setting, *_people(known, ids))
        _insert(setting, *_people(new, [None] * len(new)))
        away = _made(setting, leaving)
        _insert(setting, *(_person(code, 0, one, state="leaving") for code, one in zip(leaving, away, strict=True)))
        return setting.sandbox.advance(timedelta(minutes=30))

    changed = [_record(code, code, None, n + 0.5) for n, code in enumerate(known)]
    if updates > 1:
        changed[-1] = (f"Old {known[-1]}", known[-1], None, None, None, False)
    made = [_record(code, None, None, n + 0.5) for n, code in enumerate(new)][: max(inserts - 1, 1)]
    return Path(
        name=f"groups{'-near' * bool(near)}",
        backend=backend,
        names=ORACLE_ON_DEMAND,
        workflow="groups",
        definition=DEFINITION,
        prepare=prepare,
        people=_PEOPLE,
        page_rows=100,
        holds=(*changed, *made),
        near=near,
    )


def user_keys(backend: Backend) -> Path:
    """Upserts by a key of ours, some of which make records: those are looked for, and read before they are written."""
    codes = ["a0", "a1", "a2", "a3"]

    def prepare(setting: Setting) -> datetime:
        tables(setting)
        _made(setting, codes[:2], keyed=True)
        _insert(setting, *_people(codes, [None] * len(codes)))
        return setting.sandbox.advance(timedelta(minutes=30))

    held = [_record(code, code if n < 2 else None, code, n + 0.5) for n, code in enumerate(codes[:3])]
    return Path(
        name="user-keys",
        backend=backend,
        names=ORACLE_ON_DEMAND,
        workflow="by-code",
        definition=BY_CODE,
        prepare=prepare,
        people=_PEOPLE,
        page_rows=100,
        holds=tuple(held),
    )
