"""Mistakes in a whole workflow of the real activities: all told at once, each once, in words for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstie.activities import ACTIVITIES
from crosstie.errors import DefinitionError
from crosstie.model import Column, ColumnType, FieldType, RemoteField, RemoteObject, Table
from crosstie.schema.links import TableLink
from crosstie.workflow.activity import Shape
from crosstie.workflow.definition import Definition, read_definition

TEXT = ColumnType.TEXT
RECIPIENT = Table(
    name="recipient",
    columns=(
        Column(name="id", type=ColumnType.INTEGER, nullable=False),
        Column(name="crm_id", type=TEXT),
        Column(name="email", type=TEXT),
        Column(name="first_name", type=TEXT),
        Column(name="score", type=ColumnType.INTEGER),
    ),
    key=("id",),
)


def field(name: str, type: FieldType) -> RemoteField:
    return RemoteField(name=name, label=name, type=type, wire_type=type.value)


CONTACT = RemoteObject(
    name="Contact",
    label="Contact",
    label_plural="Contacts",
    key="Id",
    fields=(
        field("Id", FieldType.ID),
        field("FirstName", FieldType.TEXT),
        field("Email", FieldType.TEXT),
        field("Score", FieldType.INTEGER),
        field("SystemModstamp", FieldType.DATETIME),
    ),
    index_fields=("SystemModstamp",),
)


class OneTable:
    """A site with one table, one account and one collected object."""

    def table(self, name: str) -> Table | None:
        return RECIPIENT if name == "recipient" else None

    def tables(self) -> tuple[str, ...]:
        return ("recipient",)

    def accounts(self) -> tuple[str, ...]:
        return ("salesforce",)

    def account_kind(self, name: str) -> str:
        return "salesforce"

    def collected(self, account: str) -> tuple[str, ...]:
        return ("Contact",)

    def remote_object(self, account: str, name: str) -> RemoteObject | None:
        return CONTACT if name == "Contact" else None

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


REFERENCE = """workflow: flow
activities:
  contacts:
    type: crm_import
    account: salesforce
    object: Contact
    index: {field: SystemModstamp}
    fields: [FirstName, Email, Score]
    filter: {field: Email, is: not empty}
  tell:
    type: javascript
    code: logInfo("Hello");
  reconcile:
    type: enrichment
    links: {recipient: {to: recipient, first_of: {Id: crm_id}}}
    add: {Twice: Score + Score}
  one-each:
    type: deduplication
    by: [Id]
    keep: {highest: SystemModstamp}
  write:
    type: update_data
    into: recipient
    identify: link recipient
    set:
      crm_id: Id
      email: lower(Email)
      score: Twice
"""


def mistakes(*changes: tuple[str, str]) -> list[str]:
    text = REFERENCE
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    try:
        read_definition("flow.yaml", text, ACTIVITIES, OneTable())
    except DefinitionError as error:
        return [f"{one.path}: {one.message}" for one in error.mistakes]
    return []


def test_the_reference_has_none() -> None:
    assert mistakes() == []


def test_mistakes_downstream_of_another_one_are_told_too() -> None:
    found = mistakes(
        ("[FirstName", "[FristName"),
        ('logInfo("Hello");', "logInfo("),
        ("to: recipient,", "to: recipeint,"),
        ("by: [Id]", "by: [trimm(Id)]"),
        ("into: recipient", "into: recipient\n    order: {highest: Score}"),
        ("crm_id: Id", "crmid: Id"),
        ("lower(Email)", "lowwer(Email)"),
    )
    beginnings = [
        "contacts.fields[0]: Contact has no field “FristName”. Did you mean “FirstName”?",
        "tell.code: this is not JavaScript: SyntaxError",
        "reconcile.links.recipient.to: there is no table “recipeint”. Did you mean “recipient”?",
        "one-each.by[0]: “trimm” is not a function of expressions. Did you mean “trim”?",
        "write.order: an order is only used with",
        "write.set.crmid: table recipient: there is no column “crmid”. Did you mean “crm_id”?",
        "write.set.email: “lowwer” is not a function of expressions. Did you mean “lower”?",
    ]
    assert [any(one.lower().startswith(start.lower()) for one in found) for start in beginnings] == [True] * 7, found
    assert len(found) == 7, found


@pytest.mark.parametrize(
    "change",
    [
        ("[FirstName", "[FristName"),
        ("object: Contact", "object: Kontact"),
        ("account: salesforce", "account: salesfarce"),
        ("to: recipient,", "to: recipeint,"),
        ("Score + Score", "Scoer + Score"),
        ("by: [Id]", "by: [Ident]"),
        ("field: SystemModstamp", "feild: SystemModstamp"),
        ("type: enrichment", "type: enrichmend"),
        ("type: crm_import", "tpye: crm_import"),
        ("to: recipient,", "too: recipient, to: recipient,"),
        ("code: logInfo", "cod: logInfo"),
        ("highest: SystemModstamp", "highst: SystemModstamp"),
        ("into: recipient", "into: recipient\n    next: write"),
        ("keep: {highest", "complement: write\n    keep: {highest"),
    ],
)
def test_no_mistake_follows_from_another_one(change: tuple[str, str]) -> None:
    told_twice_by_pydantic = 2 if change[1].startswith("cod:") else 1
    assert len(found := mistakes(change)) <= told_twice_by_pydantic, found


def test_what_an_activity_with_mistakes_puts_out_is_used_where_it_is_known() -> None:
    found = mistakes(("by: [Id]", "by: [Ident]"), ("lower(Email)", "lower(Emial)"))
    assert [one.split(":")[0] for one in found] == ["one-each.by[0]", "write.set.email"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("fields: [FirstName, Email, Score]", "fields: LastName"),
            "contacts.fields: “LastName” can't stand here. It takes a list, in [brackets] or with a dash before each",
        ),
        (
            ("[FirstName, Email", "[3, Email"),
            "contacts.fields[0]: “3” can't stand here. It takes the keys field, conversion, as, unknown",
        ),
        (
            ("{field: SystemModstamp}", "yes"),
            "contacts.index: “yes” can't stand here. It takes the keys by, field, option, overlap, guard",
        ),
        (
            ("lower(Email)", "3"),
            "write.set.email: “3” can't stand here. It takes text. Text that looks like something else stands in"
            ' quotes: "3"',
        ),
        (
            ("      crm_id: Id\n      email: lower(Email)\n      score: Twice\n", ""),
            "write.set: this key is empty. It takes keys with values or 'same names'",
        ),
        (
            ("into: recipient", "into: recipient\n    operation: updat"),
            "write.operation: “updat” is not known here. Did you mean “update”? It can be 'insert or update',"
            " 'insert', 'update' or 'delete'",
        ),
        (
            ("{field: SystemModstamp}", "{feild: SystemModstamp}"),
            "contacts.index.feild: “feild” is not a key here. Did you mean “field”? Known: by, field, option,"
            " overlap, guard",
        ),
        (
            ("type: update_data", "tpye: update_data"),
            "write.tpye: “tpye” is not a key here. Did you mean “type”?",
        ),
        (("into: recipient", "into: recipient\n    next: write"), "write.next: it leads to itself"),
        (
            ("{field: SystemModstamp}", "{overlap: 15}"),
            "contacts.index.overlap: “15” is not a duration: it has no unit; write 15m or 15s",
        ),
        (
            ("[FirstName", "[{field: FirstName, as: " + "é" * 32 + "}"),
            f"contacts.fields[0].as: column {'é' * 32} has a name of more than 63 bytes; give it a shorter one",
        ),
        (
            ("Twice: Score + Score", "twice: Score + Score\n      Twice: Score"),
            "reconcile.add.Twice: column Twice would stand twice: another new column has that name already",
        ),
    ],
)
def test_a_mistake_is_told_once_in_plain_words(change: tuple[str, str], expected: str) -> None:
    if "\n      Twice" in change[1]:
        change = ("{Twice: Score + Score}", "\n      twice: Score + Score\n      Twice: Score")
    assert mistakes(change) == [expected]
