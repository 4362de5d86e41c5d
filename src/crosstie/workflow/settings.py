"""The keys of a workflow file above its activities."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from crosstie.notify.addresses import is_address, webhook_mistake
from crosstie.workflow.activity import OnError
from crosstie.workflow.durations import WrittenDuration, parse_duration


class WorkflowSettings(BaseModel):
    """What holds for a workflow as a whole."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    workflow: str = Field(description="its name: letters, digits, - and _")
    label: str = Field("", description="shown to people instead of the name")
    time_zone: str = Field("", description="an IANA name like Europe/Paris; by default the project's")
    on_error: OnError = Field(
        "suspend",
        description="what a failure does that takes no Error transition: suspend the workflow until a person resumes"
        " it, ignore it (that branch ends, the others go on), or abort (it cannot be resumed)",
    )
    ignore_at_most: int = Field(
        0, ge=0, description="with on_error ignore: suspend after so many failures in a row; 0 for never"
    )
    supervisors: tuple[str, ...] = Field(
        (), description="who is told when it is suspended: e-mail addresses, or https addresses of webhooks"
    )
    keep_history: timedelta = Field(
        timedelta(days=30), description="how long runs and their log are kept, by default 30d; 0 for ever"
    )
    report_paused: timedelta = Field(
        timedelta(days=7),
        description="when it stays paused or failed for so long, by default 7d, that is reported, and weekly after"
        " that; 0 for never",
    )
    stop_paused: timedelta = Field(
        timedelta(days=30),
        description="when it stays paused or failed for so long, by default 30d, it is stopped; 0 for never",
    )
    keep_interim: bool = Field(False, description="keep all work tables of the latest run, not only the last ones")
    parallel: int = Field(4, ge=1, le=64, description="how many of its activities work at the same time")
    sql_log: bool = Field(False, description="log the SQL statements of each activity")

    @field_validator(
        "keep_history", "report_paused", "stop_paused", mode="before", json_schema_input_type=WrittenDuration
    )
    @classmethod
    def _duration(cls, value: object) -> object:
        return parse_duration(value)

    @field_validator("supervisors", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("supervisors")
    @classmethod
    def _reachable(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for one in value:
            if not is_address(one) and webhook_mistake(one):
                raise ValueError(f"“{one}” is neither an e-mail address nor an https address")
        return value
