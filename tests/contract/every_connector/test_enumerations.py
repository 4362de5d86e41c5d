"""Enumerations that follow picklists of every kind of CRM: with Replace, without, in imports and in exports."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from crosstie import App
from crosstie.activities.crm_export.listed import NOT_LISTED
from crosstie.app import init_project
from crosstie.app.enumerations import Edit, Synced, Unknown
from crosstie.errors import ConfigError
from crosstie.model import EnumerationValue
from crosstie.workflow.runner import RunReport
from tests.contract.every_connector.worlds import BELIEVED, World

pytestmark = BELIEVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Lists:
    """A project whose account leads to a sandbox; the administrator of its CRM changes the list of interests."""

    app: App
    folder: Path
    world: World
    values: Sequence[EnumerationValue]
    imported: list[str] = field(default_factory=list)

    @property
    def path(self) -> str:
        return f"{self.world.roles.contact}.{self.world.roles.interests}"

    @property
    def new(self) -> str:
        """A value that the list does not have, in the form of its others."""
        numbers = [int(one.name) for one in self.values if one.name.isdecimal()]
        return str(max(numbers) + 7) if numbers else "Brand new"

    def change(self, *values: tuple[str, str]) -> None:
        """The values on the CRM, with their labels, from now on. A description has whole seconds."""
        self.world.sandbox.advance(timedelta(seconds=2))
        self.world.sandbox.control(
            "set_values",
            object=self.world.roles.contact,
            field=self.world.roles.interests,
            values=[{"value": name, "label": label} for name, label in values],
        )

    def follow(self, **given: Any) -> Synced:
        """The enumeration follows the interests."""
        (found,) = self.app.enumerations.follow("crm", [self.path], **given)
        assert not found.problem
        return found

    def sync(self, **given: Any) -> Synced:
        (found,) = self.app.enumerations.sync(**given)
        return found

    def shown(self) -> list[tuple[str, str]]:
        """The active values with their labels, as they are kept."""
        (kept,) = self.app.enumerations.list()
        return [(one.name, one.label) for one in kept.values if one.active]

    def import_(self, ids: Sequence[str], **of_field: Any) -> RunReport:
        """Imports the interests of these contacts."""
        roles = self.world.roles
        self.imported.extend(ids)
        self.sql("delete from wanted", *(f"insert into wanted values ('{one}')" for one in ids))
        field = {"field": roles.interests, "as": "interests", **of_field}
        read = {"type": "crm_import", "account": "crm", "object": roles.contact, "fields": [field]}
        write = {"type": "update_data", "into": "person", "identify": {roles.key: "id"}}
        return self.play(
            "in",
            {
                "all": {"type": "query", "from": "wanted", "add": ["id"]},
                "read": {**read, "population": {"ids": "id"}},
                "write": {**write, "set": {"id": roles.key, "interests": "interests"}},
            },
        )

    def export(self) -> RunReport:
        """Makes contacts of all people."""
        roles = self.world.roles
        query = {"type": "query", "from": "person", "add": ["id", "interests"]}
        required = {name: f"'{value}'" for name, value in roles.required.items()}
        fields = {roles.last_name: "id", roles.interests: "interests", **required}
        send = {"type": "crm_export", "account": "crm", "object": roles.contact, "insert": "always", "map": fields}
        return self.play("out", {"all": query, "send": send})

    def exported(self) -> dict[str, str]:
        """The contacts that exports have made, by the ids of their people."""
        found: dict[str, str] = {}
        with self.app.db.reading() as transaction:
            for (table,) in transaction.rows("select table_name from crosstie.tie"):
                for remote_id, key in transaction.rows(f"select remote_id, local_key from crosstie.{table}"):
                    found[str(key)] = str(remote_id)
        return found

    def play(self, name: str, activities: Mapping[str, Any]) -> RunReport:
        file = self.folder / f"{name}.yaml"
        file.write_text(json.dumps({"workflow": name, "activities": activities}), encoding="utf-8")
        return self.app.workflows.run(file)

    def sql(self, *statements: str) -> None:
        with self.app.db.transaction("people") as transaction:
            for statement in statements:
                transaction.execute(statement)

    def warnings(self, run: RunReport) -> list[str]:
        return [one.text for one in self.app.runs.messages(run.run) if one.level == "warning"]


@pytest.fixture
def lists(world: World, tmp_path: Path) -> Iterator[Lists]:
    init_project(tmp_path)
    with App.open(tmp_path) as app:
        app.accounts.add("crm", world.kind, world.given())
        ((collected),) = app.schemas.collect("crm", [world.roles.contact])
        described = collected.schema.object.field(world.roles.interests)
        assert described is not None
        made = Lists(app=app, folder=tmp_path, world=world, values=described.values)
        made.sql(
            "create table person (id varchar(40) primary key, interests varchar(400))",
            "create table wanted (id varchar(40) primary key)",
        )
        yield made
        made.change(*((one.name, one.label) for one in described.values))
        world.delete(sorted({*made.imported, *made.exported().values()}))


def test_with_replace_the_values_are_those_of_the_crm_and_what_rows_hold_stays_inactive(lists: Lists) -> None:
    first, second, third, *rest = [(one.name, one.label) for one in lists.values]
    made = lists.follow(replaces=True)
    assert (made.made, len(made.changes.added)) == (True, len(lists.values))
    lists.sql(f"insert into person values ('1', '{first[0]};{third[0]}'), ('2', '{first[0]}')")
    lists.app.enumerations.edit(made.enumeration.name, Edit(columns=[("person", "interests")]))
    lists.change((lists.new, "New"), (third[0], "Other"), *rest)

    shown = lists.sync(dry_run=True)
    assert lists.shown() == [first, second, third, *rest]
    done = lists.sync()
    assert done.changes == shown.changes
    assert (done.changes.added, done.changes.removed) == ((lists.new,), (second[0],))
    assert (done.changes.changed, done.changes.kept) == ((third[0],), ((first[0], 2),))
    assert lists.shown() == [(lists.new, "New"), (third[0], "Other"), *rest]
    assert lists.sync().changes.empty
    lists.sql("delete from person")
    assert lists.sync().changes.removed == (first[0],)


def test_without_replace_new_values_are_added_and_what_people_changed_stays(lists: Lists) -> None:
    first, *rest = [(one.name, one.label) for one in lists.values]
    name = lists.follow().enumeration.name
    lists.app.enumerations.edit(name, Edit(labels={rest[0][0]: "Ours"}, default=rest[0][0], order=[rest[1][0]]))
    lists.change(*rest, (lists.new, "New"))
    done = lists.sync()
    assert (done.changes.added, done.changes.removed, done.changes.changed) == ((lists.new,), (), ())
    expected = [rest[1], first, (rest[0][0], "Ours"), *rest[2:], (lists.new, "New")]
    assert lists.shown() == expected
    assert lists.sync().changes.empty
    kept = lists.app.enumerations.get(name).value(rest[0][0])
    assert kept is not None
    assert kept.default


def test_a_list_that_is_empty_or_cannot_be_asked_changes_nothing_and_says_so(lists: Lists) -> None:
    before = lists.follow(replaces=True).enumeration
    lists.change()
    assert "no values" in lists.sync().problem
    lists.app.accounts.remove("crm")
    assert "no external account “crm”" in lists.sync().problem
    assert lists.app.enumerations.get(before.name).values == before.values


def test_what_an_import_meets_beside_the_list_is_told_or_added(lists: Lists) -> None:
    roles = lists.world.roles
    name = lists.follow().enumeration.name
    known = [(one.name, one.label) for one in lists.values]
    lists.change(*known, (lists.new, "New"))
    several = f"{known[0][0]};{lists.new}"
    wire = several.replace(";", ",") if known[0][0].isdecimal() else several
    listed = {roles.last_name: "Listed", roles.interests: wire, **roles.required}
    ids = lists.world.sandbox.insert(roles.contact, [listed])

    assert lists.import_(ids, unknown="ignore").status == "done"
    (told,) = lists.warnings(lists.import_(ids))
    assert f"{roles.interests} came with values that enumeration {name} does not have: “{lists.new}”." in told
    assert lists.shown() == known
    lists.app.enumerations.edit(name, Edit(on_unknown=Unknown.ADD))
    assert lists.warnings(lists.import_(ids)) == []
    assert lists.shown() == [*known, (lists.new, lists.new)]
    assert lists.warnings(lists.import_(ids, unknown="report")) == []


def test_a_set_makes_the_round_trip_and_what_its_list_does_not_have_is_not_sent(lists: Lists) -> None:
    roles, restricted = lists.world.roles, _restricted(lists)
    one, other = roles.choices
    lists.sql(f"insert into person values ('there', '{other};{one}'), ('strange', '{one};{lists.new}')")
    done = lists.export()
    assert done.counts["send"]["created"] == (1 if restricted else 2)
    refused = [(one.symbol, one.field) for one in lists.app.rejects.list(run=done.run)]
    assert refused == ([(NOT_LISTED, roles.interests)] if restricted else [])

    lists.change(*((value.name, value.label) for value in lists.values), (lists.new, "New"))
    lists.sql("update person set id = 'known' where id = 'strange'", "delete from person where id = 'there'")
    assert lists.export().counts["send"]["created"] == 1
    ids = lists.exported()
    lists.sql("delete from person")
    lists.import_([ids["there"], ids["known"]])
    with lists.app.db.reading() as transaction:
        found = {str(row[0]): set(str(row[1]).split(";")) for row in transaction.rows("select * from person")}
    assert found == {ids["there"]: {one, other}, ids["known"]: {one, lists.new}}


def _restricted(lists: Lists) -> bool:
    found = lists.app.schemas.get("crm", lists.world.roles.contact).object.field(lists.world.roles.interests)
    assert found is not None
    return found.restricted


def test_an_enumeration_of_ones_own_is_matched_by_its_label_and_keeps_what_rows_hold(lists: Lists) -> None:
    described = lists.app.schemas.get("crm", lists.world.roles.contact).object.field(lists.world.roles.interests)
    assert described is not None
    own = Edit(label=described.label, add={"own": "Our own"}, columns=[("person", "interests")])
    lists.app.enumerations.edit("hobbies", own, create=True)
    assert lists.follow().enumeration.name == "hobbies"
    assert lists.shown()[0] == ("own", "Our own")
    assert [one.followed_by for one in lists.app.enumerations.candidates("crm") if one.followed_by] == ["hobbies"]
    lists.sql("insert into person values ('1', 'x;own')")
    with pytest.raises(ConfigError, match=r"own \(1 rows\)"):
        lists.app.enumerations.edit("hobbies", Edit(remove=["own"]))
    with pytest.raises(ConfigError, match="Did you mean own"):
        lists.app.enumerations.edit("hobbies", Edit(deactivate=["our own"]))
