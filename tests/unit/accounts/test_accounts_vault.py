"""The vault: sealed for one purpose, with a key that nobody else can read."""

from __future__ import annotations

import stat
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from crosstie.accounts import Vault, create_key_file
from crosstie.config import Config
from crosstie.errors import ConfigError


def config(tmp_path: Path, key: str = "") -> Config:
    """A project whose key file is `key` in that folder."""
    return Config(project=tmp_path, database="x.db", key_file=tmp_path / "key", key=key, zone=ZoneInfo("UTC"))


def vault(*keys: str) -> Vault:
    """A vault with these keys, or a fresh one."""
    return Vault(keys or [Fernet.generate_key().decode()], place="test")


def test_a_key_file_is_made_for_its_owner_only_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "key"
    create_key_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    with pytest.raises(ConfigError, match="exists already"):
        create_key_file(path)
    assert path.read_text() == before
    sealed = Vault.open(config(tmp_path)).seal("a", "text")
    assert Vault.open(config(tmp_path)).unseal("a", sealed) == "text"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    create_key_file(tmp_path / "key")
    (tmp_path / "key").chmod(mode)
    with pytest.raises(ConfigError, match="can be read by others") as caught:
        Vault.open(config(tmp_path))
    assert "chmod 600" in caught.value.hint


def test_a_missing_an_empty_and_a_broken_key_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no key file"):
        Vault.open(config(tmp_path))
    path = tmp_path / "key"
    path.write_text("# nothing\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="no key in"):
        Vault.open(config(tmp_path))
    path.write_text("s3cret-but-no-key\n")
    with pytest.raises(ConfigError, match="is not valid") as caught:
        Vault.open(config(tmp_path))
    assert "s3cret" not in str(caught.value)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    key = Fernet.generate_key().decode()
    sealed = vault(key).seal("a", "text")
    assert Vault.open(config(tmp_path, key=f"{key}, {Fernet.generate_key().decode()}")).unseal("a", sealed) == "text"


@given(st.text(max_size=40))
def test_any_text_comes_back_and_is_not_in_what_is_stored(text: str) -> None:
    one = vault()
    sealed = one.seal("purpose", text)
    assert one.unseal("purpose", sealed) == text
    assert len(text) < 4 or text.encode("utf-8", "surrogatepass") not in sealed


def test_a_secret_opens_only_for_its_purpose() -> None:
    one = vault()
    sealed = one.seal("secrets of account a", "text")
    with pytest.raises(ConfigError, match="somebody moved it"):
        one.unseal("secrets of account b", sealed)


def test_a_changed_secret_and_a_lost_key_are_told_apart() -> None:
    one = vault()
    sealed = one.seal("a", "text")
    damaged = sealed[:-2] + (b"AA" if not sealed.endswith(b"AA") else b"BB")
    with pytest.raises(ConfigError, match="was changed since"):
        one.unseal("a", damaged)
    with pytest.raises(ConfigError, match=f"sealed with the key {one.key_id}"):
        vault().unseal("a", sealed)
    with pytest.raises(ConfigError, match="cannot be opened"):
        one.unseal("a", b"rubbish")


def test_keys_rotate() -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    sealed = vault(old).seal("a", "text")
    both = vault(new, old)
    assert both.unseal("a", sealed) == "text"
    assert not both.is_current(sealed)
    again = both.seal("a", "text")
    assert both.is_current(again)
    assert vault(new).unseal("a", again) == "text"
