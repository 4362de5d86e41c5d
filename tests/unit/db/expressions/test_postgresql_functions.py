"""Which collation lower() and upper() use on a PostgreSQL server."""

from __future__ import annotations

import pytest

from crosstie.db.postgresql_functions import case_collation, function_statements
from crosstie.errors import DatabaseError


@pytest.mark.parametrize(
    ("available", "chosen"),
    [
        (["default", "C", "C.utf8", "en_US.utf8", "und-x-icu"], "C.utf8"),
        (["default", "C", "pg_c_utf8", "C.utf8"], "pg_c_utf8"),
        (["C", "en_US.utf8", "und-x-icu"], "en_US.utf8"),
        (["C", "und-x-icu", "de_DE.utf8"], "und-x-icu"),
        (["C", "POSIX", "fr_FR.utf8", "de_DE.UTF-8"], "de_DE.UTF-8"),
    ],
)
def test_a_collation_that_knows_unicode_is_chosen(available: list[str], chosen: str) -> None:
    assert case_collation(available) == chosen
    assert f'COLLATE "{chosen}"' in function_statements(chosen)[0]


def test_a_server_without_one_is_refused_with_the_way_out() -> None:
    with pytest.raises(DatabaseError, match="no UTF-8 locale") as caught:
        case_collation(["default", "C", "POSIX"])
    assert "pg_import_system_collations" in caught.value.hint
