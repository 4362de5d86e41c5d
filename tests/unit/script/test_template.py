"""Templates: literal text with JavaScript between brackets."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from crosstie.errors import ScriptError
from crosstie.script.engine import ScriptScope
from crosstie.script.template import Template, Templated, read_template

SCOPE = ScriptScope(
    now=datetime(2026, 1, 1, 23, 30, tzinfo=UTC),
    workflow="contact-import",
    activity="contacts",
    zone=ZoneInfo("Europe/Paris"),
    vars={"crmOptionName": "LASTIMPORT", "price": 0.5, "count": 7},
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("LASTIMPORT_<%=instance.internalName%>_<%=activityName%>", "LASTIMPORT_contact-import_contacts"),
        ("plain", "plain"),
        ("", ""),
        ("<%= vars.count %> at <%= vars.price %>", "7 at 0.5"),
        ("<%= new Date() %>", "2026/01/02 00:30:00"),
        ("[<%= null %>]", "[]"),
        ("<%= 1 < 2 %>", "true"),
        ("<%= 1e20 %> <%= 1e21 %> <%= 1/1024 %>", "100000000000000000000 1e+21 0.0009765625"),
        ("a %> b < % c", "a %> b < % c"),
        ("<%= '<%=' %>", "<%="),
    ],
)
def test_a_template_is_rendered(text: str, expected: str) -> None:
    assert Template(text).render(SCOPE) == expected


def test_one_expression_alone_has_a_value_of_its_own_type() -> None:
    template = Template("<%= vars.count + 1 %>")
    assert template.is_expression
    assert template.value(SCOPE) == 8
    assert Template("<%= 1 %>2").value(SCOPE) == "12"
    assert Template("12").value(SCOPE) == "12"


def test_an_error_tells_its_place_in_the_template() -> None:
    with pytest.raises(ScriptError, match="nothing is not defined") as caught:
        Template("first line\nsecond <%= 1 +\n nothing %>").render(SCOPE)
    assert (caught.value.line, caught.value.column) == (3, 2)
    with pytest.raises(ScriptError) as caught:
        Template("ab <%= nothing %>").render(SCOPE)
    assert (caught.value.line, caught.value.column) == (1, 8)


@pytest.mark.parametrize(
    ("text", "what", "place"),
    [
        ("a <%= b", "has no %>", (1, 3)),
        ("a\n<% b %>", "not an expression", (2, 1)),
        ("<%=  %>", "no expression", (1, 1)),
        ("ab <%= 3 + %>", "SyntaxError", (1, 12)),
        ("a\nb <%= vars.x %> <%= 1 ) %>", "SyntaxError", (2, 23)),
    ],
)
def test_a_broken_template_is_refused_when_it_is_read(text: str, what: str, place: tuple[int, int]) -> None:
    with pytest.raises(ScriptError, match=what) as caught:
        Template(text)
    assert (caught.value.line, caught.value.column) == place


def test_a_value_is_never_read_as_template_or_script_again() -> None:
    scope = ScriptScope(now=SCOPE.now, vars={"x": "<%= 1 %> '); logError('"})
    assert Template("<%= vars.x %>").render(scope) == "<%= 1 %> '); logError('"


@given(st.text(max_size=30).filter(lambda text: "<%" not in text))
@settings(max_examples=100)
def test_text_without_brackets_is_literal(text: str) -> None:
    assert Template(text).is_literal
    assert Template(text).render(SCOPE) == text


def test_a_word_that_no_script_knows_is_refused_at_its_place() -> None:
    with pytest.raises(ScriptError) as caught:
        read_template("ab\nc <%= vars.x %> <%= recCount + 1 %>")
    assert (caught.value.line, caught.value.column) == (2, 20)
    assert str(caught.value) == (
        "In <%= recCount + 1 %> there is no “recCount”.\nA variable is written vars.recCount, text in quotes."
    )
    assert read_template("<%= date %>", ("date",)).text == "<%= date %>"


class _Keys(BaseModel):
    subject: Templated = "none"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Hello <%= nome %>", "In <%= nome %> there is no “nome”. A variable is written vars.nome, text in quotes."),
        ("Hello <%= vars.x", "The expression that begins with <%= has no %>."),
        ("Hello <%= 1 + %>", "SyntaxError"),
    ],
)
def test_a_key_that_is_a_template_is_checked_when_it_is_read(text: str, told: str) -> None:
    with pytest.raises(ValidationError) as caught:
        _Keys(subject=text)
    assert told in str(caught.value)
    assert _Keys(subject="Hello <%= vars.x %>").subject == "Hello <%= vars.x %>"


_NASTY = st.text(st.sampled_from("'\"`;<>%=()[]{}$\\/*-:@ \n\tabcé😀Ωvars.x0"), max_size=40) | st.sampled_from(
    ["<%= 1 %>", "%> x <%=", "'); drop table x; --", "${1+1}", "</script>", "\u2028\u2029", "__proto__", "\\u0027"]
)


@given(given=_NASTY)
@settings(max_examples=100, deadline=None)
def test_a_value_comes_through_a_template_unchanged_whatever_it_is(given: str) -> None:
    scope = ScriptScope(now=SCOPE.now, vars={"x": given}, instance_vars={"y": given}, names={"z": given})
    assert Template("a<%= vars.x %>b<%=instance.vars.y%>c<%= z %>").render(scope) == f"a{given}b{given}c{given}"
    assert Template("<%= vars.x %>").value(scope) == given
