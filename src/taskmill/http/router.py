"""``http.router``: a group of endpoints under one prefix."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, field

from taskmill.http.middleware.incoming import Middleware
from taskmill.http.middleware.stack import Stack
from taskmill.http.routing import Route
from taskmill.http.service import HttpService
from taskmill.registry import Entry, EntryConfig, reference
from taskmill.supervisor import Context

Piece = Annotated[str, reference("http.auth.*", "http.middleware.*")]


class RouterMeta(Struct, kw_only=True):
    """Where the router belongs."""

    server: Annotated[str, reference("http.service", attaches=True, description="The server it is part of.")]


class RouterConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """A group of endpoints."""

    meta: Annotated[RouterMeta, Meta(description="Where the router belongs.")]
    prefix: Annotated[str, Meta(pattern=r"^(/.*[^/])?$", description="Before each endpoint's path.")] = ""
    middleware: Annotated[
        list[Piece] | Piece,
        Meta(description="What stands before the endpoints, in the order in which it sees a request."),
    ] = field(default_factory=list)


class HttpRouter:
    """Endpoints attach themselves to it, and it attaches them to its server."""

    kind: ClassVar[str] = "http.router"
    Config: ClassVar[type[EntryConfig]] = RouterConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: RouterConfig = entry.config
        self._context = context
        self._routes: list[Route] = []

    def route(self, route: Route) -> None:
        """Serve a path below the prefix."""
        self._routes.append(route)

    async def start(self) -> None:
        """Hand the endpoints on to the server, which starts after."""
        service = self._context.get(self._config.meta.server, HttpService)
        named = self._config.middleware
        pieces = [
            self._context.get(id_, Middleware) for id_ in ([named] if isinstance(named, str) else named)
        ]
        routes = [route._replace(path=self._config.prefix + route.path) for route in self._routes]
        for piece in pieces:
            service.origins |= piece.origins
        for route in Stack(pieces).around(routes):
            service.route(route)

    async def stop(self) -> None:
        """Nothing to let go of."""
