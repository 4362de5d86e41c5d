"""The list of activities: one module and one line each."""

from __future__ import annotations

from crosstie.activities.crm_import import CrmImport
from crosstie.activities.deduplication import Deduplication
from crosstie.activities.end import End
from crosstie.activities.enrichment import Enrichment
from crosstie.activities.javascript import JavaScript
from crosstie.activities.scheduler import Scheduler
from crosstie.activities.start import Start
from crosstie.activities.update_data import UpdateData
from crosstie.workflow.activity import Activity

ACTIVITIES: dict[str, type[Activity]] = {
    "start": Start,
    "scheduler": Scheduler,
    "crm_import": CrmImport,
    "enrichment": Enrichment,
    "deduplication": Deduplication,
    "update_data": UpdateData,
    "javascript": JavaScript,
    "end": End,
}
