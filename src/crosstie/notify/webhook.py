"""Sending JSON to webhooks: https only, no redirect followed, signed where a secret is set."""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx2

from crosstie.errors import SendingError
from crosstie.notify.addresses import webhook_mistake
from crosstie.notify.outbox import Letter

TIMEOUT_SECONDS = 30.0
SECRET_VARIABLE = "CROSSTIE_WEBHOOK_SECRET"  # noqa: S105 - the name of the variable
_LONGEST_PAUSE = timedelta(hours=6)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where webhooks may go (`hosts`; none means anywhere), whose certificates are trusted beside the system's, and the
    secret that signs, which is left out of the repr."""

    hosts: Sequence[str] = ()
    ca_file: Path | None = None
    secret: str = field(default="", repr=False)


def signature(secret: str, now: datetime, body: bytes) -> str:
    """The signature of a body sent at that time: HMAC-SHA-256 over `SECONDS.BODY`."""
    seconds = int(now.timestamp())
    digest = hmac.new(secret.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={digest}"


class WebhookSender:
    """Posts messages as JSON. Nothing of an answer but its status is read."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings

    def send(self, letter: Letter, now: datetime) -> None:
        """Posts a message. Raises SendingError."""
        url = letter.draft.recipient
        place = letter.draft.place
        mistake = webhook_mistake(url)
        host = urlsplit(url).hostname or ""
        if mistake:
            raise SendingError(f"The webhook {place} cannot be called: {mistake}.", final=True)
        if self._settings.hosts and host not in self._settings.hosts:
            raise SendingError(
                f"The webhook {place} is not among the hosts that are allowed.",
                hint="Add it to hosts in the section [webhook] of crosstie.toml.",
            )
        body = json.dumps(dict(letter.draft.content), ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json", "User-Agent": "crosstie", "Idempotency-Key": letter.token}
        if self._settings.secret:
            headers["Crosstie-Signature"] = signature(self._settings.secret, now, body)
        try:
            with (
                httpx2.Client(
                    verify=_trust(self._settings.ca_file),
                    timeout=TIMEOUT_SECONDS,
                    trust_env=False,  # a .netrc would add credentials
                    follow_redirects=False,
                ) as client,
                client.stream("POST", url, content=body, headers=headers) as answer,
            ):
                status, pause = answer.status_code, answer.headers.get("Retry-After", "")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            raise SendingError(f"The webhook {place} cannot be reached ({type(error).__name__}).") from error
        if not 200 <= status < 300:
            raise _refused(place, status, pause)


def _refused(place: str, status: int, pause: str) -> SendingError:
    hint = "Redirects are not followed: write the address that it leads to." if 300 <= status < 400 else ""
    return SendingError(
        f"The webhook {place} answered {status}.",
        hint=hint,
        code=str(status),
        retry_after=min(timedelta(seconds=int(pause)), _LONGEST_PAUSE) if pause.isdecimal() else None,
    )


def _trust(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(str(ca_file))
        except (OSError, ssl.SSLError) as error:
            raise SendingError(
                f"The certificates in {ca_file} cannot be read.", hint="See ca_file of [webhook] in crosstie.toml."
            ) from error
    return context
