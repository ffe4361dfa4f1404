"""An exchange around another: the base of those that look at an answer on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from taskmill.http.auth.caller import Caller
from taskmill.http.exchange import JSON, Exchange
from taskmill.http.middleware.incoming import Incoming
from taskmill.http.streaming import Stream


class Around(Exchange):
    """An exchange that hands all on to the one within."""

    __slots__ = ("caller", "inner")

    caller: Caller | None

    def __init__(self, inner: Exchange) -> None:
        self.inner = inner
        self.caller = inner.caller
        self.headers, self.body = inner.headers, inner.body
        if hasattr(inner, "path_params"):
            self.path_params = inner.path_params
        if hasattr(inner, "query"):
            self.query = inner.query

    @property
    def client(self) -> str:
        """The address of who asks."""
        return self.inner.client

    @property
    def closing(self) -> asyncio.Event | None:
        """What is set once the server stops."""
        return self.inner.closing

    def met(self, incoming: Incoming) -> None:
        """Hear what middleware has found out."""
        self.inner.met(incoming)

    def hold(self, gone: Callable[[], None] | None) -> None:
        """Hold the answer back, and forget the request."""
        self.headers, self.body = [], b""
        self.inner.hold(gone)

    def stream(self, media_type: bytes, headers: bytes = b"") -> Stream | None:
        """Begin an answer that is written bit by bit."""
        return self.inner.stream(media_type, headers)

    def reply(self, status: int, body: bytes, media_type: bytes = JSON, headers: bytes = b"") -> None:
        """Answer, once."""
        self.inner.reply(status, body, media_type, headers)
