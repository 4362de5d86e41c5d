"""Answers of an unfinished wizard, kept in the project until its step is done. Secrets are never among them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosstie.errors import ConfigError


@dataclass(slots=True)
class Draft:
    """The answers so far, by name; written with each one."""

    file: Path
    answers: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Draft:
        """What was kept, if anything. Raises ConfigError for a file that is none of ours."""
        try:
            read = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(file)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{file} cannot be read.", hint="It keeps answers of an unfinished crosstie setup: remove it."
            ) from error
        return cls(file, read if isinstance(read, dict) else {})

    def text(self, name: str) -> str:
        """An answer that is a text, '' when there is none."""
        found = self.answers.get(name)
        return found if isinstance(found, str) else ""

    def texts(self, name: str) -> tuple[str, ...]:
        """An answer that is a list of texts."""
        found = self.answers.get(name)
        return tuple(one for one in found if isinstance(one, str)) if isinstance(found, list) else ()

    def settings(self) -> Mapping[str, str]:
        """The settings that were answered of an account that is not added yet."""
        found = self.answers.get("settings")
        return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}

    def keep(self, name: str, value: object) -> None:
        """Keeps an answer."""
        self.answers[name] = value
        text = json.dumps(self.answers, ensure_ascii=False, indent=2) + "\n"
        with os.fdopen(os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(text)

    def drop(self, *names: str) -> None:
        """Forgets answers whose step is done."""
        for name in names:
            self.answers.pop(name, None)
        if self.answers:
            self.keep(*next(iter(self.answers.items())))
        else:
            self.forget()

    def forget(self) -> None:
        """Forgets everything."""
        self.answers.clear()
        self.file.unlink(missing_ok=True)
