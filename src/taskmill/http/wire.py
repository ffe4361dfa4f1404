"""What goes over a connection: answers as bytes, when to read on, and the exchange of a direct route."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sized
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar

from uvicorn.protocols.http.flow_control import FlowControl

from taskmill.http.exchange import JSON, Exchange
from taskmill.http.streaming import Stream

if TYPE_CHECKING:
    from taskmill.http.connection import Connection

logger = logging.getLogger(__name__)

_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}


def response(status: int, date: bytes, media_type: bytes, body: bytes, headers: bytes = b"") -> bytes:
    """Return a whole HTTP/1.1 answer. ``headers`` are whole lines, whose values never come from a client."""
    if status == 204:
        return b"%bdate: %b\r\n%b\r\n" % (_STATUS_LINES[status], date, headers)
    return b"%bdate: %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b" % (
        _STATUS_LINES[status], date, media_type, len(body), headers, body,
    )  # fmt: skip


class Flow(FlowControl):
    """Reads on once the client has read its answers and none of its requests waits for its turn."""

    def __init__(self, transport: Any, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Read on, unless there is a reason not to."""
        if not self.write_paused and not self._pipeline:
            super().resume_reading()


class _Ignored:
    """Stands where uvicorn has the event that wakes a coroutine; a direct exchange has none to wake."""

    def set(self) -> None:
        """Do nothing."""


class ConnectionExchange(Exchange):
    """An exchange over a connection. It stands in the place of uvicorn's request cycle and has its fields."""

    __slots__ = (
        "began",
        "connection",
        "disconnected",
        "handler",
        "keep_alive",
        "more_body",
        "response_complete",
    )
    message_event: ClassVar[_Ignored] = _Ignored()

    def __init__(
        self,
        connection: Connection,
        handler: Callable[[Exchange], None],
        headers: list[tuple[bytes, bytes]],
        *,
        keep_alive: bool,
    ) -> None:
        self.connection = connection
        self.handler = handler
        self.began = perf_counter()
        self.keep_alive = keep_alive
        self.headers = headers
        self.body = b""
        self.more_body = True
        self.response_complete = False
        self.disconnected = False

    @property
    def client(self) -> str:
        """The address of who asks."""
        client = self.connection.client
        return client[0] if client else ""

    @property
    def closing(self) -> asyncio.Event:
        """What is set once the server stops."""
        return self.connection.service.closing

    def hold(self, gone: Callable[[], None] | None) -> None:
        """Have ``gone()`` called if the client goes before the answer."""
        connection = self.connection
        if connection.headers is self.headers:
            connection.headers = []
        self.headers, self.body = [], b""
        connection.gone = gone

    def stream(self, media_type: bytes, headers: bytes = b"") -> Stream | None:
        """Begin an answer that ends with the connection."""
        connection = self.connection
        if self.disconnected or connection.transport.is_closing():
            return None
        date = connection.service.date
        return Stream(
            self,
            b"%bdate: %b\r\ncontent-type: %b\r\n%bconnection: close\r\n\r\n"
            % (_STATUS_LINES[200], date, media_type, headers),
        )

    def handle(self) -> None:
        """Have the handler answer, now or later. Its mistakes are the server's, not the client's."""
        try:
            self.handler(self)
        except Exception:
            logger.exception("%s failed", self.handler)
            if not self.response_complete:
                self.refuse(500, "The server failed to answer; its log says why.")

    def reply(self, status: int, body: bytes, media_type: bytes = JSON, headers: bytes = b"") -> None:
        """Write the answer, and let the connection go on with the next request."""
        connection = self.connection
        if not self.keep_alive:
            headers += b"connection: close\r\n"
        service = connection.service
        answer = response(status, service.date, media_type, body, headers)
        self.response_complete = (
            True  # not before: an answer that cannot be written down leaves room for a 500
        )
        service.figures.answered(self.handler, status, perf_counter() - self.began)
        if self.disconnected or connection.transport.is_closing():
            return
        connection.transport.write(answer)
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()
