"""``http.middleware.headers``: headers on each answer that tell browsers what they must not do."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta, field

from taskmill.http.middleware.incoming import Header, Incoming, Middleware
from taskmill.registry import Entry, EntryConfig
from taskmill.supervisor import Context
from taskmill.units import Duration

_STRICT: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)


class HeadersConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Adds headers to each answer: those by which browsers take it for data and nothing else, and your own.

    Pages that say themselves what they may do, such as `/docs`, keep what they say.
    """

    hsts: Annotated[
        Duration,
        Meta(
            description="For how long browsers shall use TLS alone; 0: they are not told. Only where there is TLS."
        ),
    ] = Duration(0)
    cache: Annotated[str, Meta(pattern=r"^[ -~]*$", description="`Cache-Control`; empty for none.")] = (
        "no-store"
    )
    add: Annotated[
        dict[
            Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]+$")],
            Annotated[str, Meta(pattern=r"^[ -~]*$")],
        ],
        Meta(description="More of them, by their names; in the place of those that would be there."),
    ] = field(default_factory=dict)


class Headers(Middleware):
    """Adds headers."""

    kind: ClassVar[str] = "http.middleware.headers"
    Config: ClassVar[type[EntryConfig]] = HeadersConfig

    def __init__(self, entry: Entry[Any], _: Context) -> None:
        config: HeadersConfig = entry.config
        headers = dict(_STRICT)
        if config.cache:
            headers[b"cache-control"] = config.cache.encode()
        if config.hsts:
            headers[b"strict-transport-security"] = b"max-age=%d; includeSubDomains" % int(config.hsts)
        headers |= {name.lower().encode(): value.encode() for name, value in config.add.items()}
        self._headers = [pair for pair in headers.items() if pair[1]]

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to let go of."""

    def meet(self, incoming: Incoming) -> None:
        """Add them to the answer."""
        incoming.extra += self._headers
