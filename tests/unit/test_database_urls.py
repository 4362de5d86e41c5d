"""No password in what others can read, and no connection string taken for a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstie.config import read_config
from crosstie.database_urls import holds_password
from crosstie.db import open_database
from crosstie.errors import ConfigError

WITH_PASSWORD = [
    "postgresql://u:hush@h/x",
    "postgresql://u:hu/sh@h/x",
    "postgresql://u:hu#sh@h/x",
    "postgresql://u:hu?sh@h/x",
    "postgresql://u:hu@sh@h/x",
    "postgresql://u@h/x?password=hush",
    "postgresql://u@h/x?sslmode=require&pass%77ord=hush",
    "postgresql://u@h/x?passfile=/hush",
    "postgres://h/x?user=u&PASSWORD=hush",
]
CONNECTION_STRINGS = [
    "host=h password=hush dbname=x",
    "dbname = x password = hush",
    "password='hu://sh' host=h",
    "postgresql:/u:hush@h/x",
    "Postgres:u:hush@h/x",
]


@pytest.mark.parametrize("url", WITH_PASSWORD)
def test_a_password_is_found_wherever_it_stands_and_refused_in_the_file(tmp_path: Path, url: str) -> None:
    assert holds_password(url)
    (tmp_path / "crosstie.toml").write_text(f'database = "{url}"', encoding="utf-8")
    with pytest.raises(ConfigError, match="CROSSTIE_DATABASE") as caught:
        read_config(tmp_path, {})
    assert "hu" not in str(caught.value)
    (tmp_path / "crosstie.toml").write_text("", encoding="utf-8")
    assert read_config(tmp_path, {"CROSSTIE_DATABASE": url}).database == url


@pytest.mark.parametrize(
    "text",
    ["postgresql://u@h:5432/x", "postgresql://h:5432/x?sslmode=require", "postgresql:///x", "a.db", "sqlite:///a:b.db"],
)
def test_what_holds_no_password_passes(tmp_path: Path, text: str) -> None:
    assert not holds_password(text)
    (tmp_path / "crosstie.toml").write_text(f'database = "{text}"', encoding="utf-8")
    assert read_config(tmp_path, {}).database


@pytest.mark.parametrize("text", CONNECTION_STRINGS)
def test_a_connection_string_is_not_the_name_of_a_file(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crosstie.toml").write_text("", encoding="utf-8")
    for refused in (lambda: read_config(tmp_path, {"CROSSTIE_DATABASE": text}), lambda: open_database(text)):
        with pytest.raises(ConfigError, match="postgresql://user@host") as caught:
            refused()
        assert "hu" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["crosstie.toml"]


@pytest.mark.parametrize("text", ["reports=1.db", "/srv/user data/x.db", "sqlite:////srv/port/x.db"])
def test_a_file_with_such_words_is_still_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "crosstie.toml").write_text("", encoding="utf-8")
    assert read_config(tmp_path, {"CROSSTIE_DATABASE": text}).database.endswith(".db")
