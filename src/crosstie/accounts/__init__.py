"""External accounts: how to reach a CRM, with secrets sealed at rest."""

from __future__ import annotations

from crosstie.accounts.account import HIDDEN, ExternalAccount, Secrets, make_account
from crosstie.accounts.store import AccountStore, connect
from crosstie.accounts.vault import Vault, create_key_file

__all__ = [
    "HIDDEN",
    "AccountStore",
    "ExternalAccount",
    "Secrets",
    "Vault",
    "connect",
    "create_key_file",
    "make_account",
]
