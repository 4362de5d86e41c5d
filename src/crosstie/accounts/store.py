"""The external accounts kept in the marketing database."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from crosstie.accounts.account import (
    HIDDEN,
    ExternalAccount,
    Secrets,
    make_account,
    needed_secrets,
    with_files_found,
)
from crosstie.accounts.vault import Vault
from crosstie.crm import kind_of
from crosstie.crm.connector import Check, Connector
from crosstie.db.audit import record
from crosstie.db.database import Database, Transaction, instant_text, parse_instant
from crosstie.errors import AuthError, ConfigError

_COLUMNS = "name, kind, host, settings, sealed, org_id, org_name, time_zone, checked_at"


def connect(account: ExternalAccount, *, token: str = "", on_token: Callable[[str], None]) -> Connector:
    """A connector for the account, which signs in when first used and refuses another org than the account's.

    `token` is what `on_token` was last given (it is secret); close the connector when done."""
    return kind_of(account.kind).open(
        account.model(), account=account.name, org_id=account.org_id, token=token, on_token=on_token
    )


class AccountStore:
    """Adds, changes, lists and removes accounts; secrets and tokens are sealed by the vault before they get here.

    `vault` is asked for when a secret is needed, so that listing works without the key."""

    def __init__(self, db: Database, vault: Callable[[], Vault], now: Callable[[], datetime]) -> None:
        self._db = db
        self._open_vault = vault
        self._opened: Vault | None = None
        self._now = now

    @property
    def _vault(self) -> Vault:
        if self._opened is None:
            self._opened = self._open_vault()
        return self._opened

    def names(self) -> tuple[str, ...]:
        """The names of all accounts, sorted."""
        with self._db.reading() as reading:
            return tuple(name for (name,) in reading.rows("select name from crosstie.account order by name"))

    def list(self) -> tuple[ExternalAccount, ...]:
        """All accounts, by name, without their secrets: the key is not needed."""
        with self._db.reading() as reading:
            rows = reading.rows(f"select {_COLUMNS} from crosstie.account order by name")
        return tuple(_account(row, Secrets()) for row in rows)

    def get(self, name: str) -> ExternalAccount:
        """The account with its secrets. Raises ConfigError when there is none, or its secrets can't be opened."""
        with self._db.reading() as reading:
            row = self._row(reading, name)
        return _account(row, self._secrets(name, row[4]))

    def add(self, name: str, kind: str, values: Mapping[str, object]) -> ExternalAccount:
        """Adds an account from settings and secrets together. Raises ConfigError when something is wrong with them."""
        self.refuse_existing(name)
        account = make_account(name, kind, with_files_found(kind, values))
        sealed = self._seal(account)
        with self._db.transaction(f"adding account {name}") as transaction:
            transaction.lock(f"account {name}")
            if transaction.row("select 1 from crosstie.account where name = :name", {"name": name}):
                raise _exists(name)
            transaction.execute(
                "insert into crosstie.account (name, kind, host, settings, sealed, changed_at)"
                " values (:name, :kind, :host, :settings, :sealed, :now)",
                {
                    "name": name,
                    "kind": kind,
                    "host": account.host,
                    "settings": _json(account.settings),
                    "sealed": sealed,
                    "now": instant_text(self._now()),
                },
            )
            record(transaction, self._now(), "add account", name, "", _shown(account))
        return account

    def refuse_existing(self, name: str) -> None:
        """Raises ConfigError when an account has that name already."""
        if name in self.names():
            raise _exists(name)

    def edit(self, name: str, values: Mapping[str, object]) -> ExternalAccount:
        """Changes these settings and secrets, the others stay. The kept token is dropped: it may be another user's.

        Where the old secrets cannot be opened (their key is lost), all that are needed must be among the values; else
        ConfigError says which."""
        before, lost = self._openable(name)
        given = with_files_found(before.kind, values)
        if lost is not None:
            _refuse_partial(before, given, lost)
        made = make_account(name, before.kind, {**before.settings, **before.secrets, **given})
        after = replace(
            made,
            org_id=before.org_id,
            org_name=before.org_name,
            time_zone=before.time_zone,
            checked_at=before.checked_at,
        )
        sealed = self._seal(after)
        changed = {one for one in values if before.secrets.get(one) != after.secrets.get(one)}
        with self._db.transaction(f"changing account {name}") as transaction:
            transaction.execute(
                "update crosstie.account set host = :host, settings = :settings, sealed = :sealed,"
                " token_sealed = null, changed_at = :now where name = :name",
                {
                    "name": name,
                    "host": after.host,
                    "settings": _json(after.settings),
                    "sealed": sealed,
                    "now": instant_text(self._now()),
                },
            )
            record(transaction, self._now(), "edit account", name, _shown(before), _shown(after, changed=changed))
        return after

    def remove(self, name: str) -> None:
        """Removes the account with its secrets and its token; collected tables stay."""
        with self._db.transaction(f"removing account {name}") as transaction:
            row = self._row(transaction, name)
            transaction.execute("delete from crosstie.account where name = :name", {"name": name})
            record(transaction, self._now(), "remove account", name, _shown(_account(row, Secrets())), "")

    def token(self, name: str) -> str:
        """The access token kept between runs, '' if there is none or it was sealed with a lost key."""
        with self._db.reading() as reading:
            row = reading.row("select token_sealed from crosstie.account where name = :name", {"name": name})
        if row is None or row[0] is None:
            return ""
        try:
            return self._vault.unseal(_token_purpose(name), row[0])
        except ConfigError:
            return ""  # nothing is lost: the connector signs in again

    def keep_token(self, name: str, token: str) -> None:
        """Keeps the access token, sealed; '' forgets it."""
        sealed = self._vault.seal(_token_purpose(name), token) if token else None
        with self._db.transaction(f"keeping the session of account {name}") as transaction:
            transaction.execute(
                "update crosstie.account set token_sealed = :sealed where name = :name",
                {"name": name, "sealed": sealed},
            )

    def connect(self, name: str) -> Connector:
        """A connector with the account's kept token, whose new tokens are kept. Close it when done."""
        return connect(self.get(name), token=self.token(name), on_token=lambda token: self.keep_token(name, token))

    def stamp(self, name: str, check: Check) -> None:
        """Keeps what a check found: the org's id, name and time zone.

        Raises AuthError when the account led to another org before: its windows and ties belong to that one."""
        with self._db.transaction(f"checking account {name}") as transaction:
            row = self._row(transaction, name)
            known = row[5]
            if known and known != check.org_id:
                raise other_org(name, known, check.org_id)
            transaction.execute(
                "update crosstie.account set org_id = :org, org_name = :org_name, time_zone = :zone,"
                " checked_at = :now where name = :name",
                {
                    "name": name,
                    "org": check.org_id,
                    "org_name": check.org_name,
                    "zone": check.time_zone,
                    "now": instant_text(self._now()),
                },
            )
            if not known:
                record(transaction, self._now(), "bind account to org", name, "", _json({"org_id": check.org_id}))

    def reseal(self) -> int:
        """Seals with the vault's first key what was sealed with an older one; how many accounts were touched."""
        touched = 0
        for name in self.names():
            with self._db.transaction(f"resealing account {name}") as transaction:
                row = transaction.row(
                    "select sealed, token_sealed from crosstie.account where name = :name", {"name": name}
                )
                if row is None or all(value is None or self._vault.is_current(value) for value in row):
                    continue
                secrets = None if row[0] is None else self._again(_secrets_purpose(name), row[0])
                token = None if row[1] is None else self._again(_token_purpose(name), row[1])
                transaction.execute(
                    "update crosstie.account set sealed = :secrets, token_sealed = :token where name = :name",
                    {"name": name, "secrets": secrets, "token": token},
                )
                touched += 1
        return touched

    def _again(self, purpose: str, sealed: bytes) -> bytes:
        return self._vault.seal(purpose, self._vault.unseal(purpose, sealed))

    def _row(self, transaction: Transaction, name: str) -> tuple[Any, ...]:
        row = transaction.row(f"select {_COLUMNS} from crosstie.account where name = :name", {"name": name})
        if row is None:
            names = [one for (one,) in transaction.rows("select name from crosstie.account order by name")]
            near = difflib.get_close_matches(name, names, 1)
            hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(names) or 'none yet'}."
            raise ConfigError(
                f"There is no external account “{name}”.", hint=f"{hint} Make one with: crosstie account add {name}"
            )
        return row

    def _seal(self, account: ExternalAccount) -> bytes:
        return self._vault.seal(_secrets_purpose(account.name), json.dumps(dict(account.secrets)))

    def _openable(self, name: str) -> tuple[ExternalAccount, ConfigError | None]:
        """The account, and why it is without its secrets if they cannot be opened. Raises ConfigError when there is no
        key at all: nothing could be sealed then."""
        with self._db.reading() as reading:
            row = self._row(reading, name)
        vault = self._vault
        try:
            secrets = vault.unseal(_secrets_purpose(name), row[4]) if row[4] else "{}"
        except ConfigError as error:
            return _account(row, Secrets()), error
        return _account(row, Secrets(json.loads(secrets))), None

    def _secrets(self, name: str, sealed: bytes | None) -> Secrets:
        return Secrets(json.loads(self._vault.unseal(_secrets_purpose(name), sealed))) if sealed else Secrets()


def _refuse_partial(before: ExternalAccount, given: Mapping[str, object], lost: ConfigError) -> None:
    needed = needed_secrets(before.kind, {**before.settings, **given})
    missing = [one for one in needed if one not in given]
    if missing:
        asked = " ".join(f"--secret {one}" for one in needed)
        raise ConfigError(
            f"{lost.message} All secrets of account {before.name} must be given again at once; there is no"
            f" {', '.join(missing)}.",
            hint=f"Restore the key, or give them: crosstie account edit {before.name} {asked} (asked for on a terminal,"
            " or CROSSTIE_SECRET_<FIELD>), or --secrets-stdin with "
            + json.dumps(dict.fromkeys(needed, "…"), ensure_ascii=False)
            + '. One that the account does not have is "".',
        )


def other_org(name: str, known: str, found: str) -> AuthError:
    """The refusal of another org behind an account."""
    return AuthError(
        f"Account {name} belongs to the org {known}, but signing in leads to {found}.",
        hint="Windows, ties and tables of this account belong to the first org. Give the other org an account of its "
        "own: crosstie account add NAME.",
        code="OTHER_ORG",
    )


def _account(row: tuple[Any, ...], secrets: Secrets) -> ExternalAccount:
    name, kind, host, settings, _, org_id, org_name, time_zone, checked_at = row
    return ExternalAccount(
        name=name,
        kind=kind,
        host=host,
        settings=json.loads(settings),
        secrets=secrets,
        org_id=org_id,
        org_name=org_name,
        time_zone=time_zone,
        checked_at=parse_instant(checked_at) if checked_at else None,
    )


def _exists(name: str) -> ConfigError:
    return ConfigError(
        f"There is an external account “{name}” already.", hint=f"Change it with: crosstie account edit {name}"
    )


def _shown(account: ExternalAccount, changed: set[str] | None = None) -> str:
    shown = {"kind": account.kind, "host": account.host, **account.shown_settings()}
    return _json({**shown, **dict.fromkeys(changed or (), f"{HIDDEN} (changed)")})


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(dict(value), ensure_ascii=False, sort_keys=True)


def _secrets_purpose(name: str) -> str:
    return f"secrets of account {name}"


def _token_purpose(name: str) -> str:
    return f"session of account {name}"
