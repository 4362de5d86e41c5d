"""What the text that names a database may hold. Importing it is cheap: no driver is loaded."""

from __future__ import annotations

import re
from urllib.parse import unquote

from crosstie.errors import ConfigError

# The parameters that libpq takes in a query (PostgreSQL manual, Parameter Key Words) and that give a secret away.
_SECRET_PARAMETERS = {"password", "passfile", "sslpassword"}
_KEY_VALUE = re.compile(
    r"(?:^|[\s;])(?:host|hostaddr|port|dbname|user|password|passfile|service|sslmode|options)\s*=", re.IGNORECASE
)
_ONE_SLASH = re.compile(r"\s*postgres(?:ql)?:(?!//)", re.IGNORECASE)


def holds_password(text: str) -> bool:
    """Whether a database URL holds a password, or may: an unescaped `/`, `#` or `?` in it misleads nobody here."""
    _, separator, rest = text.partition("://")
    if not separator:
        return False
    if ":" in rest.rpartition("@")[0]:
        return True
    parameters = rest.partition("?")[2].split("&")
    return any(unquote(one.partition("=")[0]).strip().lower() in _SECRET_PARAMETERS for one in parameters)


def refuse_password(text: str) -> None:
    """Raises ConfigError, without any part of it, when a URL for everybody to read holds a password."""
    if holds_password(text):
        raise ConfigError(
            "The database URL holds a password or names where one is, which does not belong here:"
            " arguments and configuration files can be read by others.",
            hint="Put the whole URL into the environment as CROSSTIE_DATABASE, or the password into ~/.pgpass.",
        )


def refuse_connection_string(text: str) -> None:
    """Raises ConfigError for what PostgreSQL's tools take but would be a SQLite file here: `host=… dbname=…`, and a URL
    that lost a slash. Nothing of it is shown, for it may hold a password."""
    if ("://" not in text.partition("=")[0] and _KEY_VALUE.search(text)) or _ONE_SLASH.match(text):
        raise ConfigError(
            "The name of the database looks like a connection string of PostgreSQL, and is not a URL.",
            hint="Write postgresql://user@host:port/name; a path or sqlite:///path is a SQLite file.",
        )
