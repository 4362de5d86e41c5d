"""Messages that are to be sent: recorded in the transaction that they belong to, sent after it, at least once.

Every attempt carries the same token (a mail's Message-ID, a webhook's Idempotency-Key), so that who receives a message
twice can drop the second. A message that cannot be sent is tried again, later and later, for a day.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from crosstie.db.database import Database, Transaction, instant_text, parse_instant
from crosstie.errors import SendingError

Kind = Literal["mail", "webhook"]

# A message that a process has taken to send is left alone by others for so long; then that process was killed.
_CLAIM = timedelta(minutes=5)
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message to send. `content` is JSON: `subject`, `text` and `attachment` (its name) of a mail; the payload of a
    webhook. What activity of which run it is of is for the log."""

    kind: Kind
    recipient: str
    content: Mapping[str, Any]
    attachment: bytes | None = None
    workflow: str
    run: int | None = None
    activity: str = ""

    @property
    def place(self) -> str:
        """The recipient, for people: of a webhook only the host, for its path may be a secret."""
        return place_of(self.kind, self.recipient)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message taken out of the outbox, to be sent."""

    id: int
    token: str
    draft: Draft
    made_at: datetime
    attempts: int


class Sender(Protocol):
    """Sends messages of one kind."""

    def send(self, letter: Letter, now: datetime) -> None:
        """Sends it. Raises SendingError."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A message that could not be sent, for the log; `given_up` when it will not be tried again."""

    draft: Draft
    text: str
    given_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What became of the messages that were due."""

    sent: int = 0
    troubles: tuple[Trouble, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """How many messages wait to be sent, and how many were given up in the time that history is kept."""

    waiting: int
    given_up: int


def place_of(kind: str, recipient: str) -> str:
    """The recipient, for people."""
    return recipient if kind == "mail" else f"https://{urlsplit(recipient).hostname or '?'}/…"


def put(transaction: Transaction, draft: Draft, now: datetime) -> None:
    """Records a message in that transaction: it is sent exactly if the transaction is committed."""
    transaction.execute(
        "insert into crosstie.outbox (token, kind, recipient, workflow, run, activity, message, attachment, made_at,"
        " next_at) values (:token, :kind, :recipient, :workflow, :run, :activity, :message, :attachment, :now, :now)",
        {
            "token": secrets.token_hex(16),
            "kind": draft.kind,
            "recipient": draft.recipient,
            "workflow": draft.workflow,
            "run": draft.run,
            "activity": draft.activity,
            "message": json.dumps(dict(draft.content), ensure_ascii=False),
            "attachment": draft.attachment,
            "now": instant_text(now),
        },
    )


def waiting(transaction: Transaction) -> Waiting:
    """What is in the outbox."""
    row = transaction.row(
        "select coalesce(sum(case when status = 'waiting' then 1 else 0 end), 0),"
        " coalesce(sum(case when status = 'given_up' then 1 else 0 end), 0) from crosstie.outbox"
    )
    assert row is not None, "an aggregate has a row"
    return Waiting(waiting=int(row[0]), given_up=int(row[1]))


def send_waiting(
    db: Database,
    senders: Mapping[str, Sender],
    now: Callable[[], datetime],
    note: Callable[[Transaction, Trouble], None],
) -> Sent:
    """Sends the messages that are due, the oldest first; of several processes that do so each sends others. `note`
    keeps in the log, in the transaction that records it, what could not be sent: the first time, and when it is given
    up. Where a mail server or a host has failed, what else would go there waits for another call."""
    sent = 0
    troubles: list[Trouble] = []
    down: set[str] = set()
    while (letter := _take(db, now(), down)) is not None:
        try:
            senders[letter.draft.kind].send(letter, now())
        except SendingError as error:
            troubles.append(_postpone(db, letter, error, now(), note))
            if not error.final:
                down.add(_road(letter.draft.kind, letter.draft.recipient))
            continue
        with db.transaction(f"a message to {letter.draft.place} was sent") as transaction:
            _end(transaction, letter, "sent", now())
        sent += 1
    return Sent(sent=sent, troubles=tuple(troubles))


def _road(kind: str, recipient: str) -> str:
    """What fails together: all mails, all webhooks of a host."""
    return kind if kind == "mail" else place_of(kind, recipient)


def _take(db: Database, now: datetime, down: set[str]) -> Letter | None:
    """The oldest message that is due, which nobody else takes from now on."""
    with db.reading() as transaction:
        due = transaction.rows(
            "select id, next_at, kind, recipient from crosstie.outbox where status = 'waiting' and next_at <= :now"
            " order by id",
            {"now": instant_text(now)},
        )
    for number, next_at, kind, recipient in due:
        if _road(str(kind), str(recipient)) in down:
            continue
        with db.transaction("a message is sent") as transaction:
            taken = transaction.execute(
                "update crosstie.outbox set next_at = :claim, attempts = attempts + 1"
                " where id = :id and status = 'waiting' and next_at = :next",
                {"claim": instant_text(now + _CLAIM), "id": int(number), "next": str(next_at)},
            )
            if taken:
                return _letter(transaction, int(number))
    return None


def _letter(transaction: Transaction, number: int) -> Letter:
    row = transaction.row(
        "select token, kind, recipient, message, attachment, workflow, run, activity, made_at, attempts"
        " from crosstie.outbox where id = :id",
        {"id": number},
    )
    assert row is not None, "it was just taken"
    return Letter(
        id=number,
        token=str(row[0]),
        draft=Draft(
            kind="mail" if row[1] == "mail" else "webhook",
            recipient=str(row[2]),
            content=json.loads(str(row[3])),
            attachment=None if row[4] is None else bytes(row[4]),
            workflow=str(row[5]),
            run=None if row[6] is None else int(row[6]),
            activity=str(row[7]),
        ),
        made_at=parse_instant(str(row[8])),
        attempts=int(row[9]),
    )


def _end(transaction: Transaction, letter: Letter, status: str, now: datetime) -> None:
    """What was sent, or given up, need not be kept."""
    transaction.execute(
        "update crosstie.outbox set status = :status, ended_at = :now, message = '{}', attachment = null"
        " where id = :id and status = 'waiting'",
        {"status": status, "now": instant_text(now), "id": letter.id},
    )


def _postpone(
    db: Database,
    letter: Letter,
    error: SendingError,
    now: datetime,
    note: Callable[[Transaction, Trouble], None],
) -> Trouble:
    """Records a failure, and when it is tried again."""
    given_up = error.final or now - letter.made_at >= GIVEN_UP_AFTER
    text = " ".join(part for part in (error.message, error.hint) if part)
    trouble = Trouble(draft=letter.draft, text=text, given_up=given_up)
    pause = min(_FIRST_PAUSE * 2 ** min(letter.attempts - 1, 10), _LONGEST_PAUSE)
    with db.transaction(f"a message to {letter.draft.place} was not sent") as transaction:
        transaction.execute(
            "update crosstie.outbox set next_at = :next, trouble = :trouble where id = :id and status = 'waiting'",
            {"next": instant_text(now + max(pause, error.retry_after or pause)), "trouble": text, "id": letter.id},
        )
        if given_up:
            _end(transaction, letter, "given_up", now)
        if given_up or letter.attempts == 1:
            note(transaction, trouble)
    return trouble
