"""Sending mail by SMTP."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Literal

from crosstie.errors import SendingError
from crosstie.notify.outbox import Letter

Security = Literal["starttls", "tls", "none"]

TIMEOUT_SECONDS = 30.0
PASSWORD_VARIABLE = "CROSSTIE_SMTP_PASSWORD"  # noqa: S105 - the name of the variable


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """How mail leaves. The password comes from the environment and is left out of the repr."""

    host: str
    port: int
    security: Security
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)
    ca_file: Path | None = None


class MailSender:
    """Sends mails over one server, a connection for each."""

    def __init__(self, server: MailServer | None, database_id: str) -> None:
        self._server = server
        self._database_id = database_id

    def send(self, letter: Letter, now: datetime) -> None:
        """Sends a mail. Raises SendingError; final where the server refuses the recipient or the mail for good."""
        server = self._server
        if server is None:
            raise SendingError(
                "No mail server is set.", hint="Write a section [smtp] with host and from into crosstie.toml."
            )
        message = compose(letter, server.sender, self._database_id)
        try:
            with _connected(server) as connection:
                connection.send_message(message, server.sender, [letter.draft.recipient])
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise _refused(server, letter.draft.recipient, code, text) from error
        except smtplib.SMTPAuthenticationError as error:
            raise SendingError(
                f"The mail server {server.host} refused the sign-in of {server.user}.",
                hint=f"See “user” in crosstie.toml and the variable {PASSWORD_VARIABLE}.",
                code=str(error.smtp_code),
            ) from error
        except smtplib.SMTPResponseException as error:
            raise _refused(server, letter.draft.recipient, error.smtp_code, error.smtp_error) from error
        except (smtplib.SMTPException, OSError) as error:
            raise SendingError(
                f"The mail server {server.host}:{server.port} cannot be used: {_said(error)}."
            ) from error
        except UnicodeError:
            # Not told from where: the error holds the text that could not be encoded, perhaps the password.
            raise SendingError(
                f"The mail server {server.host}:{server.port} cannot be used: its name, the user or the password has"
                " characters that cannot be sent.",
                hint=f"See [smtp] in crosstie.toml and the variable {PASSWORD_VARIABLE}: sign-in by SMTP is ASCII.",
            ) from None


def _refused(server: MailServer, recipient: str, code: int, text: bytes | str) -> SendingError:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    said = " ".join(said.split())[:200]
    return SendingError(
        f"The mail server {server.host} refused the mail to {recipient}: {said}.",
        code=str(code),
        final=500 <= code < 600 and code not in (530, 535, 538),
    )


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:200] or type(error).__name__


def _connected(server: MailServer) -> smtplib.SMTP:
    """A connection, secured and signed in."""
    context = ssl.create_default_context(cafile=None if server.ca_file is None else str(server.ca_file))
    if server.security == "tls":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_SECONDS, context=context)
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_SECONDS)
    try:
        if server.security == "starttls":
            connection.starttls(context=context)
        if server.user:
            connection.login(server.user, server.password)
    except BaseException:
        connection.close()
        raise
    return connection


def compose(letter: Letter, sender: str, database_id: str) -> EmailMessage:
    """The mail of a letter; its Message-ID is the same in every attempt."""
    content = letter.draft.content
    message = EmailMessage()
    message["From"] = Address("Crosstie", addr_spec=sender)
    message["To"] = Address(addr_spec=letter.draft.recipient)
    message["Subject"] = " ".join(str(content.get("subject", "")).split())
    message["Date"] = format_datetime(letter.made_at)
    message["Message-ID"] = f"<{letter.token}@{database_id}.crosstie.invalid>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers
    message.set_content(str(content.get("text", "")))
    if letter.draft.attachment is not None:
        message.add_attachment(
            letter.draft.attachment,
            maintype="text",
            subtype="csv",
            filename=str(content.get("attachment") or "rows.csv"),
        )
    return message
