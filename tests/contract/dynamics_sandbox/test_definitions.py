"""Metadata endpoints: what a connector needs in few requests, with the case, casts and refusals of the real service."""

from typing import Any

import pytest

from tests.sandboxes import WebApi

TABLE = "EntityDefinitions(LogicalName='new_everything')"
CRM = "Microsoft.Dynamics.CRM."


def test_tables_are_selected_and_filtered(api: WebApi) -> None:
    names = "LogicalName,EntitySetName,PrimaryIdAttribute,ChangeTrackingEnabled,ObjectTypeCode"
    found = api.one(f"EntityDefinitions?$select={names}&$filter=LogicalName eq 'contact'")["value"]
    assert [set(one) for one in found] == [{"MetadataId", *names.split(",")}]
    assert (found[0]["EntitySetName"], found[0]["PrimaryIdAttribute"]) == ("contacts", "contactid")
    typed = f"OwnershipType eq {CRM}OwnershipTypes'UserOwned' and IsActivity eq true"
    bare = "OwnershipType eq 'UserOwned' and IsActivity eq true and CanCreateAttributes/Value eq true"
    for condition in (typed, bare):
        shown = api.one(f"EntityDefinitions?$select=LogicalName&$filter={condition}")["value"]
        assert {one["LogicalName"] for one in shown} == {"task", "email"}
    by_id = f"EntityDefinitions({found[0]['MetadataId']})?$select=SchemaName"
    contact = api.one(by_id, headers={"Consistency": "Strong"})
    assert contact["SchemaName"] == "Contact" and contact["@odata.context"].endswith("/$entity")


def test_one_request_describes_a_table(api: WebApi) -> None:
    expand = "Attributes($select=LogicalName,AttributeType,AttributeTypeName,AttributeOf),Keys($select=KeyAttributes)"
    shown = api.one(f"{TABLE}?$select=LogicalName&$expand={expand},ManyToOneRelationships($select=SchemaName)")
    types = {one["LogicalName"]: one["AttributeTypeName"]["Value"] for one in shown["Attributes"]}
    expected = "String Memo Integer BigInt Decimal Double Money Boolean DateTime Picklist MultiSelectPicklist State"
    more = "Status Uniqueidentifier Lookup Owner Customer PartyList EntityName ManagedProperty Virtual Image File"
    assert set(types.values()) == {f"{name}Type" for name in f"{expected} {more}".split()}
    declared = {one["LogicalName"]: one.get("@odata.type") for one in shown["Attributes"]}
    assert declared["new_serial"] == f"#{CRM}StringAttributeMetadata"
    assert declared["new_colourname"] is None
    assert ["new_accountid", "new_code"] in [one["KeyAttributes"] for one in shown["Keys"]]
    assert len(shown["ManyToOneRelationships"]) > 10


@pytest.mark.parametrize(
    ("cast", "column", "expected"),
    [
        ("String", "new_serial", {"MaxLength": 30, "FormatName": {"Value": "Text"}}),
        ("Memo", "new_notes", {"MaxLength": 4000}),
        ("Integer", "new_count", {"MinValue": -1000, "MaxValue": 1000}),
        ("Decimal", "new_share", {"Precision": 10}),
        ("Money", "new_price_base", {"CalculationOf": "new_price"}),
        ("DateTime", "new_opens", {"DateTimeBehavior": {"Value": "TimeZoneIndependent"}}),
        ("DateTime", "new_seenday", {"Format": "DateOnly", "DateTimeBehavior": {"Value": "UserLocal"}}),
        ("Lookup", "new_customerid", {"Targets": ["account", "contact"]}),
        ("Lookup", "ownerid", {"Targets": ["systemuser", "team"]}),
    ],
)
def test_a_cast_shows_what_a_class_adds(api: WebApi, cast: str, column: str, expected: dict[str, Any]) -> None:
    path = f"{TABLE}/Attributes/{CRM}{cast}AttributeMetadata?$select=LogicalName,{','.join(expected)}"
    found = {one["LogicalName"]: one for one in api.one(path)["value"]}
    assert {name: found[column][name] for name in expected} == expected


def test_choices_come_with_labels_states_and_languages(api: WebApi) -> None:
    def options(cast: str) -> dict[str, Any]:
        path = f"{TABLE}/Attributes/{CRM}{cast}AttributeMetadata?$select=LogicalName&$expand=OptionSet,GlobalOptionSet"
        return {one["LogicalName"]: one for one in api.one(path)["value"]}

    picked = options("Picklist")
    assert picked["new_colour"]["GlobalOptionSet"] is None
    assert [one["Value"] for one in picked["new_colour"]["OptionSet"]["Options"]] == [
        100_000_000,
        100_000_001,
        100_000_002,
    ]
    season = picked["new_season"]["OptionSet"]
    assert season["IsGlobal"] and picked["new_season"]["GlobalOptionSet"]["Name"] == "new_season"
    labels = season["Options"][1]["Label"]["LocalizedLabels"]
    assert {(one["LanguageCode"], one["Label"]) for one in labels} == {(1033, "Summer"), (1036, "Été")}
    status = options("Status")["statuscode"]["OptionSet"]["Options"]
    assert {one["Value"]: one["State"] for one in status} == {1: 0, 100_000_001: 0, 2: 1, 100_000_002: 1}
    assert options("State")["statecode"]["OptionSet"]["Options"][0]["DefaultStatus"] == 1
    assert options("Boolean")["new_active"]["OptionSet"]["TrueOption"]["Value"] == 1
    assert set(options("MultiSelectPicklist")) == {"new_tags", "new_seasons"}
    only = api.one("GlobalOptionSetDefinitions(Name='new_season')")
    assert len(only["Options"]) == 4


def test_relationships_name_what_one_binds_by(api: WebApi) -> None:
    names = "ReferencingAttribute,ReferencedEntity,ReferencingEntityNavigationPropertyName"
    found = api.one(f"{TABLE}/ManyToOneRelationships?$select={names}")["value"]
    bound = {(one["ReferencingAttribute"], one["ReferencedEntity"]): one[names.split(",")[2]] for one in found}
    assert bound["new_accountid", "account"] == "new_AccountId"
    assert bound["new_customerid", "contact"] == "new_CustomerId_contact"
    assert bound["ownerid", "owner"] == "ownerid"
    assert ("ownerid", "systemuser") not in bound
    many = api.one("EntityDefinitions(LogicalName='account')/OneToManyRelationships?$select=SchemaName")["value"]
    assert "contact_customer_accounts" in {one["SchemaName"] for one in many}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("EntityDefinitions(LogicalName='nothing')", 404),
        (f"{TABLE}/Attributes(LogicalName='nothing')", 404),
        (f"{TABLE}/Attributes(LogicalName='new_notes')/{CRM}StringAttributeMetadata", 404),
        (f"{TABLE}/Attributes?$select=MaxLength", 400),
        (f"{TABLE}/Attributes/{CRM}EnumAttributeMetadata?$expand=OptionSet", 400),
        (f"{TABLE}/Attributes?$expand=OptionSet", 400),
        ("EntityDefinitions?$filter=DisplayName eq 'Contact'", 400),
        ("EntityDefinitions?$select=Nothing", 400),
    ],
)
def test_what_metadata_refuses(api: WebApi, path: str, status: int) -> None:
    answer = api.get(path)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_the_document_and_the_sets_agree(api: WebApi) -> None:
    sets = [one["name"] for one in api.one("")["value"]]
    assert {"accounts", "contacts", "leads", "opportunities", "new_everythings"} < set(sets)
    document = api.get("$metadata").text
    assert all(f'<EntitySet Name="{name}"' in document for name in sets)
    assert '<NavigationProperty Name="parentcustomerid_account" Type="mscrm.account"/>' in document
    assert api.one("RetrieveVersion()")["Version"].startswith("9.2.")
    me = api.get("WhoAmI")
    assert int(me.headers["x-ms-dop-hint"]) > 1 and me.json()["OrganizationId"]
    assert api.send("POST", "WhoAmI", json={}).status_code == 404
