"""From a path and a method to a function, and from what the function returns to an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from taskmill.http.auth.caller import Caller, Needed
from taskmill.http.exchange import JSON, Exchange
from taskmill.http.query import parse_query

ASGIHandler = Callable[[Request], Awaitable[Response]]


class Route(NamedTuple):
    """What an endpoint serves, and how.

    ``direct`` is the short way to the same handler, where it has one; ``max_body`` is the longest body in bytes, 0 for
    any, None for what the server takes. ``id`` and ``function`` are the endpoint's, for those
    who describe it. ``scope`` is what a caller must have where callers are told apart, which ``guarded`` says;
    ``for_limited`` that it heeds which queues and actions one is limited to. ``streams`` says that its direct handler
    answers with a stream.
    """

    method: str
    path: str
    handler: ASGIHandler
    direct: Callable[[Exchange], None] | None = None
    max_body: int | None = None
    id: str = ""
    function: Callable[..., Any] | None = None
    scope: Needed = "admin"
    for_limited: bool = False
    guarded: bool = False
    streams: bool = False

    @property
    def parameters(self) -> bool:
        """Whether its direct handler gets any, of the path or as a query."""
        return "{" in self.path or self.streams


class MethodTable:
    """The ASGI application of one path: a handler a method, and 405 with ``Allow`` for the others."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.handlers: dict[str, ASGIHandler] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request of the path."""
        method = scope["method"]
        handler = self.handlers.get("GET" if method == "HEAD" else method)
        if handler is None:
            allowed = {*self.handlers, *(["HEAD"] if "GET" in self.handlers else [])}
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
        response = await handler(Request(scope, receive))
        await response(scope, receive, send)


def from_function(invoke: Callable[[Request], Awaitable[object]]) -> ASGIHandler:
    """Make a handler of a function of the request.

    It may return a Starlette response, anything that JSON can say (answered with 200), or a pair of a status
    and that.
    """

    async def handler(request: Request) -> Response:
        value = await invoke(request)
        if isinstance(value, Response):
            return value
        status = 200
        if isinstance(value, tuple):
            status, value = value
        return Response(msgspec.json.encode(value), status, media_type=JSON.decode())

    return handler


class _AsgiExchange(Exchange):
    __slots__ = ("_client", "answer", "caller")

    def __init__(self, request: Request, body: bytes) -> None:
        self.headers = request.headers.raw
        self.body = body
        self.path_params = request.path_params
        self.query = request.scope["query_string"]
        self.caller = caller_of(request)
        self._client = request.client.host if request.client else ""
        self.answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

    @property
    def client(self) -> str:
        return self._client

    def reply(self, status: int, body: bytes, media_type: bytes = JSON, headers: bytes = b"") -> None:
        if not self.answer.done():  # the client may have gone, and its request been cancelled
            lines = headers.decode().splitlines()
            plain = {name: value for name, _, value in (line.partition(": ") for line in lines)}
            self.answer.set_result(Response(body, status, plain, media_type.decode()))


def caller_of(request: Request) -> Caller | None:
    """Return who has asked; None where callers are not told apart."""
    caller: Caller | None = request.scope.get("taskmill.caller")
    return caller


class _NoQuery(msgspec.Struct):
    """No parameters: a direct handler sees none, unless its path has some."""


def from_direct(direct: Callable[[Exchange], Any]) -> ASGIHandler:
    """Make a handler of a direct one, for requests that do not come the short way (a path with escapes, say)."""

    async def handler(request: Request) -> Response:
        if not request.path_params:
            parse_query(request.scope["query_string"], _NoQuery)
        exchange = _AsgiExchange(request, await request.body())
        direct(exchange)
        return await exchange.answer

    return handler
