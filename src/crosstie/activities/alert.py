"""Alert: a mail, a webhook, or both, sent after the task is published."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from crosstie.db.database import Transaction, instant_text
from crosstie.db.statements import quote_identifier
from crosstie.errors import ConfigError, FileError, MappingError, ScriptError
from crosstie.model import Column, find_column
from crosstie.notify.addresses import is_address, webhook_mistake
from crosstie.notify.outbox import Draft, put
from crosstie.script.engine import ScriptScope
from crosstie.script.template import Template, read_template
from crosstie.workflow.activity import OK, Activity, Context, Done, Problem, Shape, Site

if TYPE_CHECKING:
    from crosstie.activities.files.writing import Style

MOST_ATTACHED_BYTES = 10 * 1024 * 1024
_SINGLE = 500


class Attachment(BaseModel):
    """The population as a CSV file of a mail."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field("rows.csv", description="the name of the file, with templates", min_length=1)
    columns: tuple[str, ...] = Field((), description="which inbound columns, in this order; by default all")
    delimiter: Literal[",", ";", "tab"] = Field(",", description="between the values")


class Alert(Activity):
    """Tells people by mail, or another system by a webhook."""

    summary: ClassVar[str] = "tells people by mail, or other systems by a webhook"
    min_inputs: ClassVar[int] = 0
    acts_outside: ClassVar[bool] = True

    type: Literal["alert"]
    to: tuple[str, ...] = Field((), description="e-mail addresses, with templates; each gets a mail of its own")
    subject: str = Field("", description="of the mail, with templates")
    text: str = Field("", description="of the mail, with templates")
    attach: Attachment | None = Field(
        None, description="the population as a CSV file of the mail; true for all columns"
    )
    webhook: str = Field("", description="an https address, with templates, to which JSON is posted")
    data: dict[str, str] = Field(
        default_factory=dict,
        description="what the webhook is told beside run, activity and rows, with templates",
    )
    empty: Literal["send", "skip"] = Field("send", description="when a population without rows comes in")

    @field_validator("to", mode="before", json_schema_input_type=str | tuple[str, ...])
    @classmethod
    def _listed(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("attach", mode="before", json_schema_input_type=Attachment | Literal[True] | None)
    @classmethod
    def _all(cls, value: Any) -> Any:
        return {} if value is True else value

    def problems(self, inputs: tuple[Shape, ...], site: Site) -> Iterable[Problem]:
        """Nobody to tell, templates that are no JavaScript, addresses that are none, unknown columns."""
        if not self.to and not self.webhook:
            yield Problem(path=("to",), message="nobody is told: write “to” with e-mail addresses, or “webhook”")
        if self.to and not self.subject.strip():
            yield Problem(path=("subject",), message="a mail needs a subject")
        if not self.to and (self.subject or self.text or self.attach is not None):
            yield Problem(path=("to",), message="subject, text and attach are of a mail, which goes to nobody")
        for place, text in self._templates():
            mistake = _template_mistake(text)
            if mistake:
                yield Problem(path=place, message=mistake)
            elif place[0] == "to" and "<%" not in text and not is_address(text):
                yield Problem(path=place, message=f"“{text}” is not an e-mail address")
            elif place[0] == "webhook" and "<%" not in text and webhook_mistake(text):
                yield Problem(path=place, message=webhook_mistake(text))
        if self.attach is not None and inputs:
            for number, name in enumerate(self.attach.columns):
                if find_column(inputs[0].columns, name) is None:
                    known = ", ".join(one.name for one in inputs[0].columns)
                    yield Problem(
                        path=("attach", "columns", number), message=f"there is no column “{name}”. There is {known}."
                    )
        elif self.attach is not None:
            yield Problem(path=("attach",), message="no population comes in that could be attached")

    def _templates(self) -> Iterable[tuple[tuple[str | int, ...], str]]:
        for number, one in enumerate(self.to):
            yield ("to", number), one
        for name in ("subject", "text", "webhook"):
            if getattr(self, name):
                yield (name,), getattr(self, name)
        for key, value in self.data.items():
            yield ("data", key), value
        if self.attach is not None:
            yield ("attach", "name"), self.attach.name

    def outputs(self, inputs: tuple[Shape, ...], site: Site) -> Mapping[str, Shape | None]:
        """What comes in goes out."""
        return {OK: inputs[0] if inputs else None}

    def run(self, context: Context) -> Done:
        """Makes the messages; the commit that ends the task puts them into the outbox, and they are sent after it."""
        inbound = context.inputs[0] if context.inputs else None
        if self.empty == "skip" and inbound is not None and not inbound.rows:
            context.log.info("No rows came in: nobody is told.")
            return Done(tables={OK: inbound}, counts={"messages": 0})
        drafts = self._drafts(context)
        for one in drafts:
            context.log.info(
                f"A {'mail' if one.kind == 'mail' else 'message'} goes to {one.place} after this task. It can repeat:"
                " killed while it is sent, it is sent again, with the same"
                f" {'Message-ID' if one.kind == 'mail' else 'Idempotency-Key'}."
            )

        def effect(transaction: Transaction) -> None:
            for one in drafts:
                put(transaction, one, context.now())

        return Done(tables={OK: inbound}, counts={"messages": len(drafts)}, effect=effect)

    def _drafts(self, context: Context) -> list[Draft]:
        scope = context.scope()
        attachment = self._attached(context) if self.attach is not None and self.to else None
        content = {"subject": _one_line(self.subject, scope), "text": Template(self.text).render(scope)}
        if self.attach is not None:
            content["attachment"] = _one_line(self.attach.name, scope)
        drafts = []
        for written in self.to:
            address = Template(written).render(scope).strip()
            if not is_address(address):
                raise ConfigError(f"“{address}” is not an e-mail address.", hint="See “to” of the alert.")
            drafts.append(self._draft(context, "mail", address, content, attachment))
        if self.webhook:
            url = Template(self.webhook).render(scope).strip()
            mistake = webhook_mistake(url)
            if mistake:
                raise ConfigError(f"The alert cannot be sent: {mistake}.", hint="See “webhook” of the alert.")
            drafts.append(self._draft(context, "webhook", url, self._payload(context, scope), None))
        return drafts

    def _draft(
        self,
        context: Context,
        kind: Literal["mail", "webhook"],
        recipient: str,
        content: Mapping[str, Any],
        attachment: bytes | None,
    ) -> Draft:
        return Draft(
            kind=kind,
            recipient=recipient,
            content=content,
            attachment=attachment,
            workflow=context.workflow,
            run=context.run,
            activity=context.activity,
        )

    def _payload(self, context: Context, scope: ScriptScope) -> dict[str, Any]:
        values = {key: Template(text).value(scope) for key, text in self.data.items()}
        return {
            "event": "alert",
            "workflow": context.workflow,
            "run": context.run,
            "activity": context.activity,
            "rows": context.inputs[0].rows if context.inputs else None,
            "at": instant_text(context.now()),
            "data": {key: _json_value(value) for key, value in values.items()},
        }

    def _attached(self, context: Context) -> bytes:
        """The population as CSV. Raises FileError where it is too large for a mail."""
        from crosstie.activities.files.writing import csv_lines, header_line

        assert self.attach is not None
        inbound = context.input
        columns = _chosen(inbound.columns, self.attach.columns)
        style = self._style(context)
        listed = ", ".join(quote_identifier(one.name) for one in columns)
        ordered = f" order by {', '.join(quote_identifier(one) for one in inbound.key)}" if inbound.key else ""
        file = io.BytesIO()
        file.write(f"\ufeff{header_line(style, columns)}".encode())
        for batch in context.db.read(f"select {listed} from crosstie.{inbound.name}{ordered}", None, columns):
            file.write(csv_lines(style, columns, batch).encode())
            if file.tell() > MOST_ATTACHED_BYTES:
                raise FileError(
                    f"The {inbound.rows:,} rows are larger than {MOST_ATTACHED_BYTES // 1024 // 1024} MB, which no mail"
                    " should carry.",
                    hint="Write them into a file (file_extract) and say where it is.",
                    code="TOO_LARGE",
                )
        return file.getvalue()

    def _style(self, context: Context) -> Style:
        from crosstie.activities.files.writing import Style

        assert self.attach is not None
        delimiter = "\t" if self.attach.delimiter == "tab" else self.attach.delimiter
        # People open attachments in a spreadsheet.
        return Style(format="csv", zone=context.zone, delimiter=delimiter, line_end="\r\n", guarded=True)


def _chosen(columns: tuple[Column, ...], names: tuple[str, ...]) -> tuple[Column, ...]:
    if not names:
        return columns
    found = [find_column(columns, name) for name in names]
    missing = [name for name, column in zip(names, found, strict=True) if column is None]
    if missing:
        raise MappingError(f"There is no inbound column {', '.join(missing)}.", hint="See “attach” of the alert.")
    return tuple(column for column in found if column is not None)


def _template_mistake(text: str) -> str:
    try:
        read_template(text)
    except ScriptError as error:
        return f"{error.message} {error.hint}".strip()
    return ""


def _one_line(text: str, scope: ScriptScope) -> str:
    return " ".join(Template(text).render(scope).split())[:_SINGLE]


def _json_value(value: object) -> object:
    return instant_text(value) if isinstance(value, datetime) else value
