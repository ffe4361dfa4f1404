"""Heads of requests that have been read before: a client sends the same one again and again.

Parsing a head and walking its headers costs about as much as storing a task. What comes out depends on its bytes
alone, so a head that is byte for byte one that was read before, at the beginning of a message, is not read again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from taskmill.http.exchange import Exchange
from taskmill.http.wire import ConnectionExchange

if TYPE_CHECKING:
    from taskmill.http.connection import Connection

MOST = 512  # heads that are kept
LONGEST = 1024  # bytes of one
END = b"\r\n\r\n"
_OF_BODY = (b"content-length", b"transfer-encoding", b"expect")


class Head(NamedTuple):
    """What a head said: whose request it is, its headers, and how long the body is that follows."""

    handler: Callable[[Exchange], None]
    headers: list[tuple[bytes, bytes]]
    body_size: int


class Heads:
    """The heads of whole requests to direct routes, after which the connection went on."""

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def handle(self, connection: Connection, data: bytes) -> bool:
        """Handle ``data``, the beginning of a message, if it is one whole request with a known head; tell whether."""
        before = connection.cycle
        if before is not None and not before.response_complete:
            return False
        end = data.find(END) + len(END)
        head = self._known.get(data[:end])
        if head is None or len(data) - end != head.body_size:
            return False
        connection.deadline = math.inf
        connection.cycle = exchange = ConnectionExchange(
            connection, head.handler, head.headers, keep_alive=True
        )
        exchange.body = data[end:]
        exchange.more_body = False
        exchange.handle()
        return True

    def keep(self, data: bytes, exchange: object) -> None:
        """Remember the head of ``data``, that a request was parsed from, if it is whole and says its body's length."""
        if type(exchange) is not ConnectionExchange or not exchange.keep_alive:
            return
        end = data.find(END) + len(END)
        sizes = [value for name, value in exchange.headers if name in _OF_BODY]
        if end > LONGEST or sizes != [b"%d" % (len(data) - end)] or exchange.body != data[end:]:
            return
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[data[:end]] = Head(exchange.handler, exchange.headers, len(data) - end)
