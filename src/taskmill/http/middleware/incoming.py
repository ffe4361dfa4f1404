"""What middleware sees of a request before its endpoint does, and of the answer before the client does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from taskmill.http.auth.caller import Caller
    from taskmill.http.routing import Route

Header = tuple[bytes, bytes]


class Refusal(NamedTuple):
    """An answer that says no. ``detail`` says what to do."""

    status: int
    detail: str
    headers: Sequence[Header] = ()


class Outgoing:
    """An answer on its way. ``body`` is None where it is streamed.

    ``headers`` are what middleware adds, names in lower case; ``own`` are the names of those that it has already.
    """

    __slots__ = ("body", "headers", "media_type", "own", "status")

    def __init__(
        self,
        status: int,
        media_type: bytes,
        headers: list[Header],
        body: bytes | None,
        own: Collection[bytes],
    ) -> None:
        self.status = status
        self.media_type = media_type
        self.headers = headers
        self.body = body
        self.own = own


Finish = Callable[[Outgoing], None]


class Incoming:
    """A request's head. Middleware reads it, and says here what is to become of the answer.

    Attributes:
        route: the endpoint that will answer.
        method: as it was sent, such as ``HEAD``.
        headers: pairs of bytes, names in lower case.
        client: the address of who asks, as far as it is known.
        caller: who that is, once a middleware has found out.
        unknown: why who asks is not known, although they said who they are.
        id: what the request is called in logs, if it has a name.
        extra: headers for the answer, whatever it is.
        finish: calls that may change the answer, or count it.
    """

    __slots__ = ("caller", "client", "extra", "finish", "headers", "id", "method", "route", "unknown")

    def __init__(self, route: Route, method: str, headers: Iterable[Header], client: str) -> None:
        self.route = route
        self.method = method
        self.headers = headers
        self.client = client
        self.caller: Caller | None = None
        self.unknown: str | None = None
        self.id: bytes | None = None
        self.extra: list[Header] = []
        self.finish: list[Finish] = []

    def header(self, name: bytes) -> bytes | None:
        """Return the value of a header (name in lower case); None where it is missing, or there twice."""
        found = [value for key, value in self.headers if key == name]
        return found[0] if len(found) == 1 else None


Outcome = Refusal | None


class Middleware:
    """One piece that stands before endpoints. The base of its kind's class, with a ``meet`` of its own.

    ``authenticates`` says that it finds out who asks: then nobody is let through who may not. ``origins`` are those
    of web pages that may have something changed, beside the server's own.
    """

    authenticates = False
    origins: frozenset[bytes] = frozenset()

    def meet(self, incoming: Incoming) -> Outcome | Awaitable[Outcome]:
        """Look at a request; return None to let it go on. Called on the event loop for each request."""
        raise NotImplementedError

    def routes(self, routes: Sequence[Route]) -> Iterable[Route]:  # noqa: ARG002 - for those who need it
        """Return routes to serve beside those that it stands before."""
        return ()
