"""Sealing secrets with a key that is not in the database."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstie.errors import ConfigError

if TYPE_CHECKING:
    from crosstie.config import Config

_HEAD = """\
# The key that seals the secrets of Crosstie's external accounts. Without it they must be typed in again.
# Keep a copy in a safe place, apart from backups of the database. One key a line: the first one seals,
# all of them open.
"""


def create_key_file(path: Path) -> None:
    """Makes a key file with mode 0600. Raises ConfigError when it exists already: it may seal secrets."""
    from cryptography.fernet import Fernet

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(_HEAD + Fernet.generate_key().decode() + "\n")
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError as error:
        raise ConfigError(
            f"The key file {path} exists already.", hint="It may seal secrets: it is never overwritten."
        ) from error
    except OSError as error:
        raise ConfigError(f"The key file {path} cannot be written: {error.strerror}.") from error


class Vault:
    """Seals text so that only the holder of the key can read it, and only for the purpose it was sealed for."""

    def __init__(self, keys: Sequence[str], *, place: str) -> None:
        from cryptography.fernet import Fernet, MultiFernet

        self._place = place
        if not keys:
            raise ConfigError(f"There is no key in {place}.", hint="Restore it from its backup.")
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"A key in {place} is not valid.", hint="A key is 44 characters of URL-safe base64; restore its backup."
            ) from error
        self._key_ids = tuple(key_id(key) for key in keys)

    @classmethod
    def open(cls, config: Config) -> Vault:
        """The vault of a project: CROSSTIE_KEY if set (several keys by commas), else the key file.

        Raises ConfigError when there is no key, or when others could read the file."""
        if config.key:
            return cls([key for key in re.split(r"[,\s]+", config.key) if key], place="CROSSTIE_KEY")
        return cls(_read(config.key_file), place=str(config.key_file))

    @property
    def key_id(self) -> str:
        """What the sealing key is known by; tells nothing about it."""
        return self._key_ids[0]

    def seal(self, purpose: str, text: str) -> bytes:
        """The text, sealed. `purpose` names what it is for: it can't be opened for anything else."""
        plain = json.dumps({"for": purpose, "text": text}, ensure_ascii=False)
        return self.key_id.encode() + b"." + self._fernet.encrypt(plain.encode())

    def unseal(self, purpose: str, sealed: bytes) -> str:
        """The text. Raises ConfigError when it was sealed with a key that is not here, for something else, or when it
        was changed since."""
        from cryptography.fernet import InvalidToken

        wanted, _, token = bytes(sealed).partition(b".")
        try:
            content: Any = json.loads(self._fernet.decrypt(token))
        except (InvalidToken, ValueError) as error:
            name = wanted.decode("ascii", "replace")
            known = ", ".join(self._key_ids)
            reason = (
                "it was changed since it was sealed"
                if name in self._key_ids
                else f"it was sealed with the key {name[:16]}, {self._place} has {known}"
            )
            raise ConfigError(
                f"A secret ({purpose}) cannot be opened: {reason}.",
                hint="Restore the key file of this database, or give the account's secrets again "
                "(crosstie account edit).",
            ) from error
        if content.get("for") != purpose:
            raise ConfigError(
                f"A secret was sealed for something else than {purpose}: somebody moved it in the database.",
                hint="Give the account's secrets again (crosstie account edit).",
            )
        return str(content["text"])

    def is_current(self, sealed: bytes) -> bool:
        """Whether it is sealed with the first key; otherwise it should be sealed again."""
        return bytes(sealed).partition(b".")[0] == self.key_id.encode()


def key_id(key: str) -> str:
    """What a key is known by."""
    return hashlib.sha256(b"crosstie key id " + key.encode()).hexdigest()[:8]


def _read(path: Path) -> list[str]:
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii")
    except FileNotFoundError as error:
        raise ConfigError(
            f"There is no key file {path}.",
            hint="Restore it from its backup, or set CROSSTIE_KEY. For a new project: crosstie init.",
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The key file {path} cannot be read: {error}.") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(
            f"The key file {path} can be read by others (mode {stat.S_IMODE(mode):04o}).",
            hint=f"Take their access away: chmod 600 {path}. If somebody may have read it, change the secrets.",
        )
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
