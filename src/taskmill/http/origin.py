"""Requests that a web page of another origin has its reader's browser send.

A page of any site may have the browser post to a server that only the reader reaches, such as one on their own
machine. No key protects that one, and a body without a Content-Type is sent without asking first. Browsers say where
such a request comes from; other clients send neither header.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

ANY = b"*"
REFUSED = (
    "A page of another origin may not do this: name its origin in an `http.middleware.cors` of the router, or serve "
    "it from here."
)
_SAFE = (b"GET", b"HEAD", b"OPTIONS")
_OWN = (b"same-origin", b"none")


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
