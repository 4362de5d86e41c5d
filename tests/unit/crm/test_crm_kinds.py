"""A further kind of CRM is one line of CONNECTORS: accounts, the command line and the rest take it from there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, Field, SecretStr

import crosstie
from crosstie.accounts.account import make_account
from crosstie.accounts.store import connect
from crosstie.activities.remote import reject_columns
from crosstie.cli import commands
from crosstie.cli.session import Session
from crosstie.crm import CONNECTORS, Kind, kind_of

SOURCE = Path(str(crosstie.__file__)).parent
TABLES = {SOURCE / "crm" / "__init__.py", SOURCE / "sandbox" / "service.py"}


class Settings(BaseModel):
    """An account of a made-up CRM."""

    host: str = Field(default="", description="Where it is.")
    savour: str = Field(default="sweet", description="How it tastes.")
    word: SecretStr = Field(default=SecretStr(""), json_schema_extra={"secret": True})

    def login_url(self) -> str:
        """Where to sign in."""
        return self.host


class Dummy:
    """A connector that does nothing but be there."""

    def __init__(
        self, settings: Settings, *, account: str, org_id: str, token: str, on_token: Callable[[str], None]
    ) -> None:
        self.kind = "dummy"
        self.host = settings.host


def upper(text: str) -> str | None:
    """Completes an id."""
    return text.upper()


def never(remote: object) -> bool:
    """Tells no deletions."""
    return False


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> Kind:
    """A fourth line in the table."""
    here = __name__
    line = Kind(
        label="Dummy",
        settings=f"{here}:Settings",
        connector=f"{here}:Dummy",
        reject_columns=("errorWord",),
        page_rows=10,
        bulk_page_rows=10,
        bulk_calls=0,
        complete_id=f"{here}:upper",
        tells_deletions=f"{here}:never",
    )
    monkeypatch.setitem(CONNECTORS, "dummy", line)
    return line


def test_a_further_kind_is_one_line(dummy: Kind, capsys: pytest.CaptureFixture[str]) -> None:
    account = make_account("mine", "dummy", {"host": "https://x.example", "word": "s3cret"})
    assert (account.kind, account.host, dict(account.secrets)) == ("dummy", "https://x.example", {"word": "s3cret"})
    connector = connect(account, on_token=lambda token: None)
    assert connector.kind == "dummy"
    assert [column.name for column in reject_columns("dummy")] == ["errorWord", "errorField"]
    assert kind_of("dummy").id_completer()("ab") == "AB"
    assert kind_of("dummy").expected_calls(25, bulk=False) == 3
    commands.main(["account", "add", "--help"], standalone_mode=False, obj=Session())
    shown = capsys.readouterr().out
    assert "--savour TEXT" in shown
    assert "How it tastes." in shown


@pytest.mark.parametrize("kind", list(CONNECTORS))
def test_a_kind_is_named_in_its_own_package_and_in_the_tables_only(kind: str) -> None:
    word = re.compile(rf"\b{kind}\b", re.IGNORECASE)
    homes = (SOURCE / "crm" / kind, SOURCE / "sandbox" / kind)
    named = [
        str(file.relative_to(SOURCE))
        for file in SOURCE.rglob("*.py")
        if file not in TABLES and not any(home in file.parents for home in homes) and word.search(file.read_text())
    ]
    assert named == []


def test_nothing_of_a_kind_is_imported_before_it_is_used() -> None:
    code = (
        "import sys, crosstie.cli, crosstie.crm; print([one for one in sys.modules if one.startswith('crosstie.crm.')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not re.search("|".join(f"crm\\.{kind}" for kind in CONNECTORS), found)
