"""Names of files: always within the project's folder of files, whatever a template makes of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from crosstie.errors import ConfigError, ScriptError
from crosstie.script.template import Template, read_template
from crosstie.workflow.activity import Context

_WILD = re.compile(r"[*?\[]")
# What is being written has a name that begins with a dot, which no pattern finds.
_PARTS = 40


@dataclass(frozen=True, slots=True)
class FilesFolder:
    """The folder beyond which no activity reads or writes."""

    root: Path

    def path(self, name: str) -> Path:
        """The file of that name, relative to the folder. Raises ConfigError for a name that leads out of it."""
        refuse_escape(name)
        path = self.root / name
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise ConfigError(
                f"The file “{name}” lies outside the folder {self.root}: a link leads out of it.",
                hint="Activities read and write within that folder only (files_folder in crosstie.toml).",
            )
        return path

    def find(self, pattern: str) -> tuple[str, ...]:
        """The names of the files that a pattern names, in order; `*`, `?` and `[…]` may stand in its last part.
        Raises ConfigError for a pattern that leads out of the folder."""
        refuse_escape(pattern)
        given = PurePosixPath(pattern)
        if _WILD.search(str(given.parent)):
            raise ConfigError(f"“{pattern}”: *, ? and [ may stand in the file's name only, not in its folder's.")
        if not _WILD.search(given.name):
            return (pattern,) if self.path(pattern).is_file() else ()
        folder = self.path(str(given.parent)) if given.parent.parts else self.root
        if not folder.is_dir():
            return ()
        names = sorted(one.name for one in folder.iterdir() if not one.name.startswith(".") and one.match(given.name))
        found = (str(given.parent / name) for name in names)
        return tuple(name for name in found if self.path(name).is_file())


def refuse_escape(name: str) -> None:
    """Raises ConfigError for a name that is no plain relative path."""
    parts = PurePosixPath(name).parts
    if not name.strip() or "\0" in name or "\\" in name or name.startswith("/") or ".." in parts or not parts:
        raise ConfigError(
            f"“{name}” is not a file within the folder of files.",
            hint="Write a relative path with / between folders, and without “..”.",
        )
    if len(parts) > _PARTS or any(len(part.encode()) > 200 for part in parts):
        raise ConfigError(f"The name of a file is too long: “{name[:60]}…”.")


def name_mistake(text: str) -> str:
    """What is wrong with a name or its templates, '' when nothing is."""
    try:
        template = read_template(text, ("date", "time"))
        refuse_escape(re.sub(r"<%=.*?%>", "x", text, flags=re.DOTALL) if not template.is_literal else text)
    except (ScriptError, ConfigError) as error:
        return f"{error.message} {error.hint}".strip()
    return ""


def render(context: Context, text: str) -> str:
    """The name with its templates evaluated. They see `date` (2026-11-23) and `time` (080000) too, in the zone in
    force, of when the task began for the first time: so that a task that is executed again means the same file."""
    begun = context.begun_at.astimezone(context.zone)
    scope = replace(
        context.scope(), now=context.begun_at, names={"date": f"{begun:%Y-%m-%d}", "time": f"{begun:%H%M%S}"}
    )
    return Template(text).render(scope)
