"""The record of what people changed: who, when, before, after; never a secret."""

from __future__ import annotations

import getpass
from datetime import datetime

from crosstie.db.database import Transaction, instant_text


def who() -> str:
    """The person at this machine, by the name they are signed in with."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def record(transaction: Transaction, at: datetime, action: str, thing: str, before: str, after: str) -> None:
    """Adds a line to the audit, in the transaction of the change itself."""
    transaction.execute(
        "insert into crosstie.audit (at, who, action, thing, before, after)"
        " values (:at, :who, :action, :thing, :before, :after)",
        {"at": instant_text(at), "who": who(), "action": action, "thing": thing, "before": before, "after": after},
    )
