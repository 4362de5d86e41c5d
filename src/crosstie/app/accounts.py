"""External accounts, and connectors opened for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from crosstie.accounts import AccountStore, ExternalAccount
from crosstie.crm.connector import Check, Connector
from crosstie.model import RemoteObject

if TYPE_CHECKING:
    from crosstie.app.reading import Org


class Accounts:
    """`app.accounts`. `collected` gives the collected objects of an account, which a check looks at too; `zone` is the
    project's time zone."""

    def __init__(
        self, store: AccountStore, collected: Callable[[str], tuple[RemoteObject, ...]], zone: ZoneInfo
    ) -> None:
        self._store = store
        self._collected = collected
        self._zone = zone

    def __getitem__(self, name: str) -> Org:
        """What the account leads to, for reading its objects now. Raises ConfigError, with a suggestion, when there is
        no such account."""
        from crosstie.app.reading import Org

        account = self.get(name)
        found = account.name
        return Org(
            name=found,
            kind=account.kind,
            connected=partial(self.connected, found),
            collected=partial(self._collected, found),
            proved=partial(self.check, found),
            zone=self._zone,
        )

    def names(self) -> tuple[str, ...]:
        """The names of all accounts, sorted."""
        return self._store.names()

    def list(self) -> tuple[ExternalAccount, ...]:
        """All accounts by name, without their secrets."""
        return self._store.list()

    def get(self, name: str) -> ExternalAccount:
        """The account, without its secrets. Raises ConfigError, with a suggestion, when there is none."""
        return next((one for one in self._store.list() if one.name == name), None) or self._store.get(name)

    def add(self, name: str, kind: str, settings: Mapping[str, object]) -> ExternalAccount:
        """Adds an account from settings and secrets together. Raises ConfigError naming what is wrong."""
        return self._store.add(name, kind, settings)

    def refuse_existing(self, name: str) -> None:
        """Raises ConfigError when an account has that name already."""
        self._store.refuse_existing(name)

    def edit(self, name: str, settings: Mapping[str, object]) -> ExternalAccount:
        """Changes these settings and secrets; the others stay."""
        return self._store.edit(name, settings)

    def remove(self, name: str) -> None:
        """Removes the account with its secrets; collected tables stay."""
        self._store.remove(name)

    def check(self, name: str) -> Check:
        """Signs in and says what was found. A check that reaches the org ties the account to it; raises AuthError
        when the account led to another org before."""
        with self.connected(name) as connector:
            found = connector.check(self._collected(name))
        if found.org_id:
            self._store.stamp(name, found)
        return found

    def connect(self, name: str) -> Connector:
        """A connector of the account; the caller closes it."""
        return self._store.connect(name)

    @contextmanager
    def connected(self, name: str) -> Iterator[Connector]:
        """A connector of the account, closed at the end."""
        connector = self._store.connect(name)
        try:
            yield connector
        finally:
            connector.close()
