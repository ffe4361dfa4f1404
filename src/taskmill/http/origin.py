"""Requests that a web page has its reader's browser send, to a server that is none of the page's business.

A page of any site may have the browser post to a server that only the reader reaches, such as one on their own
machine. No key protects that one, and a body without a Content-Type is sent without asking first. Browsers say where
such a request comes from; other clients send neither header. And a page may have its own name lead to that server
(DNS rebinding): then it is the name that is wrong.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

ANY = b"*"
REFUSED = (
    "A page of another origin may not do this: name its origin in an `http.middleware.cors` of the router, or serve "
    "it from here."
)
_SAFE = (b"GET", b"HEAD", b"OPTIONS")
_OWN = (b"same-origin", b"none")


class Welcome(Protocol):
    """Which names a server goes by, all if there are none, and whose pages may change something."""

    @property
    def hosts(self) -> Collection[bytes]:
        """Names, in lower case, without a port."""

    @property
    def origins(self) -> Collection[bytes]:
        """Origins as browsers write them; `*` for any."""


def unwelcome(method: bytes, headers: Sequence[tuple[bytes, bytes]], to: Welcome) -> tuple[int, str] | None:
    """Return the status and the reason by which a request is refused, or None."""
    if to.hosts and _host(headers) not in to.hosts:
        return 421, "This server does not go by that name: its `hosts` say by which it does."
    if is_foreign(method, headers, to.origins):
        return 403, REFUSED
    return None


def _host(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    host = next((value for name, value in headers if name == b"host"), b"").lower()
    return host[: host.index(b"]") + 1] if host.startswith(b"[") and b"]" in host else host.partition(b":")[0]


def is_foreign(method: bytes, headers: Sequence[tuple[bytes, bytes]], allowed: Collection[bytes]) -> bool:
    """Tell whether a request that changes something comes from a page of an origin that may not send it."""
    if method in _SAFE:
        return False
    site = origin = host = None
    for name, value in headers:
        if name == b"sec-fetch-site":
            site = value
        elif name == b"origin":
            origin = value
        elif name == b"host":
            host = value
    if (site is None and origin is None) or site in _OWN:
        return False
    if origin is not None and (origin in allowed or ANY in allowed):
        return False
    return site is not None or origin is None or origin.partition(b"://")[2].lower() != (host or b"").lower()
