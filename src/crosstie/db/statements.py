"""One SQL text for two dialects: `:name` parameters and the namespace `crosstie`."""

from __future__ import annotations

import re
from functools import lru_cache

NAMESPACE = "crosstie"
SQLITE_PREFIX = "crosstie_"

# Literals, quoted identifiers, comments and casts are matched first, so that nothing inside them is touched.
_TOKEN = re.compile(
    r"""
      '(?:[^']|'')*'
    | (?<![\w.$"])crosstie\.(?:(?P<table>\w+)|"(?P<quoted>(?:[^"]|"")*)")
    | "(?:[^"]|"")*"
    | --[^\n]*
    | /\*.*?\*/
    | ::
    | (?<![\w:]):(?P<name>[A-Za-z_]\w*)
    """,
    re.VERBOSE | re.DOTALL,
)


def quote_identifier(name: str) -> str:
    """The identifier in double quotes. Raises ValueError for one that no database can hold."""
    if not name or "\0" in name:
        raise ValueError(f"{name!r} cannot be a name in a database")
    return '"' + name.replace('"', '""') + '"'


@lru_cache(maxsize=1024)
def for_sqlite(sql: str) -> str:
    """The statement with `crosstie.x` as `crosstie_x`; SQLite knows `:name` itself."""

    def written(match: re.Match[str]) -> str:
        if match["table"] is not None:
            return SQLITE_PREFIX + match["table"]
        if match["quoted"] is not None:
            return f'"{SQLITE_PREFIX}{match["quoted"]}"'
        return match[0]

    return _TOKEN.sub(written, sql)


@lru_cache(maxsize=1024)
def for_postgresql(sql: str) -> tuple[str, frozenset[str]]:
    """The statement with `%(name)s` for `:name` (then `%` is doubled elsewhere), and the names it needs."""
    names = frozenset(match["name"] for match in _TOKEN.finditer(sql) if match["name"] is not None)
    if not names:
        return sql, names
    parts: list[str] = []
    done = 0
    for match in _TOKEN.finditer(sql):
        if match["name"] is not None:
            parts += [sql[done : match.start()].replace("%", "%%"), f"%({match['name']})s"]
            done = match.end()
    return "".join([*parts, sql[done:].replace("%", "%%")]), names
