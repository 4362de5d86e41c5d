"""An org of each kind by role: people who belong to companies, written through the connector, read by requests of our
own. Tests name roles, and never ask which kind it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any

from crosstie.crm.connector import Connector
from crosstie.crm.dynamics.connector import DynamicsConnector
from crosstie.crm.dynamics.settings import DynamicsSettings
from crosstie.crm.salesforce.connector import SalesforceConnector
from crosstie.crm.salesforce.settings import SalesforceSettings
from crosstie.crm.writing import Operation, RemoteWrite, WriteRoad
from crosstie.sandbox.dynamics.switches import UNSURE
from tests.contract.connector.conftest import QUICK, SOON
from tests.contract.writing.shipping import Row
from tests.sandboxes import Client, Sandbox, WebApi, Witness, running_sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """How a kind calls things. `fields` are the fields of a person by role, as a write names them: name, key, score and
    tags are its own, company is its parent by an external id. `columns` are the same as records are read back, company
    as its id, and `plain` as a definition names them. `everything` is an object with a field of each type. `carriers`:
    the requests of the sandbox's counters that carry rows, by operation."""

    person: str
    company: str
    company_name: str
    company_key: str
    fields: Mapping[str, str]
    columns: Mapping[str, str]
    plain: Mapping[str, str]
    tags: tuple[str, str]
    carriers: Mapping[Operation, str]
    everything: str
    too_long: str
    not_there: str


@dataclass(slots=True, kw_only=True)
class Org:
    """An org with a connector, and the settings of an account that leads to it. `people` reads the records of people
    whose name begins so."""

    sandbox: Sandbox
    settings: Mapping[str, str]
    connector: Connector
    role: Role
    people: Callable[[str], list[dict[str, Any]]]

    def write(
        self, operation: Operation, *roles: str, road: WriteRoad = WriteRoad.AUTO, conditional: bool = False
    ) -> RemoteWrite:
        """A write of people with these fields."""
        return RemoteWrite(
            object=self.connector.describe(self.role.person),
            operation=operation,
            fields=tuple(self.role.fields[role] for role in roles),
            key=self.role.fields["key"] if operation is Operation.UPSERT else "",
            road=road,
            conditional=conditional,
        )

    def rows(self, write: RemoteWrite, rows: Sequence[Mapping[str, str | None]]) -> list[Row]:
        """Rows by role as the write names their fields; those that make records have the ids that a plan gives them."""
        chooses = self.connector.new_id if write.operation is Operation.INSERT else None
        fields = {**self.role.fields, "key": "key"}
        named = [{fields[role]: one for role, one in row.items()} for row in rows]
        return [{**row, "remote_id": chooses()} for row in named] if chooses is not None else named

    def insert(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """People whom another has made; their ids."""
        return self.sandbox.insert(
            self.role.person, [{self.role.columns[role]: value for role, value in row.items()} for row in rows]
        )

    def make_company(self, key: str) -> str:
        """A company that another has made; its id."""
        (made,) = self.sandbox.insert(self.role.company, [{self.role.company_name: key, self.role.company_key: key}])
        return made

    def fails(self, operation: Operation, fault: Mapping[str, Any]) -> None:
        """The next request that carries rows of that operation goes wrong."""
        self.sandbox.faults([{"match": {"kind": self.role.carriers[operation]}, "fault": dict(fault)}])


SALESFORCE = Role(
    person="Contact",
    company="Account",
    company_name="Name",
    company_key="ERP_Id__c",
    fields={
        "name": "LastName",
        "key": "ERP_Id__c",
        "score": "Score__c",
        "tags": "Interests__c",
        "company": "Account.ERP_Id__c",
    },
    columns={
        "name": "LastName",
        "key": "ERP_Id__c",
        "score": "Score__c",
        "tags": "Interests__c",
        "company": "AccountId",
    },
    plain={"name": "LastName", "score": "Score__c", "company": "AccountId"},
    tags=("Art", "Wine"),
    carriers={
        Operation.INSERT: "ingest_upload",
        Operation.UPDATE: "collection_update",
        Operation.UPSERT: "collection_upsert",
        Operation.DELETE: "collection_delete",
    },
    everything="Gadget__c",
    too_long="STRING_TOO_LONG",
    not_there="INVALID_CROSS_REFERENCE_KEY",
)
DYNAMICS = Role(
    person="contact",
    company="account",
    company_name="name",
    company_key="accountnumber",
    fields={
        "name": "lastname",
        "key": "new_externalid",
        "score": "new_score",
        "tags": "new_interests",
        "company": "account:parentcustomerid.accountnumber",
    },
    columns={
        "name": "lastname",
        "key": "new_externalid",
        "score": "new_score",
        "tags": "new_interests",
        "company": "_parentcustomerid_value",
    },
    plain={"name": "lastname", "score": "new_score", "company": "parentcustomerid"},
    tags=("100000000", "100000003"),
    carriers=dict.fromkeys(Operation, "batch"),
    everything="new_everything",
    too_long="0x80044331",
    not_there="0x80040217",
)


@contextmanager
def salesforce() -> Iterator[Org]:
    """An org of Salesforce."""
    with running_sandbox(records=20) as sandbox:
        known = sandbox.sign_in("client_credentials")
        settings = {
            "flow": "client_credentials",
            "host": sandbox.told["login_url"],
            "ca_file": str(sandbox.ca_file),
            "client_id": known["client_id"],
            "client_secret": known["client_secret"],
        }
        model = SalesforceSettings.model_validate(settings)
        connector = SalesforceConnector(model, account="sandbox", patience=SOON, retries=QUICK)
        client = Witness(sandbox)
        with closing(connector), closing(client):
            yield Org(
                sandbox=sandbox,
                settings=settings,
                connector=connector,
                role=SALESFORCE,
                people=lambda name: _by_soql(client, name),
            )


def _by_soql(client: Client, name: str) -> list[dict[str, Any]]:
    columns = SALESFORCE.columns
    text = f"SELECT Id, {', '.join(columns.values())} FROM Contact WHERE LastName LIKE '{name}%' ORDER BY LastName"
    return [{"id": one["Id"], **{role: one[column] for role, column in columns.items()}} for one in client.all(text)]


@contextmanager
def dynamics(**switches: object) -> Iterator[Org]:
    """An org of Dynamics."""
    with running_sandbox(records=20, kind="dynamics") as sandbox:
        sandbox.switches(**switches)
        known = sandbox.sign_in("client_secret")
        settings = {
            "flow": "client_secret",
            "host": sandbox.told["url"],
            "authority": sandbox.told["authority"],
            "tenant": sandbox.told["tenant"],
            "ca_file": str(sandbox.ca_file),
            "client_id": known["client_id"],
            "client_secret": known["client_secret"],
        }
        connector = DynamicsConnector(DynamicsSettings.model_validate(settings), account="sandbox", retries=QUICK)
        api = WebApi(sandbox)
        with closing(connector), closing(api):
            yield Org(
                sandbox=sandbox,
                settings=settings,
                connector=connector,
                role=DYNAMICS,
                people=lambda name: _by_filter(api, name),
            )


def _by_filter(api: WebApi, name: str) -> list[dict[str, Any]]:
    columns = DYNAMICS.columns
    path = f"contacts?$select={','.join(columns.values())}&$filter=startswith(lastname,'{name}')&$orderby=lastname"
    found = api.one(path)["value"]
    people = [{"id": one["contactid"], **{role: one[column] for role, column in columns.items()}} for one in found]
    return [{**one, "tags": one["tags"] and one["tags"].replace(",", ";")} for one in people]


def dynamics_otherwise() -> AbstractContextManager[Org]:
    """An org of Dynamics in which each fact that nobody is sure of is the other way round."""
    return dynamics(**UNSURE)


KINDS = (salesforce, dynamics)
"""What opens an org, for each kind."""
