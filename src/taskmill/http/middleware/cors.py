"""``http.middleware.cors``: which web pages of other origins may ask."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field
from starlette.requests import Request
from starlette.responses import Response

from taskmill.http.middleware.incoming import Header, Incoming, Middleware
from taskmill.http.origin import ANY
from taskmill.http.routing import Route
from taskmill.registry import Entry, EntryConfig, Mistake
from taskmill.supervisor import Context
from taskmill.units import Duration

_ORIGIN = Meta(pattern=r"^(\*|https?://[^\s/?#]+)$")
_NAME = Meta(pattern=r"^[A-Za-z0-9-]+$")


class CorsConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Lets web pages of other origins ask, by the rules of CORS. It stands before what tells callers apart."""

    origins: Annotated[
        list[Annotated[str, _ORIGIN]],
        Meta(min_length=1, description="Such as `https://shop.example`, exactly; `*` for any."),
    ]
    headers: Annotated[
        list[Annotated[str, _NAME]], Meta(description="What pages may send beyond what needs no leave.")
    ] = field(
        default_factory=lambda: [
            "Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID", "Prefer", "X-Request-ID",
        ]
    )  # fmt: skip
    expose: Annotated[list[Annotated[str, _NAME]], Meta(description="What pages may read of an answer.")] = (
        field(
            default_factory=lambda: [
                "Location", "Idempotency-Replayed", "Preference-Applied", "RateLimit", "RateLimit-Policy",
                "Retry-After", "WWW-Authenticate", "X-Request-ID",
            ]
        )
    )  # fmt: skip
    credentials: Annotated[bool, Meta(description="Whether browsers send cookies along.")] = False
    max_age: Annotated[Duration, Meta(description="For how long browsers remember what they may.")] = (
        Duration(600)
    )


class Cors(Middleware):
    """Tells browsers which pages may ask."""

    kind: ClassVar[str] = "http.middleware.cors"
    Config: ClassVar[type[EntryConfig]] = CorsConfig

    def __init__(self, entry: Entry[Any], _: Context) -> None:
        config: CorsConfig = entry.config
        self.origins = frozenset(origin.encode() for origin in config.origins)
        common = [(b"access-control-allow-credentials", b"true")] if config.credentials else []
        self._answer: list[Header] = [
            *common, (b"access-control-expose-headers", ", ".join(config.expose).encode())
        ]  # fmt: skip
        self._leave: list[Header] = [
            *common,
            (b"access-control-allow-headers", ", ".join(config.headers).encode()),
            (b"access-control-max-age", b"%d" % int(config.max_age)),
        ]

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find what browsers refuse, with good reason."""
        if entry.config.credentials and "*" in entry.config.origins:
            yield Mistake("credentials", "cookies are not sent for `*`: name the origins")

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to let go of."""

    def meet(self, incoming: Incoming) -> None:
        """Add what lets a page read the answer, if it may."""
        incoming.extra.append((b"vary", b"origin"))
        if allowed := self._allowed(incoming.header(b"origin")):
            incoming.extra.append((b"access-control-allow-origin", allowed))
            incoming.extra += self._answer

    def routes(self, routes: Sequence[Route]) -> Iterable[Route]:
        """Answer the question of a browser that comes before a page's request."""
        methods: dict[str, list[str]] = {}
        for route in routes:
            methods.setdefault(route.path, []).append(route.method)
        for path, found in methods.items():
            if "OPTIONS" not in found:
                yield Route("OPTIONS", path, self._ask(", ".join(found).encode()), scope="public")

    def _ask(self, methods: bytes) -> Any:
        async def ask(request: Request) -> Response:
            response = Response(status_code=204)
            if self._allowed(request.headers.get("origin", "").encode("latin-1")):
                response.raw_headers += [(b"access-control-allow-methods", methods), *self._leave]
            return response

        return ask

    def _allowed(self, origin: bytes | None) -> bytes | None:
        if not origin:
            return None
        if ANY in self.origins:
            return ANY
        return origin if origin in self.origins else None
