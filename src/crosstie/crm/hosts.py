"""Hosts: where a connector may go, https only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from crosstie.errors import ConfigError

_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """Where a token may travel: `exact` are host:port, `suffixes` like `.example.com` mean any such host on 443."""

    exact: frozenset[str]
    suffixes: tuple[str, ...] = ()

    def allows(self, url: str) -> bool:
        """Whether the absolute URL is https and leads to one of them."""
        try:
            parts = urlsplit(url)
            port = parts.port or 443
        except ValueError:
            return False
        if parts.scheme != "https" or not parts.hostname or parts.username is not None:
            return False
        if host_and_port(url) in self.exact:
            return True
        return port == 443 and any(parts.hostname.endswith(suffix) for suffix in self.suffixes)


def host_and_port(url: str) -> str:
    """`host:port` of an absolute https URL, lower case; '' when the URL has none or is broken."""
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port or 443}" if parts.hostname else ""
    except ValueError:
        return ""


def shown_host(url: str) -> str:
    return host_and_port(url).removesuffix(":443") or "a broken address"


def https_url(host: str, *, like: str) -> str:
    """The https origin for a host name or URL that a person gave. Raises ConfigError for http:// and other schemes,
    showing one `like` it."""
    text = host.strip().removesuffix("/")
    if "://" not in text:
        text = f"https://{text}"
    scheme, _, place = text.partition("://")
    if scheme.lower() != "https":
        raise ConfigError(
            f"{scheme}:// is refused for {place}: passwords and tokens travel over https only.",
            hint=f"Give the host as https://{place}.",
        )
    if not _HOST.fullmatch(place) or not host_and_port(text):
        raise ConfigError(f"“{host}” is not the address of a host.", hint=f"Give it like {like}.")
    return text
