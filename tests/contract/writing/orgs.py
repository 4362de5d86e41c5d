"""An org of each kind, to be written to: people who belong to companies, by role, and read by requests of our own.
Tests name roles, and never ask which kind it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from crosstie.crm.connector import Connector
from crosstie.crm.writing import Operation, RemoteWrite, WriteRoad
from tests.contract.every_connector.conftest import FLIPPED
from tests.contract.every_connector.worlds import ROLES, Roles, World
from tests.contract.writing.shipping import Row
from tests.sandboxes import Sandbox, WebApi, Witness, running_sandbox

People = Callable[[str], list[dict[str, Any]]]
"""Reads the people whose name begins so: id, name, key, score, tags, and the id of their company."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a kind calls the things that are written, beside its roles of reading. `key` is the external id of people,
    `lookup` leads to their company, whose own external id is `company_key`; `parent` is that as a write names it, and
    `parent_id` how the id of the company is read. `carriers`: the requests that carry rows, by operation. `too_long`
    and `not_there` are the symbols of rows that are refused for that. `respelled` gives a key in another spelling by
    which the record is found all the same; `needed` are further fields without which no person is made, `elsewhere`
    texts that have to be the key of another record."""

    key: str
    company: str
    company_name: str
    company_key: str
    lookup: str
    parent: str
    parent_id: str
    carriers: Mapping[Operation, str]
    too_long: str
    not_there: str
    respelled: Callable[[str], str] = str.lower
    needed: Mapping[str, str] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class Org:
    """An org with a connector that is signed in."""

    sandbox: Sandbox
    connector: Connector
    settings: Mapping[str, Any]
    roles: Roles
    names: Names
    people: People

    @property
    def fields(self) -> Mapping[str, str]:
        """The fields of people by role, as a write names them."""
        roles = self.roles
        own = {"name": roles.last_name, "score": roles.score, "tags": roles.interests, "birthday": roles.birthday}
        return {**own, "company": self.names.parent}

    @property
    def plain(self) -> Mapping[str, str]:
        """The same as a definition names them."""
        return {**self.fields, "company": self.names.lookup}

    @property
    def tags(self) -> str:
        """Two values of a set."""
        return ";".join(self.roles.choices)

    def write(
        self, operation: Operation, *roles: str, road: WriteRoad = WriteRoad.AUTO, conditional: bool = False
    ) -> RemoteWrite:
        """A write of people with these fields."""
        needed = self.names.needed if operation in {Operation.INSERT, Operation.UPSERT} else ()
        return RemoteWrite(
            object=self.connector.describe(self.roles.contact),
            operation=operation,
            fields=(*(self.fields[role] for role in roles), *needed),
            key=self.names.key if operation is Operation.UPSERT else "",
            road=road,
            conditional=conditional,
        )

    def rows(self, write: RemoteWrite, rows: Sequence[Mapping[str, str | None]]) -> list[Row]:
        """Rows by role as the write names their fields; those that make records have the ids that a plan gives them."""
        chooses = self.connector.new_id if write.operation is Operation.INSERT else None
        needed = {name: text for name, text in self.names.needed.items() if name in write.fields}
        named = [{**needed, **{self.fields.get(role, role): one for role, one in row.items()}} for row in rows]
        return [{**row, "remote_id": chooses()} for row in named] if chooses is not None else named

    def insert(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        """People whom another has made; their ids."""
        columns = {**self.fields, "key": self.names.key}
        records = [{**self.names.needed, **{columns[role]: value for role, value in row.items()}} for row in rows]
        return self.sandbox.insert(self.roles.contact, records)

    def make_company(self, key: str) -> str:
        """A company that another has made; its id."""
        names = self.names
        (made,) = self.sandbox.insert(names.company, [{names.company_name: key, names.company_key: key}])
        return made

    def fails(self, operation: Operation, fault: Mapping[str, Any]) -> None:
        """The next request that carries rows of that operation goes wrong."""
        self.sandbox.faults([{"match": {"kind": self.names.carriers[operation]}, "fault": dict(fault)}])


NAMES: Mapping[str, Names] = {
    "salesforce": Names(
        key="ERP_Id__c",
        company="Account",
        company_name="Name",
        company_key="ERP_Id__c",
        lookup="AccountId",
        parent="Account.ERP_Id__c",
        parent_id="AccountId",
        carriers={
            Operation.INSERT: "ingest_upload",
            Operation.UPDATE: "collection_update",
            Operation.UPSERT: "collection_upsert",
            Operation.DELETE: "collection_delete",
        },
        too_long="STRING_TOO_LONG",
        not_there="INVALID_CROSS_REFERENCE_KEY",
    ),
    "dynamics": Names(
        key="new_externalid",
        company="account",
        company_name="name",
        company_key="accountnumber",
        lookup="parentcustomerid",
        parent="account:parentcustomerid.accountnumber",
        parent_id="_parentcustomerid_value",
        carriers=dict.fromkeys(Operation, "batch"),
        too_long="0x80044331",
        not_there="0x80040217",
    ),
    "oracle_on_demand": Names(
        key="ExternalSystemId",
        company="Account",
        company_name="AccountName",
        company_key="ExternalSystemId",
        lookup="AccountId",
        parent="AccountId.ExternalSystemId",
        parent_id="AccountId",
        carriers={
            Operation.INSERT: "insert",
            Operation.UPDATE: "update",
            Operation.UPSERT: "insert",
            Operation.DELETE: "delete",
        },
        too_long="TOO_LONG",
        not_there="SBL-EAI-04378",
        respelled=lambda key: f" {key} ",
        needed={"ContactFirstName": "Ann"},
        elsewhere=frozenset({"AccountExternalSystemId"}),
    ),
}


def _columns(kind: str) -> dict[str, str]:
    roles, names = ROLES[kind], NAMES[kind]
    return {
        "id": roles.key,
        "name": roles.last_name,
        "key": names.key,
        "score": roles.score,
        "tags": roles.interests,
        "company": names.parent_id,
    }


@contextmanager
def _by_soql(sandbox: Sandbox) -> Iterator[People]:
    columns = _columns("salesforce")
    with closing(Witness(sandbox)) as client:

        def people(name: str) -> list[dict[str, Any]]:
            asked = f"SELECT {', '.join(columns.values())} FROM Contact WHERE LastName LIKE '{name}%' ORDER BY LastName"
            return [{role: one[column] for role, column in columns.items()} for one in client.all(asked)]

        yield people


@contextmanager
def _by_filter(sandbox: Sandbox) -> Iterator[People]:
    columns = _columns("dynamics")
    with closing(WebApi(sandbox)) as api:

        def people(name: str) -> list[dict[str, Any]]:
            which = f"$filter=startswith(lastname,'{name}')&$orderby=lastname"
            found = api.one(f"contacts?$select={','.join(columns.values())}&{which}")["value"]
            rows = [{role: one[column] for role, column in columns.items()} for one in found]
            return [{**one, "tags": one["tags"] and one["tags"].replace(",", ";")} for one in rows]

        yield people


@contextmanager
def _by_rows(sandbox: Sandbox) -> Iterator[People]:
    columns = _columns("oracle_on_demand")

    def people(name: str) -> list[dict[str, Any]]:
        stored = sandbox.control("rows", object="Contact")["rows"]
        found = [one for one in stored if str(one[columns["name"]]).startswith(name)]
        rows = [{role: one[column] for role, column in columns.items()} for one in found]
        numbered = [{**one, "score": None if one["score"] is None else float(one["score"])} for one in rows]
        return sorted(numbered, key=lambda one: str(one["name"]))

    yield people


_WITNESSES: Mapping[str, Callable[[Sandbox], AbstractContextManager[People]]] = {
    "salesforce": _by_soql,
    "dynamics": _by_filter,
    "oracle_on_demand": _by_rows,
}


@contextmanager
def _opened(kind: str, switches: Mapping[str, Any]) -> Iterator[Org]:
    with running_sandbox(records=20, kind=kind) as sandbox, _WITNESSES[kind](sandbox) as people:
        world = World(kind, sandbox)
        sandbox.switches(**world.roles.small_pages)
        sandbox.switches(**switches)
        with closing(world.open()) as connector:
            yield Org(
                sandbox=sandbox,
                connector=connector,
                settings=world.given(),
                roles=world.roles,
                names=NAMES[kind],
                people=people,
            )


KINDS: Mapping[str, Callable[[], AbstractContextManager[Org]]] = {kind: partial(_opened, kind, {}) for kind in ROLES}
"""What opens an org, by the kind."""

_ONE_OF_TWO = frozenset({"nil_clears"})
"""A value that is no text is cleared by an empty element, or by nil: one of the two does."""

OTHERWISE: Mapping[str, Callable[[], AbstractContextManager[Org]]] = {
    f"{kind}-otherwise": partial(
        _opened, kind, {name: value for name, value in FLIPPED[kind].items() if name not in _ONE_OF_TWO}
    )
    for kind in ROLES
}
"""The same with each fact that nobody is sure of the other way round."""
