"""The switches of the sandbox: sizes, quotas, and the facts that are not sure of the real platform."""

import msgspec


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """What a control request may set: sizes, quotas, and the facts that the fact sheet marks as unsure."""

    daily_requests: int = 100_000
    daily_requests_per_app: int = 0
    """Calls in 24 hours that the connected app may make; 0 for no limit of its own."""
    bulk_page_rows: int = 50_000
    """Rows of a result page when maxRecords is absent."""
    bulk_in_progress_polls: int = 0
    """How many status requests find a new job still InProgress, however fast it was."""
    bulk_datetime_offset: bool = False
    """Print datetimes in Bulk CSV as `+0000` instead of `Z`."""
    bulk_unordered: bool = False
    """Give Bulk rows in no useful order, instead of by id as cutting by primary key does."""
    bulk_early_results_refused: bool = False
    """Answer 412 JOB_NOT_COMPLETE to who reads results too early, as an old guide shows, instead of 204."""
    bulk_unsupported: list[str] = []
    """Objects that Bulk refuses with INVALIDENTITY."""
    bulk_next_link: str = "nextRecordsUrl"
    """The key of resultPages' next link: the guide's table and its usage differ."""
    query_page_rows: int = 2000
    locator_idle_seconds: float = 172_800.0
    locators_kept: int = 10
    session_idle_seconds: float = 7_200.0
    soap_login: bool = True
    org_id: str = ""
    """Another org's id to answer at sign-in, as when the account has come to lead elsewhere; empty for its own."""
    late_fails_replication: bool = False
    """Answer INVALID_REPLICATION_DATE instead of an earlier latestDateCovered, as older guides say."""
