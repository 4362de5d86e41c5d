"""The courier: sends what waits in the outbox, after a run and while `serve` is at work."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from crosstie.config import Config
from crosstie.db.database import Database, Transaction, instant_text
from crosstie.errors import CrosstieError
from crosstie.notify.outbox import Sender, Sent, Trouble, Waiting, send_waiting, waiting

log = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
_ENDS_WITHIN_SECONDS = 5.0


class Courier:
    """`app.courier`. Any number of processes may send: each message is taken by one of them at a time."""

    def __init__(self, db: Database, config: Config, now: Callable[[], datetime]) -> None:
        self._db = db
        self._config = config
        self._now = now

    def send(self) -> Sent:
        """Sends what is due. What cannot be sent is tried again by a later call, for a day."""
        if not self._is_something_due():
            return Sent()
        from crosstie.workflow.notices import note_trouble

        def note(transaction: Transaction, trouble: Trouble) -> None:
            note_trouble(transaction, trouble, self._now())

        return send_waiting(self._db, self._senders(), self._now, note)

    def waiting(self) -> Waiting:
        """What is in the outbox."""
        with self._db.reading() as transaction:
            return waiting(transaction)

    @contextmanager
    def at_work(self, every: float = EVERY_SECONDS) -> Iterator[None]:
        """Sends from time to time, on a thread of its own, so that nothing waits for a slow mail server."""
        over = threading.Event()

        def deliver() -> None:
            while not over.is_set():
                self._try()
                over.wait(every)

        thread = threading.Thread(target=deliver, name="courier", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(_ENDS_WITHIN_SECONDS)

    @contextmanager
    def during_run(self) -> Iterator[None]:
        """Sends while a run is at work, and what it leaves at its end, unless it is broken off."""
        with self.at_work():
            try:
                yield
            except CrosstieError:
                self._try()
                raise
            self._try()

    def _try(self) -> None:
        """Sends what is due. A failure is told and ends neither the run nor the sending of later messages."""
        try:
            self.send()
        except CrosstieError as error:
            log.warning("Messages wait: %s", error.message)
        except Exception as error:  # noqa: BLE001 - told, and the message is tried again when its claim is over
            # Without its text, which may hold what was to be sent.
            log.warning("A message could not be sent, which is a mistake of Crosstie: %s", type(error).__name__)

    def _is_something_due(self) -> bool:
        with self._db.reading() as transaction:
            row = transaction.row(
                "select 1 from crosstie.outbox where status = 'waiting' and next_at <= :now limit 1",
                {"now": instant_text(self._now())},
            )
        return row is not None

    def _senders(self) -> Mapping[str, Sender]:
        # Here, because they bring in the mail and network libraries, which a run without messages does not need.
        from crosstie.notify.mail import MailSender, MailServer
        from crosstie.notify.webhook import WebhookSender, WebhookSettings

        config, keys = self._config, self._config.smtp
        server = None
        if keys is not None:
            server = MailServer(
                host=keys.host,
                port=keys.port_in_use,
                security=keys.security,
                sender=keys.from_,
                user=keys.user,
                password=config.smtp_password,
                ca_file=config.project / keys.ca_file if keys.ca_file else None,
            )
        webhooks = WebhookSettings(
            hosts=tuple(config.webhook.hosts),
            ca_file=config.project / config.webhook.ca_file if config.webhook.ca_file else None,
            secret=config.webhook_secret,
        )
        return {"mail": MailSender(server, self._db.id), "webhook": WebhookSender(webhooks)}
