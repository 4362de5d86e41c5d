"""The list of activities: one module and one line each."""

from __future__ import annotations

from crosstie.activities.alert import Alert
from crosstie.activities.and_join import AndJoin
from crosstie.activities.change_dimension import ChangeDimension
from crosstie.activities.crm_import import CrmImport
from crosstie.activities.deduplication import Deduplication
from crosstie.activities.edit_schema import EditSchema
from crosstie.activities.end import End
from crosstie.activities.enrichment import Enrichment
from crosstie.activities.exclusion import Exclusion
from crosstie.activities.external_signal import ExternalSignal
from crosstie.activities.file_extract import FileExtract
from crosstie.activities.file_load import FileLoad
from crosstie.activities.fork import Fork
from crosstie.activities.intersection import Intersection
from crosstie.activities.javascript import JavaScript
from crosstie.activities.jump import Jump
from crosstie.activities.lists import ListUpdate, ReadList
from crosstie.activities.query import IncrementalQuery, Query
from crosstie.activities.scheduler import Scheduler
from crosstie.activities.split import Split
from crosstie.activities.sql_code import SqlCode
from crosstie.activities.start import Start
from crosstie.activities.sub_workflow import SubWorkflow
from crosstie.activities.test import Test
from crosstie.activities.union import Union
from crosstie.activities.update_data import UpdateData
from crosstie.activities.wait import Wait
from crosstie.workflow.activity import Activity

ACTIVITIES: dict[str, type[Activity]] = {
    "start": Start,
    "scheduler": Scheduler,
    "file_load": FileLoad,
    "query": Query,
    "incremental_query": IncrementalQuery,
    "read_list": ReadList,
    "list_update": ListUpdate,
    "crm_import": CrmImport,
    "enrichment": Enrichment,
    "deduplication": Deduplication,
    "change_dimension": ChangeDimension,
    "update_data": UpdateData,
    "javascript": JavaScript,
    "sql_code": SqlCode,
    "file_extract": FileExtract,
    "alert": Alert,
    "end": End,
    "union": Union,
    "intersection": Intersection,
    "exclusion": Exclusion,
    "split": Split,
    "edit_schema": EditSchema,
    "test": Test,
    "fork": Fork,
    "and_join": AndJoin,
    "jump": Jump,
    "wait": Wait,
    "external_signal": ExternalSignal,
    "sub_workflow": SubWorkflow,
}
