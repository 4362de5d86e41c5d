"""What bulk jobs of both kinds have in common: their formats, numbers, life and lists."""

import base64
import binascii
import re
from datetime import timedelta

from crosstie.sandbox.salesforce.errors import ApiError
from crosstie.sandbox.salesforce.ids import make_id
from crosstie.sandbox.salesforce.org import Org

DELIMITERS = {"COMMA": ",", "TAB": "\t", "PIPE": "|", "SEMICOLON": ";", "CARET": "^", "BACKQUOTE": "`"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
TERMINAL = ("JobComplete", "Failed", "Aborted")
KEPT_FOR = timedelta(days=7)


def new_job_id(org: Org) -> str:
    """The id of the next bulk job of the org."""
    with org.database.writing() as connection:
        (number,) = connection.execute(
            "INSERT INTO sandbox_setting VALUES ('last_bulk_job', '1')"
            " ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
        ).fetchone()
    return make_id("750", int(number))


def locator_of_row(row: int) -> str:
    """Opaque to clients: base64 of the row number without padding, such as MTAwMDA."""
    return base64.b64encode(str(row).encode()).decode().rstrip("=")


def row_of_locator(locator: str) -> int:
    """The row that `locator_of_row` named; 0 for none. Raises ApiError for what is no locator."""
    if not locator:
        return 0
    try:
        text = base64.b64decode(locator + "=" * (-len(locator) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ApiError(400, "INVALID_LOCATOR", "The locator is not valid for this job") from error
    if not re.fullmatch(r"\d+", text):
        raise ApiError(400, "INVALID_LOCATOR", "The locator is not valid for this job")
    return int(text)
