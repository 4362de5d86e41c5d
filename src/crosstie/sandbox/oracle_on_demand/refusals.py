"""The faults of queries and of the services for metadata.

The words of SBL-DAT-00501 are those of Siebel's business components; those of SBL-ODU-00271 are Oracle's (CRM On
Demand developer guide, "CRUD Error Codes and Messages").
"""

from __future__ import annotations

from crosstie.sandbox.oracle_on_demand.faults import SoapFault, wrapped

INVALID_SEARCH = "SBL-DAT-00501"


def search_refused(component: str, text: str, reason: str) -> SoapFault:
    """A search specification that can't be read, or can't be searched by."""
    message = (
        f"Invalid search specification '{text}' ({reason}). Please continue or ask your systems administrator to check"
        " your application configuration if the problem persists."
    )
    return wrapped(INVALID_SEARCH, message, "Execute", component)


def bad_argument(name: str) -> SoapFault:
    """An argument that is missing, or has a value that it can't have."""
    return SoapFault("A", "SBL-ODU-00271", f"Invalid value for the parameter: {name}.(SBL-ODU-00271)")


def sorts_and_filters(component: str) -> SoapFault:
    """v1.0 sorts or filters. Its own words for it are not known."""
    reason = "a query of version 1.0 sorts or filters, not both"
    return search_refused(component, "", reason)


def not_countable(component: str, tag: str) -> SoapFault:
    """A record count with a calculated field among the criteria."""
    message = f"Records can't be counted by the calculated field '{tag}'."
    return wrapped("SBL-EAI-04376", message, "CountRecords", component)


def no_picklist(field_name: str, record_type: str) -> SoapFault:
    """A field whose values can't be fetched: it is no picklist, or a read-only one."""
    message = f"The field '{field_name}' of '{record_type}' is not a picklist that can be read.(SBL-ODS-50735)"
    return SoapFault("A", "SBL-ODS-50735", message)


def no_record_type(name: str) -> SoapFault:
    """A record type that the services for metadata don't know."""
    return SoapFault("A", "SBL-ODS-50085", f"The record type '{name}' is not valid.(SBL-ODS-50085)")
