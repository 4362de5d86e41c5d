"""Which wire texts a value may have, as regular expressions for whole columns.

pyarrow has no cast that skips what it cannot read. So a column is first cast as it is, which is fast; only when that
fails are the cells that do not have the form found here, set aside, and the rest cast. A form is therefore what the
cast accepts, and what the cast accepts beyond it is checked after the cast: what becomes of a cell never depends on its
neighbours (`tests/unit/schema/conversions` proves it).
"""

from __future__ import annotations

from crosstie.db.text_forms import DAY

_HOUR = r"(?:[01][0-9]|2[0-3])"
_CLOCK = rf"{_HOUR}(?::[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{{1,6}})?)?)?"
_OFFSET = rf"(?:Z|[+-]{_HOUR}(?::?[0-5][0-9])?)"

INTEGER = r"^-?[0-9]+$"
# Some interfaces write a whole number like a decimal.
WHOLE = r"^[+-]?[0-9]{1,19}(?:\.0{0,15})?$"
NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
BOOLEAN = r"^(?i:true|false|0|1)$"
DATE = rf"^{DAY}$"
ZONED = rf"^{DAY}[T ]{_CLOCK}{_OFFSET}$"
ZONELESS = rf"^{DAY}(?:[T ]{_CLOCK})?$"
EPOCH_MILLISECONDS = r"^-?[0-9]{6,15}$"
OFFSET_SUFFIX = rf"{_OFFSET}$"
CLOCK = rf"^{_CLOCK}Z?$"
