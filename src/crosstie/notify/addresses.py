"""What a message can be sent to."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_address(text: str) -> bool:
    """Whether a text is one plain e-mail address."""
    name, _, domain = text.rpartition("@")
    plain = all(one.isprintable() and one not in ' ,;:<>()[]\\"' for one in text)
    return bool(name and domain) and plain and "@" not in name and len(text) <= 254


def webhook_mistake(url: str) -> str:
    """What is wrong with an address, '' when nothing is."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme == "https" and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return "the address of the webhook cannot be read"
    if not usable:
        return "a webhook's address begins with https:// and a host"
    if parts.username is not None or parts.password is not None:
        return "a webhook's address has no user and password in it"
    return "" if url.isprintable() and " " not in url else "a webhook's address has no spaces in it"
