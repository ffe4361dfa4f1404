"""Answers that never end by themselves: bytes that are written as they come, such as server-sent events.

A handler marked :func:`streaming` is a direct one whose path may have a parameter anywhere, and which takes a query.
It begins its answer with :meth:`taskmill.http.Exchange.stream`, and writes to that for as long as it likes: no
coroutine stands behind it, and what a client does not read is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from taskmill.http.exchange import Exchange, direct
from taskmill.http.figures import Given

if TYPE_CHECKING:
    from taskmill.http.wire import ConnectionExchange

F = TypeVar("F", bound=Callable[..., object])

UNREAD: Final = 2**18  # bytes that may wait for a client to read them
_MARK = "__taskmill_streaming__"
_PARAMETER = re.compile(r"\\\{(\w+)\\\}")


def streaming(handler: F) -> F:
    """Mark a function as a direct handler whose answer is a stream."""
    setattr(handler, _MARK, True)
    return direct(handler)


def is_streaming(handler: object) -> bool:
    """Tell whether a function was marked by :func:`streaming`, also behind ``functools.partial``."""
    return getattr(getattr(handler, "func", handler), _MARK, False) is True


class Stream:
    """An answer that has begun. It ends with its connection, which it has for itself."""

    __slots__ = ("_exchange",)

    def __init__(self, exchange: ConnectionExchange, head: bytes) -> None:
        self._exchange = exchange
        exchange.connection.transport.write(head)

    def write(self, data: bytes) -> bool:
        """Send bytes. A client that has left too much unread is cut off; tell whether it is still there."""
        transport = self._exchange.connection.transport
        if transport.is_closing():
            return False
        transport.write(data)
        if transport.get_write_buffer_size() > UNREAD:
            transport.abort()
            return False
        return True

    def end(self) -> None:
        """End the answer, once what was written is sent."""
        exchange = self._exchange
        exchange.response_complete = True
        if not exchange.connection.transport.is_closing():
            exchange.connection.transport.close()
            exchange.connection.on_response_complete()


class StreamPaths:
    """The paths whose answers are streams."""

    def __init__(self) -> None:
        self._paths: list[tuple[bytes, re.Pattern[str], Callable[[Exchange], None]]] = []

    def add(self, method: bytes, path: str, handler: Callable[[Exchange], None]) -> None:
        """Serve a path."""
        pattern = re.compile(_PARAMETER.sub(r"(?P<\1>[^/]+)", re.escape(path)))
        self._paths.append((method, pattern, handler))

    def find(self, method: bytes, path: bytes, query: bytes) -> Callable[[Exchange], None] | None:
        """Return what answers a request, None where this is no such path."""
        if not path.isascii() or b"%" in path:
            return None
        text = path.decode()
        for own, pattern, handler in self._paths:
            if own == method and (match := pattern.fullmatch(text)):
                return Given(handler, match.groupdict(), query)
        return None
