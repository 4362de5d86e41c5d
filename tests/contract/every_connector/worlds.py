"""What differs between the kinds of CRM, as data: the names of objects and fields by their roles, and how a connector
is opened. What is tested is written once, against the roles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from crosstie.crm import kind_of
from crosstie.crm.connector import Connector, Partition, RemoteQuery, Road
from crosstie.crm.http import Retries
from tests.sandboxes import Sandbox

RECORDS = 700
PAGE_ROWS = 300
QUICK = Retries(
    attempts=4,
    budget=timedelta(seconds=20),
    first_wait=timedelta(milliseconds=5),
    longest_wait=timedelta(milliseconds=50),
)


LASTING: tuple[tuple[Mapping[str, Any], str], ...] = (
    ({"type": "redirect"}, "a host that this account does not allow"),
    ({"type": "truncate", "bytes": 200}, "broke off|was cut"),
    ({"type": "status", "status": 401}, "straight after signing in"),
)
LINKED: tuple[Mapping[str, Any], str] = ({"type": "foreign_next"}, "a host that this account does not allow")
"""Where a page names the next one by an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The names of one kind. `flows` are its ways to sign in, the first the usual one; `secret` is the setting of
    that one that a wrong text spoils; `links` maps settings to what sandbox.json calls them; `everything` is the
    object with every type of field, `custom` one that is the org's own; `required` is what a contact has to have
    beside its last name; `choices` are two values of the multi-select `interests`; `path` leads to the name of the
    firm; `refused` can't be read; `pages` and `more` are the requests of first and further pages; `small_pages` are
    switches for pages of `page_rows`; `sign_in` are the requests of signing in, and `proof` the one that proves the
    credentials, `resumed` how many of them a kept session costs, `sessionless` the ways that keep none; `lasting`
    are faults that no read survives, with what they say."""

    flows: tuple[str, ...]
    secret: str
    links: Mapping[str, str]
    everything: str
    custom: str
    contact: str
    key: str
    last_name: str
    email: str
    score: str
    flag: str
    birthday: str
    stamp: str
    interests: str
    choices: tuple[str, str]
    path: str
    refused: tuple[str, ...]
    unknown_object: str
    required: Mapping[str, str] = field(default_factory=dict)
    org_name: str = "Acme"
    pages: str = "query"
    more: str = "query_more"
    page_rows: int = PAGE_ROWS
    sign_in: frozenset[str] = frozenset({"token"})
    proof: str = "token"
    resumed: Mapping[str, int] = field(default_factory=dict)
    sessionless: frozenset[str] = frozenset()
    lasting: tuple[tuple[Mapping[str, Any], str], ...] = (*LASTING, LINKED)
    small_pages: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    other_org: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields by which tests judge, the remote id first."""
        judged = (self.last_name, self.email, self.interests, self.score, self.flag, self.birthday, self.stamp)
        return (self.key, *judged)

    @property
    def page_count(self) -> int:
        """How many pages all contacts take."""
        return -(-RECORDS // self.page_rows)


ROLES: Mapping[str, Roles] = {
    "salesforce": Roles(
        flows=("client_credentials", "jwt_bearer", "password", "refresh_token", "soap"),
        secret="client_secret",
        links={"host": "login_url"},
        everything="Gadget__c",
        custom="Gadget__c",
        contact="Contact",
        key="Id",
        last_name="LastName",
        email="Email",
        score="Score__c",
        flag="IsEmailBounced",
        birthday="Birthdate",
        stamp="SystemModstamp",
        interests="Interests__c",
        choices=("Música", "Sports, indoor"),
        path="Account.Name",
        refused=("Nickname", "MailingAddress", "Boss.Name"),
        unknown_object="Contract__c",
        sign_in=frozenset({"token", "versions"}),
        small_pages={"query_page_rows": PAGE_ROWS},
        other_org={"org_id": "00D5g00000OTHERAA0"},
    ),
    "dynamics": Roles(
        flows=("client_secret", "certificate", "password"),
        secret="client_secret",
        links={"host": "url", "authority": "authority", "tenant": "tenant"},
        everything="new_everything",
        custom="new_everything",
        contact="contact",
        key="contactid",
        last_name="lastname",
        email="emailaddress1",
        score="new_score",
        flag="donotemail",
        birthday="birthdate",
        stamp="modifiedon",
        interests="new_interests",
        choices=("100000001", "100000003"),
        path="account:parentcustomerid.name",
        refused=("nickname2", "entityimage", "boss.name"),
        unknown_object="contract2",
        sign_in=frozenset({"openid_configuration", "token", "who_am_i"}),
        options={"page_rows": PAGE_ROWS},
        other_org={"organization_id": "00000000-0000-4000-8000-000000000001"},
    ),
    "oracle_on_demand": Roles(
        flows=("session", "ws_security"),
        secret="password",
        links={"host": "url", "user": "user", "password": "password", "time_zone": "time_zone"},
        everything="Contact",
        custom="CustomObject1",
        contact="Contact",
        key="Id",
        last_name="ContactLastName",
        email="ContactEmail",
        score="nScore",
        flag="NeverEmail",
        birthday="DateofBirth",
        stamp="ModifiedDate",
        interests="mspInterests",
        choices=("Music", "Sport"),
        path="AccountName",
        refused=("Nickname", "ListOfContactTeam", "Account.AccountName"),
        unknown_object="Contract",
        required={"ContactFirstName": "Ada"},
        org_name="ACME-DEV",
        more="query",
        page_rows=100,
        sign_in=frozenset({"login", "logoff", "current_user_query_page"}),
        proof="login",
        resumed={"login": 1, "current_user_query_page": 1},
        sessionless=frozenset({"ws_security"}),
        lasting=LASTING,
        small_pages={"request_gap": 0},
        options={"between": timedelta(0)},
        other_org={"company": "OTHER"},
    ),
}


BELIEVED = pytest.mark.parametrize("served", [(kind, False) for kind in ROLES], indirect=True, ids=str)
"""For tests that nothing unsure can change: one position of it is enough."""


@dataclass(slots=True)
class World:
    """One sandbox with the names of its kind; opens connectors, and closes them all at the end of a test."""

    kind: str
    sandbox: Sandbox
    opened: list[Connector] = field(default_factory=list)

    @property
    def roles(self) -> Roles:
        """The names."""
        return ROLES[self.kind]

    def given(self, flow: str = "") -> dict[str, Any]:
        """The account's settings for a way to sign in as people give them, the usual one unless told."""
        chosen = flow or self.roles.flows[0]
        fields = kind_of(self.kind).settings_model().model_fields
        signing = self.sandbox.sign_in(chosen) if "sign_in" in self.sandbox.told else {}
        given = {name: value for name, value in signing.items() if name in fields}
        known = {name: self.sandbox.told[said] for name, said in self.roles.links.items()}
        return {**known, "ca_file": str(self.sandbox.ca_file), **given, "flow": chosen}

    def settings(self, flow: str, changed: Mapping[str, Any]) -> Any:
        """The account's settings for a way to sign in, the usual one unless told."""
        return kind_of(self.kind).settings_model().model_validate({**self.given(flow), **changed})

    def open(
        self,
        flow: str = "",
        *,
        token: str = "",
        org_id: str = "",
        on_token: Callable[[str], None] = lambda token: None,
        changed: Mapping[str, Any] | None = None,
    ) -> Connector:
        """A connector of its own, impatient enough for tests, whose pages are small; `changed` are settings."""
        from importlib import import_module

        module, _, name = kind_of(self.kind).connector.partition(":")
        connector: Connector = getattr(import_module(module), name)(
            self.settings(flow, changed or {}),
            account="sandbox",
            org_id=org_id,
            token=token,
            on_token=on_token,
            retries=QUICK,
            **self.roles.options,
        )
        self.opened.append(connector)
        return connector

    def insert(self, names: Sequence[str]) -> list[str]:
        """Contacts of these last names, made by another user."""
        records = [{self.roles.last_name: name, **self.roles.required} for name in names]
        return self.sandbox.insert(self.roles.contact, records)

    def set_stamp(self, ids: Sequence[str], stamp: str | None) -> None:
        """Gives contacts that stamp, in wire form."""
        self.sandbox.control("set_stamp", object=self.roles.contact, ids=list(ids), values={self.roles.stamp: stamp})

    def delete(self, ids: Sequence[str]) -> None:
        """Deletes contacts as another user."""
        self.sandbox.control("delete", object=self.roles.contact, ids=list(ids))

    def fault(self, kind: str, fault: Mapping[str, Any], *, times: int | None = 1) -> dict[str, Any]:
        """A rule of the fault plan for requests of that kind."""
        return {"match": {"kind": kind}, "fault": dict(fault), "times": times}


def read(
    connector: Connector, query: RemoteQuery, *, between: Callable[[Partition], None] = lambda partition: None
) -> list[tuple[str | None, ...]]:
    """Reads a query to its end by query pages; `between` runs before each partition but the first ones."""
    rows: list[tuple[str | None, ...]] = []
    opened = connector.open(query, lambda token: None)
    assert opened.road is Road.PAGES
    todo, done = list(opened.partitions), 0
    while todo:
        partition = todo.pop(0)
        if done:
            between(partition)
        done += 1
        fetched = connector.fetch(query, partition)
        todo.extend(fetched.partitions)
        for batch in fetched.batches:
            assert batch.schema.names == list(query.fields)
            rows.extend(zip(*(column.to_pylist() for column in batch.columns), strict=True))
    return rows
