"""Messages are sent when their task is published, at least once, by a real mail server and a real webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from crosstie.db.database import Database
from crosstie.notify.mail import MailSender, MailServer
from crosstie.notify.outbox import Draft, Letter, Sender, Sent, put, send_waiting
from crosstie.notify.webhook import WebhookSender, WebhookSettings
from crosstie.workflow.notices import note_trouble
from tests.contract.notify.post import PASSWORD, USER, Hook, Mailbox, mail_server, webhook_server
from tests.contract.workflow.test_dispatch import HandClock


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture
def mailbox(certificates: Path) -> Iterator[Mailbox]:
    with mail_server(certificates) as mailbox:
        yield mailbox


@pytest.fixture
def hook(certificates: Path) -> Iterator[Hook]:
    with webhook_server(certificates) as hook:
        yield hook


class Office:
    """A database with an outbox, a clock, and the senders."""

    def __init__(self, db: Database, senders: Mapping[str, Sender]) -> None:
        self.db = db
        self.senders = senders
        self.clock = HandClock()

    def put(self, kind: Any, recipient: str, **content: Any) -> None:
        with self.db.transaction("test") as transaction:
            draft = Draft(kind=kind, recipient=recipient, content=content, workflow="flow", run=7, activity="tell")
            put(transaction, draft, self.clock.now())

    def send(self, **later: float) -> Sent:
        self.clock.at += timedelta(**later)
        return send_waiting(
            self.db,
            self.senders,
            self.clock.now,
            lambda transaction, trouble: note_trouble(transaction, trouble, self.clock.now()),
        )

    def log(self) -> list[tuple[str, str]]:
        with self.db.reading() as transaction:
            return [
                (level, text) for level, text in transaction.rows("select level, text from crosstie.log order by id")
            ]

    def states(self) -> list[str]:
        with self.db.reading() as transaction:
            return [status for (status,) in transaction.rows("select status from crosstie.outbox order by id")]


def server_of(mailbox: Mailbox) -> MailServer:
    return MailServer(
        host="localhost",
        port=mailbox.port,
        security="starttls",
        sender="crosstie@example.com",
        user=USER,
        password=PASSWORD,
        ca_file=mailbox.ca_file,
    )


def mail_office(db: Database, mailbox: Mailbox) -> Office:
    return Office(db, {"mail": MailSender(server_of(mailbox), db.id)})


def test_a_mail_arrives_once_over_tls_and_signed_in(database: Database, mailbox: Mailbox) -> None:
    office = mail_office(database, mailbox)
    office.put("mail", "ann@example.com", subject="Ünïcode\r\nBcc: all@example.com", text="Grüße\n.\nend\n")
    assert office.send().sent == 1
    (mail,) = mailbox.mails
    assert (mail["To"], mail["Subject"]) == ("ann@example.com", "Ünïcode Bcc: all@example.com")
    assert mail["Bcc"] is None and mailbox.recipients == ["ann@example.com"]
    assert mail.get_content().replace("\r\n", "\n") == "Grüße\n.\nend\n"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mailbox.signed_in == [True]
    assert office.send(days=2) == Sent()
    with database.reading() as transaction:
        assert transaction.rows("select status, message from crosstie.outbox") == [("sent", "{}")]


def test_what_is_refused_for_now_is_sent_later_with_the_same_id(database: Database, mailbox: Mailbox) -> None:
    office = mail_office(database, mailbox)
    office.put("mail", "ann@example.com", subject="one", text="x")
    office.put("mail", "bob@example.com", subject="two", text="x")
    mailbox.refuse_data = ["451 come back later", "421 not now"]
    first = office.send()
    assert (first.sent, len(first.troubles)) == (0, 1), "what would go the same way waits for another call"
    assert office.send(seconds=30).sent == 0
    assert office.send(seconds=31).sent == 1, "the first one, a minute after it was refused"
    assert office.send(seconds=30).sent == 1
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 2
    assert [level for level, _ in office.log()] == ["warning", "warning"]
    assert "refused the mail to ann@example.com: come back later." in office.log()[0][1]
    assert "It is tried again, later and later, for a day." in office.log()[0][1]


def test_an_address_that_is_refused_for_good_is_given_up_at_once(database: Database, mailbox: Mailbox) -> None:
    office = mail_office(database, mailbox)
    office.put("mail", "nobody@example.com", subject="one", text="x")
    office.put("mail", "ann@example.com", subject="two", text="x")
    mailbox.refuse_recipient = ["550 no such user"]
    assert office.send().sent == 1
    assert office.states() == ["given_up", "sent"]
    ((level, text),) = office.log()
    assert level == "error" and "no such user" in text and "It is given up" in text


def test_a_server_that_is_away_is_tried_for_a_day(database: Database, mailbox: Mailbox) -> None:
    server = replace(server_of(mailbox), port=1)
    office = Office(database, {"mail": MailSender(server, database.id)})
    office.put("mail", "ann@example.com", subject="one", text="x")
    attempts = 0
    for _ in range(200):
        if office.states() != ["waiting"]:
            break
        attempts += len(office.send(minutes=10).troubles)
    assert office.states() == ["given_up"]
    assert 20 < attempts < 40
    assert [level for level, _ in office.log()] == ["warning", "error"]
    assert all(PASSWORD not in text for _, text in office.log())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"password": "wr0ng-one"}, "refused the sign-in of courier. See “user” in crosstie.toml"),
        ({"password": "pässwörd"}, "has characters that cannot be sent"),
        ({"ca_file": None}, "its certificate is not trusted"),
        ({"security": "tls"}, "cannot be used"),
        ({"ca_file": Path("/nowhere")}, "cannot be used: No such file"),
    ],
)
def test_what_is_set_wrongly_is_told_without_the_password(
    database: Database, mailbox: Mailbox, changes: dict[str, Any], told: str
) -> None:
    server = replace(server_of(mailbox), **changes)
    office = Office(database, {"mail": MailSender(server, database.id)})
    office.put("mail", "ann@example.com", subject="one", text="x")
    assert office.send().sent == 0
    ((_, text),) = office.log()
    assert told in text
    assert PASSWORD not in text and PASSWORD not in repr(server) and "wr0ng" not in text
    assert "pässwörd" not in text


def test_without_a_mail_server_the_way_out_is_told(database: Database) -> None:
    office = Office(database, {"mail": MailSender(None, database.id)})
    office.put("mail", "ann@example.com", subject="one", text="x")
    office.send()
    assert "No mail server is set. Write a section [smtp]" in office.log()[0][1]


class Killed:
    """A sender whose process is killed when the message has left."""

    def __init__(self, real: Sender) -> None:
        self.real = real

    def send(self, letter: Letter, now: datetime) -> None:
        self.real.send(letter, now)
        raise KeyboardInterrupt


def test_killed_while_it_is_sent_it_is_sent_again_with_the_same_id(database: Database, mailbox: Mailbox) -> None:
    office = mail_office(database, mailbox)
    office.put("mail", "ann@example.com", subject="one", text="x")
    living, office.senders = office.senders, {"mail": Killed(office.senders["mail"])}
    with pytest.raises(KeyboardInterrupt):
        office.send()
    office.senders = living
    assert office.send(minutes=1).sent == 0, "it may still be on its way"
    assert office.send(minutes=5).sent == 1
    assert len(mailbox.mails) == 2 and len({mail["Message-ID"] for mail in mailbox.mails}) == 1


def test_several_senders_send_each_message_once(database: Database, mailbox: Mailbox) -> None:
    office = mail_office(database, mailbox)
    for number in range(12):
        office.put("mail", f"ann{number}@example.com", subject="one", text="x")
    results: list[int] = []
    threads = [threading.Thread(target=lambda: results.append(office.send().sent)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(results) == 12
    assert sorted(mailbox.recipients) == sorted(f"ann{number}@example.com" for number in range(12))


def hook_office(db: Database, hook: Hook, **settings: Any) -> Office:
    return Office(db, {"webhook": WebhookSender(WebhookSettings(ca_file=hook.ca_file, **settings))})


def test_a_webhook_is_told_in_json_signed_and_with_a_key_that_stays(database: Database, hook: Hook) -> None:
    office = hook_office(database, hook, secret="sh", hosts=["localhost"])
    office.put("webhook", hook.url, event="alert", text="Grüße")
    hook.answers = [(503, {"Retry-After": "600"})]
    assert office.send().sent == 0
    assert office.send(minutes=9).sent == 0
    assert office.send(minutes=1).sent == 1
    (_, before, _), (path, headers, body) = hook.calls
    assert path == "/hooks/s3cret-path"
    assert json.loads(body) == {"event": "alert", "text": "Grüße"}
    assert before["Idempotency-Key"] == headers["Idempotency-Key"] != ""
    seconds, _, digest = headers["Crosstie-Signature"].removeprefix("t=").partition(",v1=")
    assert int(seconds) == int(office.clock.now().timestamp())
    assert hmac.compare_digest(digest, hmac.new(b"sh", f"{seconds}.".encode() + body, hashlib.sha256).hexdigest())
    assert "webhook to https://localhost/… could not be sent" in office.log()[0][1]
    assert "s3cret" not in office.log()[0][1]


def test_a_webhook_leads_nowhere_else(database: Database, hook: Hook) -> None:
    office = hook_office(database, hook)
    hook.answers = [(307, {"Location": hook.url + "/other"})]
    office.put("webhook", hook.url, event="alert")
    office.send()
    assert len(hook.calls) == 1
    assert "answered 307. Redirects are not followed" in office.log()[0][1]
    strict = hook_office(database, hook, hosts=["hooks.example.com"])
    strict.clock.at += timedelta(hours=1)
    strict.send()
    untrusting = Office(database, {"webhook": WebhookSender(WebhookSettings())})
    untrusting.clock.at += timedelta(hours=3)
    assert untrusting.send().troubles[0].text.startswith("The webhook https://localhost/… cannot be reached")
    assert len(hook.calls) == 1
