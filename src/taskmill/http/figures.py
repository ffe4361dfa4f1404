"""What a server counts of its requests: how long answers took, by route, and how many were turned away.

An answer costs it two looks at the clock and a place in a list; hundreds of them are counted at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any, Final, NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from taskmill.http.exchange import Exchange
from taskmill.metrics import QUICK, Histogram

LAID_UP: Final = 512  # answers that wait to be counted
OVERLOADED: Final = (429, 503)
UNMATCHED: Final = "unmatched"  # the route of requests to paths that are not served
_METHODS: Final = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))

Direct = Callable[[Exchange], None]


class Kind(NamedTuple):
    """What answers are counted by; ``status`` is a class of them, such as ``2xx``."""

    method: str
    route: str
    status: str


class Given:
    """A direct handler with what a request's url gives it."""

    __slots__ = ("_parameters", "_query", "handler")

    def __init__(self, handler: Direct, parameters: dict[str, str], query: bytes) -> None:
        self.handler = handler
        self._parameters = parameters
        self._query = query

    def __call__(self, exchange: Exchange) -> None:
        """Handle the request."""
        exchange.path_params, exchange.query = self._parameters, self._query
        self.handler(exchange)


class Figures:
    """Counts. ``turned_away`` has, by status, what was refused before it reached a route, or since too much came."""

    def __init__(self) -> None:
        self.turned_away: Counter[int] = Counter()
        self._routes: dict[Direct, tuple[str, str]] = {}
        self._laid_up: dict[tuple[Direct, int], list[float]] = {}  # seconds, by handler and status
        self._seconds: dict[Kind, Histogram] = {}

    def own(self, handler: Direct, method: str, path: str) -> Direct:
        """Return a direct handler that is this route's alone."""
        if handler in self._routes:
            handler = partial(handler)
        self._routes[handler] = method, path
        return handler

    def answered(self, handler: Direct, status: int, seconds: float) -> None:
        """Count an answer of a direct handler."""
        if type(handler) is Given:
            handler = handler.handler
        laid_up = self._laid_up.get((handler, status))
        if laid_up is None:
            laid_up = self._laid_up[handler, status] = []
        laid_up.append(seconds)
        if len(laid_up) >= LAID_UP:
            self._count()

    def seconds(self) -> dict[Kind, Histogram]:
        """Return how long all answers took, from the end of a request's head until they were written."""
        self._count()
        return self._seconds

    def timed(self, app: ASGIApp) -> ASGIApp:
        """Return an application whose answers are counted, each when it has ended."""

        async def timing(scope: Scope, receive: Receive, send: Send) -> None:
            began, status = perf_counter(), 0

            async def sending(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, sending)
            finally:
                if status:
                    route: Any = scope.get("endpoint")
                    path = getattr(route, "path", UNMATCHED)
                    self._observe(scope["method"], path, status, [perf_counter() - began])

        return timing

    def _count(self) -> None:
        laid_up, self._laid_up = self._laid_up, {}
        for (handler, status), seconds in laid_up.items():
            self._observe(*self._routes[handler], status, seconds)

    def _observe(self, method: str, path: str, status: int, seconds: list[float]) -> None:
        kind = Kind(method if method in _METHODS else "other", path, f"{status // 100}xx")
        histogram = self._seconds.get(kind)
        if histogram is None:
            histogram = self._seconds[kind] = Histogram(QUICK)
        histogram.observe_all(seconds)
        if status in OVERLOADED:
            self.turned_away[status] += len(seconds)
