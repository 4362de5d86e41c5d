"""What a row is refused with, in Salesforce's codes and words.

Sources: the row errors of the fact sheet, section 4; "Considerations for Using Duplicate Rules", Salesforce Help.
"""

from crosstie.sandbox.salesforce.catalog import Field
from crosstie.sandbox.salesforce.errors import ApiError


def row_refusal(error: ApiError) -> ApiError:
    """A refusal as a row of many is told it: a record that is not there is an invalid reference."""
    if error.code == "NOT_FOUND":
        return ApiError(404, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", [])
    return error


def entity_deleted() -> ApiError:
    """404 ENTITY_IS_DELETED: the record is in the recycle bin."""
    return ApiError(404, "ENTITY_IS_DELETED", "entity is deleted", [])


def lead_converted() -> ApiError:
    """400 CANNOT_UPDATE_CONVERTED_LEAD: it has become a contact, which is to be changed instead."""
    return ApiError(400, "CANNOT_UPDATE_CONVERTED_LEAD", "cannot reference converted lead", [])


def required_missing(names: list[str]) -> ApiError:
    """400 REQUIRED_FIELD_MISSING."""
    return ApiError(400, "REQUIRED_FIELD_MISSING", f"Required fields are missing: [{', '.join(names)}]", names)


def duplicate_value(item: Field, record_id: str) -> ApiError:
    """400 DUPLICATE_VALUE: another record has this value of a unique field."""
    message = f"duplicate value found: {item.name} duplicates value on record with id: {record_id}"
    return ApiError(400, "DUPLICATE_VALUE", message, [])


def several_records(key: Field, ids: list[str]) -> ApiError:
    """400 DUPLICATE_EXTERNAL_ID, as a row's error: its external id belongs to more than one record."""
    message = f"{key.name}: more than one record found for external id field: [{', '.join(ids)}]"
    return ApiError(400, "DUPLICATE_EXTERNAL_ID", message, [])


def duplicate_key(key: Field, value: str, code: str) -> ApiError:
    """400 with the code of the org's switch, as a row's error: rows of one call have the same external id."""
    return ApiError(400, code, f"Duplicate external id specified: {value}", [key.name])


def duplicate_id(record_id: str) -> ApiError:
    """400 DUPLICATE_VALUE, as a row's error: rows of one chunk change the same record (help article 000384876)."""
    return ApiError(400, "DUPLICATE_VALUE", f"Duplicate id specified: {record_id}", [])


def row_locked(record_id: str) -> ApiError:
    """400 UNABLE_TO_LOCK_ROW: another transaction holds the record."""
    message = f"unable to obtain exclusive access to this record or 1 records: {record_id}"
    return ApiError(400, "UNABLE_TO_LOCK_ROW", message, [])
