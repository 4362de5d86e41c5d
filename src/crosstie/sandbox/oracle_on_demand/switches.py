"""The switches of the sandbox: limits, rights, and the facts that are not sure of the real service."""

import msgspec


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """What a control request may set."""

    time_zone: str = "America/New_York"
    """The zone of the user: that of every text date on the wire."""
    company: str = ""
    """The company in the sign-in id of the user who asks, in place of its own."""
    session_quota: int = 10
    """How many sessions the company may have open."""
    idle_seconds: int = 600
    """After so long without a request a session ends, on the sandbox's clock."""
    logoff_lag_seconds: int = 0
    """How long after a logoff the session's slot is taken still, on the sandbox's clock."""
    request_gap: int = 50
    """Milliseconds that must lie between two requests of a session, on the machine's clock; 0 for no limit."""
    request_kilobytes: int = 28_800
    """How large a request may be."""
    page_limit: int = 100
    """Rows of a page at most."""
    batch_limit: int = 20
    """Records at the top of a write at most."""
    retention_days: int = 30
    """How long a deleted record can be found, on the sandbox's clock."""
    web_services: bool = True
    """Whether the user's role may use web services."""
    write_denied: list[str] = []
    """Objects that the user may only read."""
    r16_compatibility: bool = False
    """Every request with credentials opens a session, as under R16 Compatibility Mode."""
    fault_status: int = 500
    """The HTTP status of a fault; 200 is the other that was met."""
    login_refused_status: int = 403
    """The HTTP status of a login that is refused."""
    codes_in_parentheses: bool = True
    """Whether an application's error code is `(SBL-DAT-00225)` or without parentheses."""
    session_code: str = "SBL-ODU-01006"
    """The code of a request whose session has ended."""
    conflict_code: str = "SBL-DAT-00523"
    """The code of a wrong ModId."""
    duplicate_code: str = "SBL-DAT-00381"
    """The code of a key that another record has."""
    v1_ordered_by_id: bool = True
    """v1.0 answers by id; else in no order that means anything, as v2.0 does."""
    v2_dates_in_utc: bool = True
    """v2.0 writes UTC; else the user's own time with a false Z."""
    read_only_refused: bool = True
    """A value for a read-only field refuses the request, instead of being ignored."""
    nil_clears: bool = True
    """xsi:nil clears a field; else the request is refused as unreadable."""
    empty_clears: bool = True
    """An empty element clears a date or a number; else it is a wrong value."""
    restore_moves_stamp: bool = False
    """A restored record has a new ModifiedDate."""
    unchanged_moves_stamp: bool = True
    """An update to the values that a record has counts as a change."""
    v2_empty_texts: bool = False
    """A text without a value comes back as an empty element, instead of not at all."""
    mapping_custom_tags: bool = False
    """The mapping service names the company's own fields by their tags in custom WSDLs, instead of CustomText39."""
    start_row_from_one: bool = False
    """A page's first row is counted from one, as part of the guide says, instead of from zero."""
    strict_parentheses: bool = False
    """In a search specification joined terms need parentheses, and a lone term must not have any."""
    unequal_finds_empty: bool = False
    """`<>` is met by a field without a value."""


UNSURE: dict[str, object] = {
    "codes_in_parentheses": False,
    "conflict_code": "SBL-EAI-04401",
    "duplicate_code": "SBL-EAI-04381",
    "empty_clears": False,
    "fault_status": 200,
    "login_refused_status": 401,
    "mapping_custom_tags": True,
    "nil_clears": False,
    "read_only_refused": False,
    "restore_moves_stamp": True,
    "session_code": "SBL-ODU-01007",
    "start_row_from_one": True,
    "strict_parentheses": True,
    "unequal_finds_empty": True,
    "unchanged_moves_stamp": False,
    "v1_ordered_by_id": False,
    "v2_dates_in_utc": False,
    "v2_empty_texts": True,
}
"""The switches that stand for a fact nobody is sure of, each with its other position: clients must work in both."""
