"""Tables and columns through Microsoft's client."""

from PowerPlatform.Dataverse.client import DataverseClient


def test_a_table_is_found_by_its_name(client: DataverseClient) -> None:
    found = client.tables.get("contact")
    assert found is not None
    assert (found["entity_set_name"], found["table_logical_name"]) == ("contacts", "contact")
    assert client.tables.get("nothing") is None
    listed = {one["LogicalName"] for one in client.tables.list()}
    assert {"account", "contact", "lead", "opportunity", "new_everything"} < listed
    activities = client.tables.list(filter="IsActivity eq true", select=["LogicalName"])
    assert {one["LogicalName"] for one in activities} == {"task", "email"}


def test_columns_come_plain_and_typed(client: DataverseClient) -> None:
    plain = {one["LogicalName"]: one for one in client.tables.list_columns("new_everything")}
    typed = {one["LogicalName"]: one for one in client.tables.list_columns("new_everything", typed=True)}
    assert set(plain) == set(typed)
    assert typed["new_serial"]["MaxLength"] == 30 and typed["new_share"]["Precision"] == 10
    one = client.tables.get_column("contact", "firstname", typed=True)
    assert one is not None and one["MaxLength"] == 50
    assert client.tables.get_column("contact", "nothing") is None


def test_keys_and_relationships_are_listed(client: DataverseClient) -> None:
    (key,) = client.tables.get_alternate_keys("contact")
    assert (key.key_attributes, key.status) == (["new_externalid"], "Active")
    related = client.tables.list_table_relationships("account")
    assert "contact_customer_accounts" in {one["SchemaName"] for one in related}
    assert len(client.tables.list_relationships()) > len(related)
