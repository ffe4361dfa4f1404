"""``http.endpoint``: one route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

from msgspec import Meta, Struct

from taskmill.http.auth.caller import Needed
from taskmill.http.exchange import is_direct
from taskmill.http.operation import operation_of
from taskmill.http.router import HttpRouter
from taskmill.http.routing import Route, from_direct, from_function
from taskmill.http.streaming import is_streaming
from taskmill.registry import Entry, EntryConfig, reference
from taskmill.supervisor import Context
from taskmill.units import Size


@runtime_checkable
class Function(Protocol):
    """What an endpoint needs of a ``function.python`` entry."""

    call: Callable[..., Any]

    def invoke(self, *args: Any) -> Awaitable[Any]:
        """Run the function: ``async def`` on the loop, ``def`` in a thread."""


class EndpointMeta(Struct, kw_only=True):
    """Where the endpoint belongs."""

    router: Annotated[str, reference("http.router", attaches=True, description="The router it is part of.")]


class EndpointConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """A method and a path, served by a function of the request.

    The function gets a Starlette ``Request`` and returns a Starlette ``Response``, or what JSON can say, or
    a pair of a status and that.
    """

    meta: Annotated[EndpointMeta, Meta(description="Where the endpoint belongs.")]
    method: Annotated[
        Literal["GET", "POST", "PUT", "PATCH", "DELETE"], Meta(description="The HTTP method.")
    ] = "GET"
    path: Annotated[str, Meta(pattern=r"^/", description="The path; `{name}` is a parameter of it.")]
    func: Annotated[str, reference("function.python", description="What answers.")]
    max_body: Annotated[
        Size | None,
        Meta(
            description="The longest body, where that is not the server's `limits.body`; 0 for no limit, where the "
            "function reads `request.stream()`."
        ),
    ] = None
    scope: Annotated[
        Needed | None,
        Meta(
            description="What a caller must have where the router tells callers apart; `public` for anybody. By "
            "default what the function says, or else `admin`."
        ),
    ] = None


class HttpEndpoint:
    """Attaches a function to a router."""

    kind: ClassVar[str] = "http.endpoint"
    Config: ClassVar[type[EntryConfig]] = EndpointConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self.id = entry.id
        self._config: EndpointConfig = entry.config
        self._context = context

    async def start(self) -> None:
        """Hand the route to the router, which starts after."""
        router = self._context.get(self._config.meta.router, HttpRouter)
        function = self._context.get(self._config.func, Function)  # type: ignore[type-abstract]
        config = self._config
        if is_direct(function.call):
            handler, direct = from_direct(function.call), function.call
        else:
            handler, direct = from_function(function.invoke), None
        streams = is_streaming(function.call)
        said = operation_of(function.call)
        route = Route(config.method, config.path, handler, direct, config.max_body, self.id, function.call)
        route = route._replace(streams=streams)
        if said is not None:
            route = route._replace(scope=said.scope, for_limited=said.for_limited)
        router.route(route if config.scope is None else route._replace(scope=config.scope))

    async def stop(self) -> None:
        """Nothing to let go of."""
