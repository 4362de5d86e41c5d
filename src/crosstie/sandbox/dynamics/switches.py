"""The switches of the sandbox: limits, roles, and the facts that are not sure of the real service."""

import msgspec


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """What a control request may set."""

    application_user: bool = True
    """Whether the organization has a user for the application that signs in."""
    role: bool = True
    """Whether that user has a security role."""
    token_seconds: int = 3599
    """How long a new access token lives, on the machine's clock."""
    secret_expired: bool = False
    """The client secret has run out (AADSTS7000222)."""
    second_factor: bool = False
    """The user must confirm a second factor, so that the password alone is refused (AADSTS50076)."""
    consent: bool = True
    """Whether an administrator has consented to the application (AADSTS65001)."""
    organization_id: str = ""
    """Another organization's id to answer, as when the account has come to lead elsewhere; empty for its own."""
    parallelism_hint: int = 8
    """x-ms-dop-hint, the parallelism that the service recommends."""
    requests_limit: int = 6000
    """Requests that a user may make in five minutes of the sandbox's clock; 0 for no limit."""
    execution_seconds_limit: float = 1200.0
    """Seconds of work that a user may cause in five minutes; 0 for no limit."""
    concurrent_limit: int = 52
    """Requests that a user may have at work at the same time; 0 for no limit."""
    retry_after: int = 0
    """What a refusal of one of these limits says in Retry-After; 0 for the seconds that are really left."""
    request_seconds: float = 0.0
    """How much work every request counts beside the time that it took."""
    empty_text_null: bool = True
    """An empty text is stored as null."""
    ne_includes_nulls: bool = True
    """`ne` is true for rows without a value."""
    like_wildcards: bool = True
    """`%`, `_` and `[…]` inside a value match as they do in LIKE."""
    accents_differ: bool = True
    """Text with an accent differs from text without."""
    alternate_key_code: str = "0x80060892"
    """The code of a row whose alternate key another row has."""
    primary_key_code: str = "0x80040237"
    """The code of a new row whose primary key another row has."""
    duplicate_status: int = 412
    """The HTTP status of both."""
    picklist_code: str = "0x8004431A"
    """The code of a value that a choice does not have."""
    date_only_time_refused: bool = True
    """A time in a DateOnly column is refused, instead of dropped."""
    create_inactive: bool = True
    """A new row may begin in another state than the active one."""
    tracking_expired_status: int = 400
    """The HTTP status of an expired delta token."""
    count_mark: bool = False
    """`/$count` begins with a byte order mark."""
    v1_numbers_text: bool = True
    """The first version of the token endpoint answers numbers as text."""
    unauthorized_html: bool = False
    """A 401 has a page for people, instead of no body."""


UNSURE: dict[str, object] = {
    "accents_differ": False,
    "alternate_key_code": "0x80040237",
    "count_mark": True,
    "create_inactive": False,
    "date_only_time_refused": False,
    "empty_text_null": False,
    "like_wildcards": False,
    "ne_includes_nulls": False,
    "picklist_code": "0x80048d19",
    "primary_key_code": "0x80060892",
    "tracking_expired_status": 410,
    "unauthorized_html": True,
    "v1_numbers_text": False,
}
"""The switches that stand for a fact nobody is sure of, each with its other position: clients must work in both."""
