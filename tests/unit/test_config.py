"""crosstie.toml and the environment become one Config, and every mistake names file and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from crosstie.config import ConfigFile, find_project, read_config
from crosstie.errors import ConfigError


def project(folder: Path, text: str = "") -> Path:
    (folder / "crosstie.toml").write_text(text, encoding="utf-8")
    return folder


def test_defaults_lie_in_the_project_folder(tmp_path: Path) -> None:
    config = read_config(project(tmp_path), {})

    assert config.database == str(tmp_path / "crosstie.db")
    assert config.key_file == tmp_path / ".crosstie" / "key"
    assert config.databases_file == tmp_path / ".crosstie" / "key.databases"
    assert config.zone.key == "UTC"


def test_project_is_found_from_a_folder_below(tmp_path: Path) -> None:
    below = project(tmp_path) / "a" / "b"
    below.mkdir(parents=True)

    assert find_project(below) == tmp_path
    assert read_config(None, {}, cwd=below).project == tmp_path


def test_the_file_itself_can_be_named(tmp_path: Path) -> None:
    assert read_config(project(tmp_path) / "crosstie.toml", {}).project == tmp_path


def test_environment_beats_the_file(tmp_path: Path) -> None:
    project(tmp_path, 'database = "a.db"\nkey_file = "k"\n')
    environment = {"CROSSTIE_DATABASE": "b.db", "CROSSTIE_KEY_FILE": "/keys/k", "CROSSTIE_KEY": "sealed"}

    config = read_config(tmp_path, environment)

    assert config.database == str(tmp_path / "b.db")
    assert config.key_file == Path("/keys/k")
    assert config.key == "sealed"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("data.db", "{folder}/data.db"),
        ("sqlite:///data.db", "{folder}/data.db"),
        ("sqlite:////var/data.db", "/var/data.db"),
        ("/var/data.db", "/var/data.db"),
        ("postgresql://me@host/name", "postgresql://me@host/name"),
    ],
)
def test_database_is_a_path_or_a_url(tmp_path: Path, written: str, read: str) -> None:
    config = read_config(project(tmp_path, f'database = "{written}"'), {})

    assert config.database == read.format(folder=tmp_path)


def test_secrets_are_not_in_the_repr(tmp_path: Path) -> None:
    environment = {"CROSSTIE_DATABASE": "postgresql://me:hush@host/name", "CROSSTIE_KEY": "quiet"}

    shown = repr(read_config(project(tmp_path), environment))

    assert "hush" not in shown
    assert "quiet" not in shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('databse = "x"', ["crosstie.toml", "“databse” is not a key", "Did you mean “database”?"]),
        ("database = 3", ["crosstie.toml", "database:", "string"]),
        ('time_zone = "Mars/Olympus"', ["crosstie.toml", "time_zone:", "Mars/Olympus", "Europe/Paris"]),
        ("database = ", ["crosstie.toml", "not readable TOML", "end of document"]),
        ('database = "mysql://host/name"', ["mysql://…", "postgresql://"]),
    ],
)
def test_each_mistake_names_file_and_key(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(project(tmp_path, text), {})

    for word in words:
        assert word in str(caught.value)


def test_unknown_kind_of_database_does_not_show_the_password(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_config(project(tmp_path), {"CROSSTIE_DATABASE": "mysql://me:hush@host/name"})

    assert "hush" not in str(caught.value)


def test_without_a_project_the_way_out_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="crosstie init"):
        read_config(None, {}, cwd=tmp_path)
    with pytest.raises(ConfigError, match="crosstie init"):
        read_config(tmp_path / "elsewhere", {})


def test_every_key_says_what_it_is_for() -> None:
    assert all(field.description for field in ConfigFile.model_fields.values())
