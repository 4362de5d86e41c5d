"""The switches of the sandbox: sizes, quotas, and the facts that are not sure of the real platform."""

import msgspec


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """What a control request may set: sizes, quotas, and the facts that the fact sheet marks as unsure."""

    daily_requests: int = 100_000
    assignment_on_update: bool = True
    """Sforce-Auto-Assign holds for records that are changed too, as its page says, not only for new ones."""
    daily_requests_per_app: int = 0
    """Calls in 24 hours that the connected app may make; 0 for no limit of its own."""
    bulk_page_rows: int = 50_000
    """Rows of a result page when maxRecords is absent."""
    bulk_in_progress_polls: int = 0
    """How many status requests find a new job still InProgress, however fast it was."""
    bulk_datetime_offset: bool = False
    """Print datetimes in Bulk CSV as `+0000` instead of `Z`."""
    bulk_unordered: bool = False
    """Give Bulk rows in no useful order, instead of by id as cutting by primary key does (results of ingest jobs:
    instead of the order of the upload).
    """
    bulk_early_results_refused: bool = False
    """Answer 412 JOB_NOT_COMPLETE to who reads results too early, as an old guide shows, instead of 204."""
    bulk_jobs_page: int = 1000
    """Jobs of one page of a list of jobs."""
    bulk_batch_rows: int = 10_000
    """Rows of an ingest job that are committed together."""
    bulk_upload_bytes: int = 150_000_000
    """What the data of an ingest job may measure, counted in base64."""
    bulk_parents_contend: bool = False
    """Rows of ingest jobs that refer to the same parent from different batches fail with UNABLE_TO_LOCK_ROW."""
    bulk_failed_ids: bool = True
    """Failed results name the record of a refused update or delete, instead of leaving sf__Id empty."""
    open_jobs_expire: bool = False
    """Ingest jobs that were never begun vanish after seven days too, instead of staying open."""
    daily_ingest_rows: int = 150_000_000
    """Rows of ingest jobs in 24 hours; the job that exceeds them fails."""
    hard_delete: bool = True
    """Whether the user has the permission Bulk API Hard Delete."""
    bulk_unsupported: list[str] = []
    """Objects that Bulk refuses with INVALIDENTITY."""
    bulk_next_link: str = "nextRecordsUrl"
    """The key of resultPages' next link: the guide's table and its usage differ."""
    query_page_rows: int = 2000
    query_values_at_start: bool = False
    """Later pages show the values that records had when the query began, instead of those they have now."""
    locator_idle_seconds: float = 172_800.0
    locators_kept: int = 10
    session_idle_seconds: float = 7_200.0
    soap_login: bool = True
    org_id: str = ""
    """Another org's id to answer at sign-in, as when the account has come to lead elsewhere; empty for its own."""
    late_fails_replication: bool = False
    """Answer INVALID_REPLICATION_DATE instead of an earlier latestDateCovered, as older guides say."""
    deleted_clipped: bool = False
    """Answer what is left of deletions before earliestDateAvailable, instead of refusing the start."""
    record_count_share: float = 1.0
    """What limits/recordCount says, in proportion to the truth: it is approximate."""
    not_modified_counted: bool = True
    """A 304 counts as an API call."""
    retired_status: int = 410
    """What a retired version answers: 410 GONE or 404 NOT_FOUND."""
    soap_sessions_shared: bool = True
    """SOAP logins of one user get the same session."""
    soap_login_code: str = "INVALID_OPERATION"
    """The fault of login() where it is switched off."""
    password_flow: bool = True
    """Whether the OAuth password flow is open; new orgs block it."""
    logins_per_hour: int = 0
    """Sign-ins in an hour of the sandbox's clock; 0 for no limit (the platform's is about 3,600)."""
    children_bound: bool = False
    """Deleting a record takes along the children that can't be without it, and fails for those that keep it."""
    parents_contend: bool = False
    """Rows of collections that refer to one parent at the same time are UNABLE_TO_LOCK_ROW, except in the first."""
    collection_seconds: float = 0.0
    """How long a collection holds the parents of its rows after its work."""
    duplicate_result_key: str = "duplicateResut"
    """The member of DUPLICATES_DETECTED that tells of the other records; the spelling is Salesforce's own."""
    missing_id_code: str = "NOT_FOUND"
    """What a single update or deletion answers of a record that is not there."""
    purged_as_deleted: bool = False
    """A record that is gone from the recycle bin is ENTITY_IS_DELETED, instead of as if it had never been."""
    recycle_bin_days: float = 15.0
    """How long deleted records stay in the bin, and deletions can be asked for."""
    duplicate_key_code: str = "DUPLICATE_VALUE"
    """The row error of an external id that comes twice in one call."""
    duplicate_ids_refused: bool = True
    """Rows of one chunk of an update that have the same id are all refused, instead of written one after another."""
    length_in_units: bool = True
    """The length of a text is counted in units of UTF-16, as Java does, instead of in characters."""
    unknown_field_fails_call: bool = True
    """A collection with a row that names an unknown field is refused as a whole, as one that can't be read is."""
    email_lowered: bool = False
    """E-mail addresses are kept in lower case."""
    white_space_kept: bool = False
    """White space around text is kept, instead of trimmed."""
    double_exponents: bool = False
    """JSON shows doubles as Java does (`1.0E7`), from ten million on and below a thousandth."""
    composite_conditions: bool = True
    """Conditional headers of composite subrequests are obeyed."""
    composite_counts_parts: bool = False
    """Graphs and trees count as many calls as they have records, instead of one."""
    graph_repeats_error: bool = False
    """In a failed composite graph each part shows the error of the one at fault, instead of PROCESSING_HALTED."""


UNSURE: dict[str, object] = {
    "assignment_on_update": False,
    "bulk_datetime_offset": True,
    "bulk_early_results_refused": True,
    "bulk_failed_ids": False,
    "bulk_next_link": "nextRecordUrl",
    "bulk_unordered": True,
    "composite_conditions": False,
    "composite_counts_parts": True,
    "deleted_clipped": True,
    "double_exponents": True,
    "duplicate_ids_refused": False,
    "duplicate_key_code": "DUPLICATE_EXTERNAL_ID",
    "duplicate_result_key": "duplicateResult",
    "email_lowered": True,
    "graph_repeats_error": True,
    "late_fails_replication": True,
    "length_in_units": False,
    "missing_id_code": "INVALID_CROSS_REFERENCE_KEY",
    "not_modified_counted": False,
    "open_jobs_expire": True,
    "password_flow": False,
    "purged_as_deleted": True,
    "query_values_at_start": True,
    "record_count_share": 0.9,
    "retired_status": 404,
    "soap_login_code": "API_DISABLED_FOR_ORG",
    "soap_sessions_shared": False,
    "unknown_field_fails_call": False,
    "white_space_kept": True,
}
"""The switches that stand for a fact nobody is sure of, each with its other position: clients must work in both."""
