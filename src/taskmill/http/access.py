"""The access log: a record for each request that is answered, where a server is told to write one.

It has no query, no header and no body: what is secret stands there. Where it is off, nothing of this is in the way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskmill.http.around import Around
from taskmill.http.auth.caller import Caller
from taskmill.http.exchange import JSON, Exchange
from taskmill.http.middleware.incoming import Incoming
from taskmill.http.routing import Route
from taskmill.http.streaming import Stream

logger: Final = logging.getLogger("taskmill.access")


def write(
    method: str,
    path: str,
    status: int,
    began: float,
    client: str,
    caller: Caller | None = None,
    request_id: bytes | None = None,
) -> None:
    """Log a request that began at a time of :func:`time.perf_counter`."""
    spent = round(perf_counter() - began, 6)
    fields: dict[str, Any] = {
        "method": method,
        "path": path,
        "status": status,
        "duration": spent,
        "client": client,
    }
    fields["caller"] = None if caller is None else caller.id
    fields["request"] = None if request_id is None else request_id.decode("latin-1")
    logger.info("%s %s %d in %s s", method, path, status, spent, extra=fields)


class _Seen(Around):
    """An exchange whose answer is logged."""

    __slots__ = ("_began", "_incoming", "_route", "answered")

    def __init__(self, inner: Exchange, route: Route) -> None:
        super().__init__(inner)
        self._route = route
        self._began = perf_counter()
        self._incoming: Incoming | None = None
        self.answered = False

    def met(self, incoming: Incoming) -> None:
        """Remember what middleware finds out."""
        self._incoming = incoming

    def stream(self, media_type: bytes, headers: bytes = b"") -> Stream | None:
        """Log an answer that goes on for as long as it likes when it begins."""
        stream = self.inner.stream(media_type, headers)
        if stream is not None:
            self.log(200)
        return stream

    def reply(self, status: int, body: bytes, media_type: bytes = JSON, headers: bytes = b"") -> None:
        """Answer, and log it."""
        self.inner.reply(status, body, media_type, headers)
        self.log(status)

    def log(self, status: int) -> None:
        """Write the record, once."""
        if self.answered:
            return
        self.answered = True
        path, incoming = self._route.path, self._incoming
        for name, value in getattr(self, "path_params", {}).items():
            path = path.replace(f"{{{name}}}", quote(value))
        caller, name_ = (None, None) if incoming is None else (incoming.caller, incoming.id)
        write(self._route.method, path, status, self._began, self.client, caller, name_)


def logged(route: Route, handler: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
    """Return a route's direct handler with the log around it."""

    def direct(exchange: Exchange) -> None:
        seen = _Seen(exchange, route)
        try:
            handler(seen)
        except Exception:
            seen.log(500)
            raise

    return direct


def logged_app(app: ASGIApp) -> ASGIApp:
    """Return an application with the log around it."""

    async def logging_app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        began, status = perf_counter(), 499  # where the client has gone before there was an answer
        method, path = scope["method"], scope["raw_path"].decode("latin-1")
        client = scope["client"][0] if scope["client"] else ""

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, noting)
        finally:
            caller, name = scope.get("taskmill.caller"), scope.get("taskmill.request_id")
            write(method, path, status, began, client, caller, name)

    return logging_app
