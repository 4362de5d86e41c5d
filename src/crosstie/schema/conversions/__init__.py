"""Conversions between the wire text of a remote field and typed local columns.

`Converter` is imported from `crosstie.schema.conversions.converter`, because it brings pyarrow with it.
"""

from crosstie.schema.conversions.modes import (
    COPY_PASTE,
    DATE_ONLY,
    DEFAULT,
    MODES,
    WITHOUT_TIME_OFFSET,
    local_column,
    local_type,
)

__all__ = ["COPY_PASTE", "DATE_ONLY", "DEFAULT", "MODES", "WITHOUT_TIME_OFFSET", "local_column", "local_type"]
