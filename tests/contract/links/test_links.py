"""Links from foreign keys, remote references and declarations, on both databases."""

from __future__ import annotations

import pytest

from crosstie.app.schemas import declared_relations
from crosstie.config import LinkKeys
from crosstie.db.database import Database
from crosstie.db.foreign_keys import foreign_keys
from crosstie.model import FieldType, RemoteField, RemoteObject
from crosstie.schema.links import Relation, TableLink, links_of, of_foreign_keys, of_references
from crosstie.schema.store import Schema
from tests.contract.activities.world import NOW

TABLES = (
    "create table country (code varchar(2) primary key, name text)",
    "create table company (id bigint primary key, name text, country varchar(2) references country)",
    "create table person (id bigint primary key, company_id bigint references company (id),"
    " manager_id bigint references person (id), email text)",
    "create table card (person_id bigint primary key references person (id), number text)",
    "create table stay (hotel bigint, room bigint, primary key (hotel, room))",
    "create table key_given (id bigint primary key, hotel bigint, room bigint,"
    " foreign key (hotel, room) references stay (hotel, room))",
    "create table loose (id bigint primary key, person bigint)",
)


@pytest.fixture
def tables(database: Database) -> Database:
    with database.transaction("test") as transaction:
        for statement in TABLES:
            transaction.execute(statement)
    return database


def links(db: Database, table: str, *relations: Relation) -> dict[str, TableLink]:
    with db.reading() as transaction:
        keys = foreign_keys(transaction)
    return {one.name: one for one in links_of(table, (*relations, *of_foreign_keys(keys)), db.reflect)}


def shown(link: TableLink) -> str:
    return f"{link.to}{link.to_columns} {'one' if link.to_one else 'several'}"


def test_a_foreign_key_is_a_link_in_both_directions(tables: Database) -> None:
    company = links(tables, "company")
    assert {name: shown(one) for name, one in company.items()} == {
        "country": "country('code',) one",
        "person": "person('company_id',) several",
    }
    assert company["country"].columns == ("country",)


def test_links_of_one_table_have_names_of_their_own(tables: Database) -> None:
    person = links(tables, "person")
    assert {name: shown(one) for name, one in person.items()} == {
        "company": "company('id',) one",
        "manager": "person('id',) one",
        "person": "person('manager_id',) several",
        "card": "card('person_id',) one",
    }


def test_a_key_of_several_columns_is_one_link(tables: Database) -> None:
    (link,) = links(tables, "key_given").values()
    assert (link.columns, link.to, link.to_columns, link.to_one) == (("hotel", "room"), "stay", ("hotel", "room"), True)
    (back,) = links(tables, "stay").values()
    assert (back.to, back.to_one) == ("key_given", False)


def test_a_declared_link_names_what_the_database_does_not_say(tables: Database) -> None:
    relations = declared_relations(
        [
            LinkKeys.model_validate({"from": "loose.person", "to": "person.id", "back": "leaflets"}),
            LinkKeys.model_validate({"from": "person.company_id", "to": "company.id", "name": "employer"}),
            LinkKeys.model_validate({"from": "person.email", "to": "nowhere.email"}),
        ]
    )
    assert shown(links(tables, "loose", *relations)["person"]) == "person('id',) one"
    person = links(tables, "person", *relations)
    assert set(person) == {"employer", "manager", "leaflets", "person", "card"}
    assert person["employer"].origin == "declared"
    assert person["leaflets"].to_one is False


def test_a_remote_reference_links_the_local_tables_of_collected_objects(database: Database) -> None:
    with database.transaction("test") as transaction:
        transaction.execute("create table crm_contact (id varchar(18) primary key, accountid text, whoid text)")
        transaction.execute("create table crm_account (id varchar(18) primary key, ownerid text)")

    def schema(name: str, *references: tuple[str, str, tuple[str, ...]]) -> Schema:
        fields = tuple(
            RemoteField(
                name=field,
                label=field,
                type=FieldType.REFERENCE,
                wire_type="reference",
                relationship=relationship,
                reference_to=to,
            )
            for field, relationship, to in references
        )
        described = RemoteObject(name=name, label=name, label_plural=name, key="Id", fields=fields)
        return Schema(account="crm", object=described, table=f"crm_{name.lower()}", collected_at=NOW)

    contact = schema("Contact", ("AccountId", "Account", ("Account",)), ("WhoId", "Who", ("Account", "Lead")))
    relations = of_references([contact, schema("Account", ("OwnerId", "Owner", ("User",)))])
    found = {one.name: one for one in links_of("crm_contact", relations, database.reflect)}
    assert {name: shown(one) for name, one in found.items()} == {
        "account": "crm_account('id',) one",
        "who_account": "crm_account('id',) one",
    }
    assert found["account"].columns == ("accountid",)


def test_what_is_not_a_column_of_one_table_cannot_be_declared() -> None:
    for wrong in (
        {"from": "company_id", "to": "company.id"},
        {"from": ["a.x", "b.y"], "to": ["c.x", "c.y"]},
        {"from": ["a.x", "a.y"], "to": "c.x"},
    ):
        with pytest.raises(ValueError, match="from and to"):
            LinkKeys.model_validate(wrong)
