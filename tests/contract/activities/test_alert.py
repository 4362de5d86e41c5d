"""Alert: what goes into the outbox with the publish, and what is refused before."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crosstie.activities.alert import Alert
from crosstie.errors import ConfigError, FileError
from crosstie.model import WorkTable
from tests.contract.activities.world import INTEGER, TEXT, World, columns


def alert(**keys: Any) -> Alert:
    return Alert.model_validate({"type": "alert", **keys})


def people(world: World, rows: list[tuple[Any, ...]]) -> WorkTable:
    return world.population(columns(id=INTEGER, name=TEXT), rows, key=("id",))


def outbox(world: World) -> list[tuple[str, str, dict[str, Any], bytes | None]]:
    found = world.rows("select kind, recipient, message, attachment from crosstie.outbox order by id")
    return [(kind, to, json.loads(text), None if file is None else bytes(file)) for kind, to, text, file in found]


MAIL = {"to": ["ann@example.com", "<%= vars.who %>"], "subject": "<%= vars.n %> rows", "text": "Hello\n<%= vars.n %>"}


def test_each_recipient_gets_a_mail_and_people_are_told_that_it_can_repeat(world: World) -> None:
    inbound = people(world, [(2, "=x"), (1, "Ünï, y")])
    activity = alert(**MAIL, attach={"name": "late-<%= vars.n %>.csv", "columns": ["NAME", "id"], "delimiter": ";"})
    ended = world.run(activity, inbound, variables={"who": "bob@example.com", "n": 2})
    assert ended.tables["ok"] == inbound and ended.counts == {"messages": 2}
    content = {"subject": "2 rows", "text": "Hello\n2", "attachment": "late-2.csv"}
    file = "\ufeffname;id\r\nÜnï, y;1\r\n'=x;2\r\n".encode()
    assert outbox(world) == [
        ("mail", "ann@example.com", content, file),
        ("mail", "bob@example.com", content, file),
    ]
    assert len([line for line in ended.log.texts("info") if "It can repeat" in line]) == 2


def test_a_webhook_is_told_values_of_their_own_type_and_the_log_only_its_host(world: World) -> None:
    activity = alert(
        webhook="https://hooks.example.com/<%= vars.key %>",
        data={"text": "n is <%= vars.n %>", "n": "<%= vars.n %>", "late": "<%= vars.n > 1 %>", "none": "<%= null %>"},
    )
    ended = world.run(activity, people(world, [(1, "a")]), variables={"key": "s3cret", "n": 2.5})
    ((kind, to, payload, file),) = outbox(world)
    assert (kind, to, file) == ("webhook", "https://hooks.example.com/s3cret", None)
    assert payload == {
        "event": "alert",
        "workflow": "contact-import",
        "run": 1,
        "activity": "box",
        "rows": 1,
        "at": "2026-11-23T08:00:00.000000Z",
        "data": {"text": "n is 2.5", "n": 2.5, "late": True, "none": None},
    }
    assert all("s3cret" not in line for _, line in ended.log.lines)
    assert any("https://hooks.example.com/…" in line for _, line in ended.log.lines)


def test_killed_before_the_publish_nobody_is_told(world: World) -> None:
    with pytest.raises(RuntimeError, match="killed"):
        world.run(alert(to="ann@example.com", subject="x"), people(world, []), killed=True)
    assert outbox(world) == []


def test_no_rows_are_told_of_or_not_as_set(world: World) -> None:
    world.run(alert(to="ann@example.com", subject="x", empty="skip"), people(world, []))
    assert outbox(world) == []
    world.run(alert(to="ann@example.com", subject="x"), people(world, []))
    assert len(outbox(world)) == 1


@pytest.mark.parametrize("address", ["", "ann", "ann@x.org, bob@x.org", "a@b\nBcc: c@d", "Ann <ann@x.org>"])
def test_an_address_that_a_template_makes_wrong_is_refused(world: World, address: str) -> None:
    with pytest.raises(ConfigError, match="is not an e-mail address"):
        world.run(alert(to="<%= vars.who %>", subject="x"), people(world, []), variables={"who": address})
    with pytest.raises(ConfigError, match="begins with https://"):
        world.run(alert(webhook="<%= vars.who %>"), people(world, []), variables={"who": "http://x.org/"})
    assert outbox(world) == []


def test_what_is_too_large_for_a_mail_is_refused(world: World) -> None:
    inbound = people(world, [(number, "x" * 100_000) for number in range(120)])
    with pytest.raises(FileError, match="The 120 rows are larger than 10 MB"):
        world.run(alert(to="ann@example.com", subject="x", attach=True), inbound)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, "nobody is told: write “to” with e-mail addresses, or “webhook”"),
        ({"to": "ann@example.com"}, "a mail needs a subject"),
        ({"to": "ann", "subject": "x"}, "“ann” is not an e-mail address"),
        ({"to": "<%= 1 + %>", "subject": "x"}, "SyntaxError"),
        ({"webhook": "http://x.org"}, "a webhook's address begins with https:// and a host"),
        ({"webhook": "https://me:pw@x.org"}, "a webhook's address has no user and password in it"),
        ({"webhook": "https://x.org", "text": "x"}, "subject, text and attach are of a mail, which goes to nobody"),
        (
            {"to": "a@b.c", "subject": "x", "attach": {"columns": ["nmae"]}},
            "there is no column “nmae”. There is id, name.",
        ),
    ],
)
def test_mistakes_are_told_before_anything_runs(world: World, keys: dict[str, Any], told: str) -> None:
    messages = [one.message for one in world.problems(alert(**keys), people(world, []))]
    assert len(messages) == 1 and told in messages[0], messages


def test_an_attachment_needs_a_population(world: World) -> None:
    (problem,) = world.problems(alert(to="a@b.c", subject="x", attach=True))
    assert problem.message == "no population comes in that could be attached"
