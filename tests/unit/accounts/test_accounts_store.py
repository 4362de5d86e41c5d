"""Accounts in the database: checked on the way in, sealed, audited without secrets, bound to one org."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from crosstie.accounts import HIDDEN, AccountStore, ExternalAccount, Secrets, Vault, make_account
from crosstie.crm.connector import Check
from crosstie.db import open_database
from crosstie.db.database import Database
from crosstie.errors import AuthError, ConfigError

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
KEY = Fernet.generate_key().decode()
SECRETS = {"password": "p4ssw0rd!", "security_token": "t0ken!"}
VALUES: dict[str, object] = {"flow": "soap", "host": "test", "username": "sync@acme.example", **SECRETS}


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """A fresh marketing database."""
    opened = open_database(str(tmp_path / "marketing.db"))
    yield opened
    opened.close()


def store_on(db: Database, *keys: str) -> AccountStore:
    """The accounts of that database, with these keys."""
    return AccountStore(db, lambda: Vault(keys or (KEY,), place="test"), lambda: NOW)


@pytest.fixture
def store(db: Database) -> AccountStore:
    """The accounts of a fresh database."""
    return store_on(db)


def everything(db: Database) -> str:
    """Every value of the tables that could hold a secret."""
    with db.reading() as reading:
        rows = reading.rows("select * from crosstie.account") + reading.rows("select * from crosstie.audit")
    return repr(rows)


def test_an_account_comes_back_as_it_was_given(store: AccountStore) -> None:
    store.add("acme", "salesforce", VALUES)
    found = store.get("acme")
    assert found.secrets == SECRETS
    assert found.host == "https://test.salesforce.com"
    assert found.settings == {"flow": "soap", "host": "test", "username": "sync@acme.example"}
    model = found.model()
    assert model.password.get_secret_value() == "p4ssw0rd!"
    assert store.names() == ("acme",)


def test_no_secret_is_stored_shown_or_audited_in_clear(store: AccountStore, db: Database) -> None:
    store.add("acme", "salesforce", VALUES)
    store.edit("acme", {"password": "an0ther!", "username": "other@acme.example"})
    store.keep_token("acme", "the-acce55-token")
    account = store.get("acme")
    shown = everything(db) + repr(account) + str(account) + repr(account.secrets) + f"{account.secrets}"
    shown += json.dumps(account.shown_settings()) + repr(account.model())
    for secret in ("p4ssw0rd!", "t0ken!", "an0ther!", "the-acce55-token"):
        assert secret not in shown
    assert account.shown_settings()["password"] == HIDDEN


def test_listing_needs_no_key(store: AccountStore, db: Database) -> None:
    store.add("acme", "salesforce", VALUES)

    def no_key() -> Vault:
        raise ConfigError("no key here")

    listed = AccountStore(db, no_key, lambda: NOW).list()
    assert [(one.name, one.kind, len(one.secrets)) for one in listed] == [("acme", "salesforce", 0)]
    with pytest.raises(ConfigError, match="no key here"):
        AccountStore(db, no_key, lambda: NOW).get("acme")


@pytest.mark.parametrize(
    ("name", "kind", "changed", "message"),
    [
        ("Acme Corp", "salesforce", {}, "cannot be the name"),
        ("acme", "siebel", {}, "“siebel” is not a kind of CRM"),
        ("acme", "salesforce", {"host": "http://acme.my.salesforce.com"}, "https only"),
        ("acme", "salesforce", {"host": "acme corp"}, "not the address of a host"),
        ("acme", "salesforce", {"allowed_hosts": ["http://x.example"]}, "https only"),
        ("acme", "salesforce", {"password": ""}, "signing in by soap needs password"),
        ("acme", "salesforce", {"flow": "jwt_bearer"}, "client_id, private_key or private_key_file"),
        ("acme", "salesforce", {"flow": "smoke_signals"}, "flow: Input should be"),
        ("acme", "salesforce", {"flow": "client_credentials", "client_id": "a", "client_secret": "b"}, "My Domain"),
        ("acme", "salesforce", {"api_version": "newest"}, "api_version: is not an API version"),
        ("acme", "salesforce", {"colour": "red"}, "colour: Extra inputs"),
        ("acme", "salesforce", {"daily_calls": "-1"}, "daily_calls"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_stored(
    store: AccountStore, name: str, kind: str, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        store.add(name, kind, {**VALUES, **changed})
    assert "p4ssw0rd" not in str(caught.value)
    assert caught.value.__suppress_context__ or "p4ssw0rd" not in repr(caught.value.__context__)
    assert store.names() == ()


def test_a_name_is_given_once_and_a_typo_gets_a_suggestion(store: AccountStore) -> None:
    store.add("acme", "salesforce", VALUES)
    with pytest.raises(ConfigError, match="“acme” already"):
        store.add("acme", "salesforce", VALUES)
    with pytest.raises(ConfigError) as caught:
        store.get("acmee")
    assert "Did you mean acme?" in caught.value.hint
    with pytest.raises(ConfigError, match="no external account"):
        store.remove("acmee")


def test_editing_changes_what_is_given_and_ends_the_session(store: AccountStore) -> None:
    store.add("acme", "salesforce", {**VALUES, "api_version": "61.0"})
    store.keep_token("acme", "token")
    after = store.edit("acme", {"password": "new", "api_version": ""})
    assert after == store.get("acme")
    assert after.secrets["password"] == "new"
    assert after.secrets["security_token"] == "t0ken!"
    assert "api_version" not in after.settings
    assert store.token("acme") == ""


def test_every_change_is_audited(store: AccountStore, db: Database) -> None:
    store.add("acme", "salesforce", VALUES)
    store.edit("acme", {"password": "new", "username": "b@acme.example"})
    store.remove("acme")
    with db.reading() as reading:
        rows = reading.rows("select action, thing, before, after from crosstie.audit order by id")
    assert [row[:2] for row in rows] == [("add account", "acme"), ("edit account", "acme"), ("remove account", "acme")]
    before, after = json.loads(rows[1][2]), json.loads(rows[1][3])
    assert (before["username"], after["username"]) == ("sync@acme.example", "b@acme.example")
    assert (before["password"], after["password"], after["security_token"]) == (HIDDEN, f"{HIDDEN} (changed)", HIDDEN)


def test_a_token_is_kept_sealed_and_belongs_to_its_account(store: AccountStore, db: Database) -> None:
    for name in ("acme", "other"):
        store.add(name, "salesforce", VALUES)
    store.keep_token("acme", "token")
    assert store.token("acme") == "token"
    with db.transaction("moving a token") as transaction:
        transaction.execute(
            "update crosstie.account set token_sealed = (select token_sealed from crosstie.account where name = 'acme')"
        )
    assert store.token("other") == ""
    assert store.token("nobody") == ""
    assert store_on(db, Fernet.generate_key().decode()).token("acme") == ""
    store.keep_token("acme", "")
    assert store.token("acme") == ""


def test_another_org_behind_the_account_is_refused(store: AccountStore) -> None:
    store.add("acme", "salesforce", VALUES)
    first = Check(findings=(), org_id="00D000000000001EAA", org_name="Acme", time_zone="Europe/Paris")
    store.stamp("acme", first)
    store.stamp("acme", first)
    found = store.get("acme")
    assert (found.org_id, found.org_name, found.time_zone, found.checked_at) == (
        "00D000000000001EAA",
        "Acme",
        "Europe/Paris",
        NOW,
    )
    with pytest.raises(AuthError, match="belongs to the org 00D000000000001EAA"):
        store.stamp("acme", Check(findings=(), org_id="00D000000000002EAA"))
    assert store.get("acme").org_id == "00D000000000001EAA"
    assert store.edit("acme", {"username": "b@acme.example"}).org_id == "00D000000000001EAA"


def test_resealing_moves_everything_to_the_new_key(store: AccountStore, db: Database) -> None:
    store.add("acme", "salesforce", VALUES)
    store.add("other", "salesforce", VALUES)
    store.keep_token("acme", "token")
    new = Fernet.generate_key().decode()
    both = store_on(db, new, KEY)
    assert both.reseal() == 2
    assert both.reseal() == 0
    alone = store_on(db, new)
    assert alone.get("acme").secrets == SECRETS
    assert alone.token("acme") == "token"


def test_a_connector_is_made_without_a_call(store: AccountStore) -> None:
    store.add("acme", "salesforce", VALUES)
    connector = store.connect("acme")
    assert connector.kind == "salesforce"
    assert connector.usage.calls == 0
    connector.close()


def test_an_account_can_be_made_without_a_database() -> None:
    account = make_account("acme", "salesforce", VALUES)
    assert isinstance(account, ExternalAccount)
    assert account.org_id == ""
    assert Secrets({"a": "b"}) == {"a": "b"}


def test_secrets_whose_key_is_lost_are_given_again_together(store: AccountStore, db: Database) -> None:
    store.add("acme", "salesforce", VALUES)
    alone = store_on(db, Fernet.generate_key().decode())
    for values in ({"username": "b@acme.example"}, {"password": "new"}):
        with pytest.raises(ConfigError, match=r"must be given again at once; there is no .*security_token") as caught:
            alone.edit("acme", values)
        assert "--secret password --secret security_token" in caught.value.hint
    assert store.get("acme").secrets == SECRETS
    alone.edit("acme", {"password": "new", "security_token": ""})
    assert alone.get("acme").secrets == {"password": "new"}
    assert alone.get("acme").settings == store.list()[0].settings


def test_another_way_to_sign_in_asks_for_its_own_secrets(store: AccountStore, db: Database, tmp_path: Path) -> None:
    store.add("acme", "salesforce", VALUES)
    alone = store_on(db, Fernet.generate_key().decode())
    key = tmp_path / "key.pem"
    key.write_text("a key", encoding="ascii")
    jwt = {"flow": "jwt_bearer", "client_id": "id"}
    with pytest.raises(ConfigError, match="there is no private_key"):
        alone.edit("acme", jwt)
    alone.edit("acme", {**jwt, "private_key_file": str(key)})
    assert alone.get("acme").secrets == {}


def test_files_are_kept_by_their_absolute_path(
    store: AccountStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("key.pem", "ca.pem"):
        with pytest.raises(ConfigError, match=f"there is no file {tmp_path / name}"):
            store.add("acme", "salesforce", {**VALUES, "ca_file": "ca.pem", "private_key_file": "key.pem"})
        (tmp_path / name).write_text("PEM", encoding="ascii")
    store.add("acme", "salesforce", {**VALUES, "ca_file": "ca.pem", "private_key_file": "key.pem"})
    kept = {"ca_file": str(tmp_path / "ca.pem"), "private_key_file": str(tmp_path / "key.pem")}
    assert store.get("acme").settings.items() >= kept.items()
    (tmp_path / "ca.pem").unlink()
    with pytest.raises(ConfigError, match=f"there is no file {tmp_path / 'other.pem'}"):
        store.edit("acme", {"ca_file": "other.pem"})
    assert store.edit("acme", {"username": "b@acme.example"}).settings["ca_file"] == kept["ca_file"]
    assert "ca_file" not in store.edit("acme", {"ca_file": ""}).settings


@pytest.mark.parametrize(
    ("word", "url"),
    [("Production", "https://login.salesforce.com"), (" TEST ", "https://test.salesforce.com")],
)
def test_the_words_for_hosts_ignore_case(store: AccountStore, word: str, url: str) -> None:
    assert store.add("acme", "salesforce", {**VALUES, "host": word}).host == url


@pytest.mark.parametrize("word", ["sandbox", "Sandbox"])
def test_sandbox_is_answered_with_test(store: AccountStore, word: str) -> None:
    with pytest.raises(ConfigError, match="sandbox org signs in at test"):
        store.add("acme", "salesforce", {**VALUES, "host": word})
