"""What validation says of an update: every mistake, with its place and the way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from crosstie.activities.update_data import UpdateData
from crosstie.model import Column, ColumnType, Link, RemoteObject, Table
from crosstie.schema.links import TableLink
from crosstie.workflow.activity import OK, REJECTS, Shape
from crosstie.workflow.definition import Definition

TEXT, INTEGER = ColumnType.TEXT, ColumnType.INTEGER
RECIPIENT = Table(
    name="recipient",
    columns=(
        Column(name="id", type=INTEGER, nullable=False),
        Column(name="crm_id", type=TEXT, length=18),
        Column(name="email", type=TEXT),
        Column(name="score", type=INTEGER),
        Column(name="born", type=ColumnType.DATE),
    ),
    key=("id",),
)
NOTES = Table(name="notes", columns=(Column(name="Email", type=TEXT), Column(name="Score", type=TEXT)))
INBOUND = Shape(
    columns=(
        Column(name="Id", type=TEXT),
        Column(name="Email", type=TEXT),
        Column(name="Score", type=ColumnType.DECIMAL, scale=2),
        Column(name="recipient_id", type=INTEGER),
    ),
    links=(
        Link(name="recipient", table="recipient", column="recipient_id", key="id"),
        Link(name="company", table="company", column="recipient_id", key="id"),
    ),
    key=("Id",),
)


class Tables:
    """Two tables, and nothing else."""

    def table(self, name: str) -> Table | None:
        return {"recipient": RECIPIENT, "notes": NOTES}.get(name)

    def tables(self) -> tuple[str, ...]:
        return ("notes", "recipient")

    def accounts(self) -> tuple[str, ...]:
        return ()

    def account_kind(self, name: str) -> str:
        return ""

    def collected(self, account: str) -> tuple[str, ...]:
        return ()

    def remote_object(self, account: str, name: str) -> RemoteObject | None:
        return None

    def links(self, table: str) -> tuple[TableLink, ...]:
        return ()

    def workflow(self, name: str) -> Definition | None:
        return None

    def called_by(self, name: str) -> tuple[str, ...]:
        return ()

    def lists(self) -> tuple[str, ...]:
        return ()

    def list_shape(self, name: str) -> Shape | None:
        return None

    def files_folder(self) -> Path:
        return Path()


def update(**keys: Any) -> UpdateData:
    return UpdateData.model_validate(
        {"type": "update_data", "into": "recipient", "identify": "link recipient", "set": {"email": "Email"}, **keys}
    )


def mistakes(**keys: Any) -> list[tuple[tuple[str | int, ...], str]]:
    return [(one.path, one.message) for one in update(**keys).problems((INBOUND,), Tables())]


@pytest.mark.parametrize(
    ("keys", "path", "words"),
    [
        ({"into": "recipiend"}, ("into",), "Did you mean “recipient”?"),
        ({"set": {"emial": "Email"}}, ("set", "emial"), "Did you mean “email”? There is id, crm_id"),
        ({"set": {"email": "Emial"}}, ("set", "email"), "Did you mean “Email”?"),
        (
            {"set": {"score": "Score"}},
            ("set", "score"),
            "is decimal, but column score of table recipient holds integer",
        ),
        ({"set": {"score": "Score"}}, ("set", "score"), "cast(Score as integer)"),
        ({"set": {"email": {"from": "Email", "when": "Email"}}}, ("set", "email", "when"), "is not a condition"),
        ({"set": {"email": ["Email", {"from": "Nothing"}]}}, ("set", "email", 1, "from"), "no column Nothing"),
        ({"identify": None}, (), "“identify” is missing"),
        ({"identify": "link recipients"}, ("identify",), "Did you mean “recipient”?"),
        ({"identify": "link company"}, ("identify",), "leads to table company, not to recipient"),
        ({"identify": "key"}, ("identify",), "write “link NAME”"),
        ({"identify": "dimension"}, ("identify",), "identifies no table's rows"),
        ({"identify": {}}, ("identify",), "at least one pair"),
        ({"identify": {"Id": "id"}}, ("identify", "Id"), "never equal"),
        ({"identify": {"Id": "crmid"}}, ("identify", "Id"), "table recipient has no column crmid"),
        ({"into": "notes", "identify": {"Email": "Email"}, "set": "same names"}, ("into",), "no primary key"),
        (
            {"into": "notes", "identify": None, "operation": "insert", "set": "same names"},
            ("set",),
            "Score is decimal inbound and text in table notes",
        ),
        ({"order": {"highest": "Score"}}, ("order",), "only used with “ignore_same_target: true”"),
        ({"order": {"highest": "Scor"}, "ignore_same_target": True}, ("order", 0, "highest"), "Did you mean “Score”?"),
    ],
)
def test_a_mistake_is_told_with_its_place(keys: dict[str, Any], path: tuple[str | int, ...], words: str) -> None:
    found = mistakes(**keys)
    assert path in [place for place, _ in found]
    assert words in " ".join(message for place, message in found if place == path)


def test_all_mistakes_are_told_at_once() -> None:
    found = mistakes(set={"emial": "Email", "email": "Emial", "score": "Score"}, identify="link nobody")
    assert len(found) == 4


def test_widening_and_same_names_without_regard_to_case_are_right() -> None:
    assert mistakes(set={"score": "1", "email": "Email", "born": "'2000-01-31'"}) == []
    assert mistakes(set="same names") == []


@pytest.mark.parametrize(
    "keys",
    [
        {"operation": "delete"},
        {"set": {"email": {"form": "Email"}}},
        {"set": {"email": {"from": "Email", "on": "always"}}},
        {"set": "some names"},
        {"order": {"highest": "Id", "lowest": "Id"}, "ignore_same_target": True},
        {"empty": "maybe"},
    ],
)
def test_what_is_no_definition_is_refused(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        update(**keys)


def test_the_outputs_are_known_without_running() -> None:
    outputs = update().outputs((INBOUND,), Tables())
    assert outputs[OK] is None
    rejects = outputs[REJECTS]
    assert rejects is not None
    names = [column.name for column in rejects.columns]
    assert names == ["Id", "Email", "Score", "recipient_id", "errorCode", "errorMessage", "errorColumn"]
    assert rejects.key == ("Id",)
    written = update(outcome=True).outputs((rejects,), Tables())
    told = written[OK]
    assert told is not None and [column.name for column in told.columns] == [*names, "outcome"]
    again = written[REJECTS]
    assert again is not None and [column.name for column in again.columns] == names
