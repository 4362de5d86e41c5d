"""The list of activities: one module and one line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module

from crosstie.workflow.activity import Activity

_PLACES = {
    "start": "start.Start",
    "scheduler": "scheduler.Scheduler",
    "file_load": "file_load.FileLoad",
    "query": "query.Query",
    "incremental_query": "query.IncrementalQuery",
    "read_list": "lists.ReadList",
    "list_update": "lists.ListUpdate",
    "crm_import": "crm_import.CrmImport",
    "crm_import_deleted": "crm_import_deleted.CrmImportDeleted",
    "crm_export": "crm_export.CrmExport",
    "crm_delete": "crm_delete.CrmDelete",
    "enrichment": "enrichment.Enrichment",
    "deduplication": "deduplication.Deduplication",
    "change_dimension": "change_dimension.ChangeDimension",
    "update_data": "update_data.UpdateData",
    "javascript": "javascript.JavaScript",
    "sql_code": "sql_code.SqlCode",
    "file_extract": "file_extract.FileExtract",
    "alert": "alert.Alert",
    "end": "end.End",
    "union": "union.Union",
    "intersection": "intersection.Intersection",
    "exclusion": "exclusion.Exclusion",
    "split": "split.Split",
    "edit_schema": "edit_schema.EditSchema",
    "test": "test.Test",
    "fork": "fork.Fork",
    "and_join": "and_join.AndJoin",
    "jump": "jump.Jump",
    "wait": "wait.Wait",
    "external_signal": "external_signal.ExternalSignal",
    "sub_workflow": "sub_workflow.SubWorkflow",
}


class Catalogue(Mapping[str, type[Activity]]):
    """The activities by the word of the definition file. A module is imported when its activity is asked for: all of
    them together would cost a small run half of its time."""

    def __getitem__(self, word: str) -> type[Activity]:
        module, _, name = _PLACES[word].rpartition(".")
        found: type[Activity] = getattr(import_module(f"{__name__}.{module}"), name)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)

    def __contains__(self, word: object) -> bool:
        return word in _PLACES


ACTIVITIES = Catalogue()
