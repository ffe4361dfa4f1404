"""The middleware of a router around its routes, for both ways in which these are answered.

Each piece is written once. On the short way it costs a call, and where a router has none, nothing at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from taskmill.http.around import Around
from taskmill.http.exchange import JSON, Exchange
from taskmill.http.middleware.incoming import Incoming, Middleware, Outcome, Outgoing, Refusal
from taskmill.http.middleware.rights import judge
from taskmill.http.mistakes import answered
from taskmill.http.problem import MEDIA_TYPE, problem
from taskmill.http.routing import ASGIHandler, Route
from taskmill.http.streaming import Stream

logger = logging.getLogger(__name__)


class Stack:
    """Pieces in the order in which they see a request."""

    def __init__(self, pieces: Sequence[Middleware]) -> None:
        self._pieces = tuple(pieces)
        self._guards = any(piece.authenticates for piece in pieces)
        self._later: set[asyncio.Task[None]] = set()

    def around(self, routes: Sequence[Route]) -> list[Route]:
        """Return the routes with the pieces before each, and those that the pieces serve themselves."""
        if not self._pieces:
            return list(routes)
        own = [route for piece in self._pieces for route in piece.routes(routes)]
        return [self._wrap(route) for route in (*routes, *own)]

    def _wrap(self, route: Route) -> Route:
        direct = None if route.direct is None else self._direct(route, route.direct)
        return route._replace(handler=self._asgi(route), direct=direct, guarded=self._guards)

    def _direct(self, route: Route, inner: Callable[[Exchange], None]) -> Callable[[Exchange], None]:
        method = route.method

        def direct(exchange: Exchange) -> None:
            incoming = Incoming(route, method, exchange.headers, exchange.client)
            exchange.met(incoming)
            met = Met(exchange, incoming)
            outcome = self._meet(incoming)
            if outcome is None:
                met.caller = incoming.caller
                inner(met)
            elif isinstance(outcome, Refusal):
                met.refuse_by(outcome)
            else:
                task = asyncio.ensure_future(_go_on(outcome, met, inner))
                self._later.add(task)
                task.add_done_callback(self._later.discard)

        return direct

    def _asgi(self, route: Route) -> ASGIHandler:
        inner = answered(route.handler)

        async def handler(request: Request) -> Response:
            client = request.client.host if request.client else ""
            incoming = Incoming(route, request.method, request.headers.raw, client)
            outcome = self._meet(incoming)
            if outcome is not None and not isinstance(outcome, Refusal):
                outcome = await outcome
            request.scope["taskmill.caller"] = incoming.caller
            request.scope["taskmill.request_id"] = incoming.id
            if outcome is None:
                request.scope["client"] = (incoming.client, request.client.port if request.client else 0)
                response = await inner(request)
            else:
                response = Response(
                    problem(outcome.status, outcome.detail), outcome.status, media_type=MEDIA_TYPE.decode()
                )
                response.raw_headers.extend(outcome.headers)
            return _dress(response, incoming)

        return handler

    def _meet(self, incoming: Incoming, first: int = 0) -> Outcome | Awaitable[Outcome]:
        for place in range(first, len(self._pieces)):
            outcome = self._pieces[place].meet(incoming)
            if outcome is not None:
                if isinstance(outcome, Refusal):
                    return outcome
                return self._resume(outcome, incoming, place + 1)
        return judge(incoming) if self._guards else None

    async def _resume(self, waited: Awaitable[Outcome], incoming: Incoming, place: int) -> Outcome:
        outcome = await waited
        if outcome is not None:
            return outcome
        rest = self._meet(incoming, place)
        return rest if rest is None or isinstance(rest, Refusal) else await rest


class Met(Around):
    """An exchange whose answer takes with it what middleware has for it."""

    __slots__ = ("_incoming",)

    def __init__(self, exchange: Exchange, incoming: Incoming) -> None:
        super().__init__(exchange)
        self._incoming = incoming
        self.caller = None

    @property
    def client(self) -> str:
        """The address of who asks, as far as middleware knows."""
        return self._incoming.client

    def hold(self, gone: Callable[[], None] | None) -> None:
        """Hold the answer back, and forget the request."""
        self._incoming.headers = []
        super().hold(gone)

    def reply(self, status: int, body: bytes, media_type: bytes = JSON, headers: bytes = b"") -> None:
        """Answer, once, with what middleware adds."""
        incoming = self._incoming
        if incoming.finish:
            own = [line.partition(b":")[0] for line in headers.splitlines()]
            out = Outgoing(status, media_type, incoming.extra, body, own)
            for finish in incoming.finish:
                finish(out)
            status, body = out.status, out.body or b""
        if incoming.extra:
            headers += b"".join([b"%b: %b\r\n" % pair for pair in incoming.extra])
        self.inner.reply(status, body, media_type, headers)

    def stream(self, media_type: bytes, headers: bytes = b"") -> Stream | None:
        """Begin an answer that is written bit by bit, with what middleware adds to its head."""
        extra = b"".join([b"%b: %b\r\n" % pair for pair in self._incoming.extra])
        return self.inner.stream(media_type, headers + extra)

    def refuse_by(self, refusal: Refusal) -> None:
        """Answer with a refusal."""
        self._incoming.extra.extend(refusal.headers)
        self.refuse(refusal.status, refusal.detail)


async def _go_on(waited: Awaitable[Outcome], met: Met, inner: Callable[[Exchange], None]) -> None:
    """Answer once a piece has made up its mind."""
    try:
        outcome = await waited
        if outcome is None:
            met.caller = met._incoming.caller
            inner(met)
        else:
            met.refuse_by(outcome)
    except Exception:
        logger.exception("a request could not be answered")
        met.refuse(500, "The server failed to answer; its log says why.")


def _dress(response: Response, incoming: Incoming) -> Response:
    """Give an answer what middleware has for it. Only a body that is there whole can be changed."""
    given = {name for name, _ in response.raw_headers}
    if incoming.finish:
        whole = type(response) is Response
        media_type = response.headers.get("content-type", "").encode("latin-1")
        body = bytes(response.body) if whole else None
        out = Outgoing(response.status_code, media_type, incoming.extra, body, given)
        for finish in incoming.finish:
            finish(out)
        if whole and out.body is not None and out.body is not response.body:
            response.body = out.body
            response.headers["content-length"] = str(len(out.body))
    response.raw_headers.extend(pair for pair in incoming.extra if pair[0] == b"vary" or pair[0] not in given)
    return response
