"""Update data: what is written, what is refused, what is left alone; the same on both databases."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from crosstie.activities.enrichment import Enrichment
from crosstie.activities.update_data import UpdateData
from crosstie.model import Column, ColumnType
from tests.contract.activities.world import INTEGER, TEXT, Ended, World, columns

SET = {"crm_id": "Id", "email": "lower(Email)", "last_name": "LastName"}


def update(**keys: Any) -> UpdateData:
    return UpdateData.model_validate(
        {"type": "update_data", "into": "recipient", "identify": {"Id": "crm_id"}, "set": SET, **keys}
    )


def recipients(world: World) -> None:
    world.sql(
        f"create table recipient (id {world.serial()}, crm_id varchar(18) unique, email varchar(20),"
        " last_name text not null default 'Unknown', score integer)"
    )


def written(world: World) -> list[tuple[Any, ...]]:
    return world.rows("select crm_id, email, last_name from recipient order by crm_id")


def codes(ended: Ended) -> list[tuple[str, str, str]]:
    return sorted((one.remote_id, one.symbol, one.field) for one in ended.rejects)


def test_new_rows_are_inserted_and_changed_ones_updated(world: World) -> None:
    recipients(world)
    world.sql("insert into recipient (crm_id, email, last_name) values ('1', 'old@x', 'Ono')")
    ended = world.run(update(), world.contacts(("1", "NEW@x", "Ono"), ("2", "b@x", "Müller")))
    assert written(world) == [("1", "new@x", "Ono"), ("2", "b@x", "Müller")]
    assert ended.counts == {"inserted": 1, "updated": 1, "unchanged": 0, "rejected": 0}


def test_a_second_run_writes_nothing_and_k_changes_write_k_rows(world: World) -> None:
    recipients(world)
    rows = [(str(n), f"{n}@x", "Ono") for n in range(50)]
    world.run(update(), world.contacts(*rows))
    world.count_writes("recipient")
    assert world.run(update(), world.contacts(*rows)).counts["unchanged"] == 50
    assert world.writes() == {}
    changed = [(one, email, "Changed" if int(one) < 7 else name) for one, email, name in rows]
    assert world.run(update(), world.contacts(*changed)).counts["updated"] == 7
    assert world.writes() == {"update": 7}


def test_an_empty_population_writes_nothing(world: World) -> None:
    recipients(world)
    ended = world.run(update(), world.contacts())
    assert ended.counts == {"inserted": 0, "updated": 0, "unchanged": 0, "rejected": 0}


def test_links_made_upstream_identify(world: World) -> None:
    recipients(world)
    world.sql("insert into recipient (crm_id, email) values (null, 'a@x')")
    links = Enrichment.model_validate(
        {
            "type": "enrichment",
            "links": {"recipient": {"to": "recipient", "first_of": [{"Id": "crm_id"}, {"Email": "email"}]}},
        }
    )
    inbound = world.run(links, world.contacts(("1", "a@x", "Ono"), ("2", "b@x", "Abe"))).tables["ok"]
    assert inbound is not None
    ended = world.run(update(identify="link recipient"), inbound)
    assert ended.counts == {"inserted": 1, "updated": 1, "unchanged": 0, "rejected": 0}
    assert written(world) == [("1", "a@x", "Ono"), ("2", "b@x", "Abe")]


def test_a_row_that_stands_for_several_is_refused(world: World) -> None:
    recipients(world)
    world.sql("insert into recipient (email) values ('a@x')", "insert into recipient (email) values ('a@x')")
    links = Enrichment.model_validate(
        {"type": "enrichment", "links": {"recipient": {"to": "recipient", "first_of": {"Email": "email"}}}}
    )
    inbound = world.run(links, world.contacts(("1", "a@x", "Ono"))).tables["ok"]
    assert inbound is not None
    assert codes(world.run(update(identify="link recipient"), inbound)) == [("1", "AMBIGUOUS_TARGET", "")]
    ended = world.run(update(identify={"Email": "email"}), world.contacts(("1", "a@x", "Ono")))
    assert codes(ended) == [("1", "AMBIGUOUS_TARGET", "")]
    assert world.rows("select count(*) from recipient where crm_id is not null") == [(0,)]


def test_insert_refuses_known_rows_and_update_unknown_ones(world: World) -> None:
    recipients(world)
    world.sql("insert into recipient (crm_id) values ('1')")
    both = (("1", "a@x", "Ono"), ("2", "b@x", "Abe"))
    assert codes(world.run(update(operation="update"), world.contacts(*both))) == [("2", "KEY_MISSING", "")]
    assert codes(world.run(update(operation="insert"), world.contacts(*both))) == [("1", "KEY_EXISTS", "")]
    assert written(world) == [("1", "a@x", "Ono"), ("2", "b@x", "Abe")]


def test_values_that_do_not_fit_are_refused_alone_and_named(world: World) -> None:
    recipients(world)
    ended = world.run(
        update(),
        world.contacts(("1", "a-very-long-address@example.org", "Ono"), ("2", "b@x", None), ("3", "c@x", "Abe")),
    )
    assert codes(ended) == [("1", "TOO_LONG", "email"), ("2", "NOT_NULL", "last_name")]
    assert written(world) == [("3", "c@x", "Abe")]
    assert world.read(ended.tables["rejects"], "Id", "errorCode", "errorMessage", "errorColumn") == [
        ("1", "TOO_LONG", "email holds at most 20 characters", "email"),
        ("2", "NOT_NULL", "last_name must not be empty", "last_name"),
    ]
    assert ended.rejects[0].value == "a-very-long-address@example.org"
    assert ended.rejects[0].record["LastName"] == "Ono"
    assert ended.rejects[0].account == "salesforce"


def test_numbers_that_would_be_rounded_or_overflow_are_refused(world: World) -> None:
    world.sql("create table prices (code varchar(9) primary key, price decimal(5, 2))")
    made_of = (Column(name="code", type=TEXT), Column(name="price", type=ColumnType.DECIMAL, scale=3))
    inbound = world.population(
        made_of,
        [("a", Decimal("1.234")), ("b", Decimal("1000")), ("c", Decimal("999.99")), ("d", Decimal("-0.5"))],
        key=("code",),
    )
    activity = UpdateData.model_validate({"type": "update_data", "into": "prices", "identify": {"code": "code"}})
    ended = world.run(activity, inbound)
    found = world.read(ended.tables["rejects"], "code", "errorCode", "errorColumn")
    assert found == [("a", "ROUNDED", "price"), ("b", "OUT_OF_RANGE", "price")]
    assert [row[0] for row in world.rows("select code from prices order by code")] == ["c", "d"]


def test_what_only_the_database_knows_is_found_row_by_row(world: World) -> None:
    world.sql(
        f"create table recipient (id {world.serial()}, crm_id text unique, email text, last_name text,"
        " check (last_name <> 'Bad'))"
    )
    rows = [(str(n), f"{n}@x", "Bad" if n in (3, 17) else "Good") for n in range(40)]
    ended = world.run(update(), world.contacts(*rows))
    assert [(one, code) for one, code, _ in codes(ended)] == [("17", "CONSTRAINT"), ("3", "CONSTRAINT")]
    assert ended.counts == {"inserted": 38, "updated": 0, "unchanged": 0, "rejected": 2}
    again = world.run(update(), world.contacts(*[(one, email, "Bad") for one, email, _ in rows[:3]]))
    assert again.counts == {"inserted": 0, "updated": 0, "unchanged": 0, "rejected": 3}
    assert world.rows("select count(*) from recipient where last_name = 'Good'") == [(38,)]


def test_a_value_held_by_another_row_is_refused_and_the_first_of_several_new_ones_taken(world: World) -> None:
    world.sql(f"create table recipient (id {world.serial()}, crm_id text, email text unique, last_name text)")
    world.sql("insert into recipient (crm_id, email) values ('9', 'held@x')")
    ended = world.run(
        update(), world.contacts(("1", "held@x", "Ono"), ("2", "b@x", "Abe"), ("3", "b@x", "Cho"), ("4", None, "Ito"))
    )
    assert codes(ended) == [("1", "NOT_UNIQUE", "email"), ("3", "NOT_UNIQUE", "email")]
    assert [row[0] for row in written(world)] == ["2", "4", "9"]


def test_a_value_that_is_given_up_in_the_same_update_can_be_taken(world: World) -> None:
    world.sql(f"create table recipient (id {world.serial()}, crm_id text, email text unique, last_name text)")
    world.sql(
        "insert into recipient (crm_id, email) values ('1', 'x@x')",
        "insert into recipient (crm_id, email) values ('2', 'y@x')",
    )
    ended = world.run(update(), world.contacts(("1", "z@x", None), ("2", "x@x", None), ("3", "y@x", None)))
    assert ended.rejects == []
    assert [(row[0], row[1]) for row in written(world)] == [("1", "z@x"), ("2", "x@x"), ("3", "y@x")]


def test_unique_values_can_be_exchanged(world: World) -> None:
    world.sql(
        f"create table recipient (id {world.serial()}, crm_id text, email text unique, last_name text,"
        " check (last_name <> 'Bad'))",
        *(f"insert into recipient (crm_id, email) values ('{n}', '{n}@x')" for n in range(10)),
    )
    ended = world.run(
        update(),
        world.contacts(
            ("0", "1@x", None),
            ("1", "0@x", None),
            ("2", "3@x", None),
            ("3", "4@x", None),
            ("4", "2@x", None),
            ("5", "9@x", None),  # held by one that is not inbound
            ("6", "1@x", None),  # what a ring gives up, one of the ring takes
            ("7", "8@x", None),
            ("8", "7@x", "Bad"),
        ),
    )
    assert codes(ended) == [(one, "NOT_UNIQUE", "email") for one in ("5", "6", "7", "8")]
    assert ended.counts == {"inserted": 0, "updated": 5, "unchanged": 0, "rejected": 4}
    assert [(row[0], row[1]) for row in written(world)] == [
        *(("0", "1@x"), ("1", "0@x"), ("2", "3@x"), ("3", "4@x"), ("4", "2@x")),
        *((str(n), f"{n}@x") for n in range(5, 10)),
    ]


def test_unique_values_that_must_not_be_empty_are_not_exchanged(world: World) -> None:
    world.sql(
        f"create table recipient (id {world.serial()}, crm_id text, email text not null unique, last_name text)",
        *(f"insert into recipient (crm_id, email) values ('{n}', '{n}@x')" for n in range(3)),
    )
    ended = world.run(update(), world.contacts(("0", "1@x", None), ("1", "0@x", None), ("2", "z@x", None)))
    assert codes(ended) == [(one, "NOT_UNIQUE", "email") for one in ("0", "1")]
    assert [(row[0], row[1]) for row in written(world)] == [("0", "0@x"), ("1", "1@x"), ("2", "z@x")]


def test_a_refused_row_that_comes_from_no_crm_is_named_by_its_key_unless_that_is_a_text(world: World) -> None:
    recipients(world)
    unique = "0f8fad5b-d9cb-469f-a165-70867728950e"
    made_of = columns(id=INTEGER, mark=TEXT, email=TEXT)
    for key, named in ((("id",), "id 7"), (("id", "mark"), f"id 7, mark {unique}"), (("email",), ""), ((), "")):
        inbound = world.population(made_of, [(7, unique, "x" * 30)], key=key)
        ended = world.run(update(identify={"email": "email"}, set={"email": "email"}), inbound)
        assert [(one.symbol, one.row) for one in ended.rejects] == [("TOO_LONG", named)]


def test_several_rows_for_one_target_are_refused_or_the_first_is_used(world: World) -> None:
    recipients(world)
    world.sql("insert into recipient (email) values ('a@x')")
    rows = (
        ("1", "a@x", "Old", 1),
        ("2", "a@x", "New", 2),
        ("3", "n@x", "One", 1),
        ("4", "n@x", "Two", 2),
        ("5", None, "Alone"),
    )
    ended = world.run(update(identify={"Email": "email"}), world.contacts(*rows))
    assert codes(ended) == [(one, "DUPLICATE_TARGET", "") for one in ("1", "2", "3", "4")]
    ignoring = update(identify={"Email": "email"}, ignore_same_target=True, order={"highest": "SystemModstamp"})
    ended = world.run(ignoring, world.contacts(*rows[:4]))
    assert ended.counts == {"inserted": 1, "updated": 1, "unchanged": 0, "rejected": 0, "ignored": 2}
    assert world.rows("select email, last_name from recipient where email is not null order by email") == [
        ("a@x", "New"),
        ("n@x", "Two"),
    ]


def test_conditions_occasions_and_empty_values_decide_what_is_set(world: World) -> None:
    recipients(world)
    world.sql(
        "insert into recipient (crm_id, email, last_name, score) values ('1', 'old@x', 'Old', 1)",
        "insert into recipient (crm_id, email, last_name, score) values ('2', 'old@x', 'Old', 1)",
    )
    activity = update(
        set={
            "crm_id": "Id",
            "email": {"from": "Email", "empty": "keep"},
            "last_name": [{"from": "LastName", "on": "insert"}, {"from": "'Kept'", "when": "Id = '2'"}],
            "score": {"from": "10", "on": "update"},
        }
    )
    world.run(activity, world.contacts(("1", None, "New"), ("2", "new@x", "New"), ("3", "", "New")))
    assert world.rows("select crm_id, email, last_name, score from recipient order by crm_id") == [
        ("1", "old@x", "Old", 10),
        ("2", "new@x", "Kept", 10),
        ("3", None, "New", None),
    ]


def test_a_column_that_is_not_set_takes_its_default(world: World) -> None:
    recipients(world)
    world.run(
        update(set={"crm_id": "Id", "last_name": {"from": "LastName", "empty": "keep"}}),
        world.contacts(("1", None, None)),
    )
    assert written(world) == [("1", None, "Unknown")]


def test_an_empty_source_empties_the_destination(world: World) -> None:
    recipients(world)
    world.sql("insert into recipient (crm_id, email, last_name) values ('1', 'old@x', 'Ono')")
    world.run(update(), world.contacts(("1", None, "Ono")))
    assert written(world) == [("1", None, "Ono")]
    world.sql("update recipient set email = 'old@x'")
    world.run(update(empty="keep"), world.contacts(("1", None, "Ono")))
    assert written(world) == [("1", "old@x", "Ono")]


def test_rows_are_appended_by_name_without_identification(world: World) -> None:
    world.sql(f'create table bad (number {world.serial()}, "Id" text, "LastName" text)')
    activity = UpdateData.model_validate({"type": "update_data", "into": "bad", "operation": "insert"})
    inbound = world.contacts(("1", "a@x", "Ono"), ("1", "a@x", "Ono"), key=())
    assert world.run(activity, inbound).counts["inserted"] == 2
    assert world.run(activity, inbound).counts["inserted"] == 2
    assert world.rows('select "Id", "LastName", count(*) from bad group by 1, 2') == [("1", "Ono", 4)]
    assert world.rows("select count(*) from crosstie.tie") == [(0,)]


def test_the_outcome_of_each_row_can_be_put_out(world: World) -> None:
    recipients(world)
    world.sql("insert into recipient (crm_id, email, last_name) values ('1', 'a@x', 'Ono')")
    world.sql("insert into recipient (crm_id, email, last_name) values ('2', 'b@x', 'Ono')")
    ended = world.run(
        update(outcome=True),
        world.contacts(("1", "a@x", "Ono"), ("2", "b@x", "Abe"), ("3", "c@x", "Cho"), ("4", "d@x", None)),
    )
    assert world.read(ended.tables["ok"], "Id", "outcome") == [("1", "unchanged"), ("2", "updated"), ("3", "inserted")]


def test_the_dimension_of_the_population_identifies(world: World) -> None:
    recipients(world)
    world.sql("insert into recipient (crm_id, score) values ('1', 5)")
    inbound = world.population(
        columns(id=INTEGER, points=INTEGER), [(1, 7), (99, 8)], key=("id",), dimension="recipient"
    )
    ended = world.run(update(operation="update", identify="dimension", set={"score": "points"}), inbound)
    assert ended.counts == {"inserted": 0, "updated": 1, "unchanged": 0, "rejected": 1}
    assert world.rows("select score from recipient") == [(7,)]


def test_a_value_that_cannot_be_computed_refuses_its_row_only(world: World) -> None:
    recipients(world)
    activity = update(set={"crm_id": "Id", "score": "cast(LastName as integer)"})
    ended = world.run(activity, world.contacts(*[(str(n), None, "x" if n == 5 else str(n)) for n in range(9)]))
    assert [(one, code) for one, code, _ in codes(ended)] == [("5", "INVALID_VALUE")]
    assert [row[0] for row in world.rows("select score from recipient order by score")] == [0, 1, 2, 3, 4, 6, 7, 8]
    assert "“x”" not in ended.rejects[0].message


def test_a_missing_reference_refuses_its_row_only(world: World) -> None:
    world.sql("create table city (name text primary key)", "insert into city values ('Kyoto')")
    world.sql(
        f"create table recipient (id {world.serial()}, crm_id text, email text, last_name text references city (name))"
    )
    ended = world.run(update(), world.contacts(("1", "a@x", "Kyoto"), ("2", "b@x", "Nowhere"), ("3", "c@x", None)))
    assert [(one, code) for one, code, _ in codes(ended)] == [("2", "CONSTRAINT")]
    assert [row[0] for row in written(world)] == ["1", "3"]


def test_keys_given_by_the_update_or_by_a_default_are_used(world: World) -> None:
    default = "(lower(hex(randomblob(8))))" if world.db.dialect == "sqlite" else "gen_random_uuid()"
    kind = "text" if world.db.dialect == "sqlite" else "uuid"
    world.sql(
        f"create table tagged (tag {kind} primary key default {default}, crm_id text, email text, last_name text)"
    )
    world.run(update(into="tagged"), world.contacts(("1", "a@x", "Ono"), ("2", "b@x", "Abe")))
    assert len(world.rows("select tag from tagged where tag is not null")) == 2
    tied = world.rows("select remote_id, local_key from crosstie.tie_1 order by remote_id")
    assert tied == world.rows("select crm_id, cast(tag as text) from tagged order by crm_id")
    world.sql("create table keyed (crm_id text primary key, email text, last_name text)")
    assert world.run(update(into="keyed"), world.contacts(("1", "a@x", "Ono"))).counts["inserted"] == 1
    assert world.run(update(into="keyed"), world.contacts(("1", "b@x", "Ono"))).counts["updated"] == 1


def test_the_counted_key_goes_on_after_an_insert_of_ours(world: World) -> None:
    recipients(world)
    world.run(update(), world.contacts(("1", "a@x", "Ono"), ("2", "b@x", "Abe")))
    world.sql("insert into recipient (crm_id) values ('by hand')")
    world.run(update(), world.contacts(("3", "c@x", "Cho")))
    assert world.rows("select count(distinct id), max(id) from recipient") == [(4, 4)]


def test_what_others_do_before_the_commit_is_seen(world: World) -> None:
    recipients(world)
    world.sql("insert into recipient (crm_id, email, last_name) values ('1', 'old@x', 'Ono')")
    ended = world.run(
        update(empty="keep"),
        world.contacts(("1", None, "New"), ("2", "b@x", "Abe"), ("3", "c@x", "Cho")),
        meanwhile=(
            "update recipient set email = 'theirs@x' where crm_id = '1'",
            "insert into recipient (crm_id, email, last_name) values ('2', 'b@x', 'Abe')",
            "insert into recipient (crm_id, email, last_name) values ('3', 'theirs@x', 'Cho')",
        ),
    )
    assert ended.counts == {"inserted": 0, "updated": 2, "unchanged": 1, "rejected": 0}
    assert written(world) == [("1", "theirs@x", "New"), ("2", "b@x", "Abe"), ("3", "c@x", "Cho")]


def test_a_link_to_a_row_that_is_gone_adds_the_row_again(world: World) -> None:
    recipients(world)
    world.sql("insert into recipient (crm_id) values ('1')")
    links = Enrichment.model_validate(
        {"type": "enrichment", "links": {"recipient": {"to": "recipient", "first_of": {"Id": "crm_id"}}}}
    )
    inbound = world.run(links, world.contacts(("1", "a@x", "Ono"))).tables["ok"]
    assert inbound is not None
    ended = world.run(update(identify="link recipient"), inbound, meanwhile=("delete from recipient",))
    assert ended.counts["inserted"] == 1


def test_other_programs_wait_while_a_population_is_written(world: World) -> None:
    recipients(world)
    world.sql("insert into recipient (crm_id, email, last_name) values ('1', 'a@x', 'Ono')")
    inbound = world.contacts(*[(str(n), f"{n}@x", "Ono") for n in range(200)])
    activity = update()

    def again() -> Ended:
        return world.run(activity, inbound)

    with ThreadPoolExecutor(2) as pool:
        both = [one.result() for one in [pool.submit(again), pool.submit(again)]]
    assert sorted(one.counts["inserted"] for one in both) == [0, 199]
    assert world.rows("select count(*), count(distinct crm_id) from recipient") == [(200, 200)]
