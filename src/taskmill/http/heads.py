"""Heads of requests that have been read before: a client sends the same one again and again.

Parsing a head and walking its headers costs about as much as storing a task. What comes out depends on its bytes
alone, so a head that is byte for byte one that was read before, at the beginning of a message, is not read again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from taskmill.http.exchange import Exchange

MOST = 512  # heads that are kept
LONGEST = 1024  # bytes of one
END = b"\r\n\r\n"


class Head(NamedTuple):
    """What a head said: whose request it is, its headers, and how long the body is that follows."""

    handler: Callable[[Exchange], None]
    headers: list[tuple[bytes, bytes]]
    body_size: int


class Heads:
    """The heads of whole requests to direct routes, after which the connection went on."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def find(self, data: bytes) -> tuple[Head, bytes] | None:
        """Return the head that ``data`` begins with, and its body, where that is all of ``data``."""
        end = data.find(END) + len(END)
        head = self._known.get(data[:end])
        if head is None or len(data) - end != head.body_size:
            return None
        return head, data[end:]

    def keep(
        self, data: bytes, handler: Callable[[Exchange], None], headers: list[tuple[bytes, bytes]]
    ) -> None:
        """Remember the head of ``data``, a request that was parsed, if it says how long its body is."""
        end = data.find(END) + len(END)
        sizes = [
            value for name, value in headers if name in (b"content-length", b"transfer-encoding", b"expect")
        ]
        if end > LONGEST or sizes != [b"%d" % (len(data) - end)]:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[data[:end]] = Head(handler, headers, len(data) - end)
