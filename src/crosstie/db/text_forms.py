"""The strict forms in which a text can be read as another type, as regular expressions.

They are written in what Python, PostgreSQL and RE2 (pyarrow) have in common.
"""

from __future__ import annotations

# A day of the years 0001 to 9999 that exists, leap years counted.
DAY = (
    r"(?:(?:[0-9]{3}[1-9]|[0-9]{2}[1-9]0|[0-9][1-9]00|[1-9]000)-"
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)-02-29)"
)
CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
OFFSET = r"(?:Z|[+-](?:0[0-9]|1[0-4]):?[0-5][0-9])"
NUMBER = r"(?:[0-9]{1,100}(?:\.[0-9]{0,100})?|\.[0-9]{1,100})"

FORMS = {
    "integer": r"^[+-]?[0-9]{1,19}$",
    "decimal": rf"^[+-]?{NUMBER}$",
    "float": rf"^[+-]?{NUMBER}(?:[eE][+-]?[0-9]{{1,3}})?$",
    "boolean": r"^(?:true|false|1|0)$",
    "date": rf"^{DAY}$",
    "time": rf"^{CLOCK}$",
    "wall_clock": rf"^{DAY}[T ]{CLOCK}$",
    "instant": rf"^{DAY}[T ]{CLOCK}{OFFSET}$",
}
