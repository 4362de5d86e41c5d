"""Discovery: what there is, and what an import has to know of it."""

from __future__ import annotations

import pytest

from crosstie.crm.connector import Connector, RemoteQuery, Road
from crosstie.errors import ConnectorError, MappingError
from crosstie.model import FieldType, RemoteObject
from tests.contract.every_connector.worlds import World, read


def test_the_list_of_objects_names_standard_and_custom_ones(connector: Connector, world: World) -> None:
    objects = {one.name: one for one in connector.objects()}
    assert not objects[world.roles.contact].custom
    assert objects[world.roles.custom].custom
    assert all(one.readable and one.label for one in objects.values())


def test_what_an_import_needs_to_know(contact: RemoteObject, world: World) -> None:
    roles = world.roles
    types = {
        roles.key: FieldType.ID,
        roles.last_name: FieldType.TEXT,
        roles.score: FieldType.DECIMAL,
        roles.flag: FieldType.BOOLEAN,
        roles.birthday: FieldType.DATE,
        roles.stamp: FieldType.DATETIME,
        roles.interests: FieldType.SET,
    }
    assert {field.name: field.type for field in contact.fields}.items() >= types.items()
    assert (contact.name, contact.key, contact.safe_index) == (roles.contact, roles.key, roles.stamp)
    assert roles.stamp in contact.index_fields
    assert contact.tracks_deletions
    last_name = contact.field(roles.last_name)
    assert last_name is not None
    assert last_name.length > 0
    interests = contact.field(roles.interests)
    assert interests is not None
    assert {value.name for value in interests.values} >= set(roles.choices)
    assert any(field.external_id and field.unique for field in contact.fields)
    assert all(one.reference_to for one in contact.fields if one.type is FieldType.REFERENCE)


def test_what_did_not_change_is_what_was_known(connector: Connector, contact: RemoteObject) -> None:
    assert connector.describe(contact.name.upper(), known=contact) is contact


def test_an_object_that_this_user_may_not_see_is_named(
    connector: Connector, contact: RemoteObject, world: World
) -> None:
    hidden = connector.describe(world.roles.custom)
    world.sandbox.hide(hidden.name)
    check = world.open().check([contact, hidden])
    assert [finding.text for finding in check.findings if not finding.ok] == [
        f"{hidden.name}: this user can't see the object, or it was removed."
    ]
    assert not check.passed
    query = RemoteQuery(object=hidden, fields=(hidden.key,), road=Road.PAGES)
    with pytest.raises(ConnectorError, match=f"query {hidden.name}|{hidden.name}") as caught:
        read(connector, query)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["", "Con/tact", "../limits", "a'b"])
def test_an_unknown_object_is_named(connector: Connector, world: World, name: str) -> None:
    with pytest.raises(MappingError, match="no object"):
        connector.describe(name or world.roles.unknown_object)
