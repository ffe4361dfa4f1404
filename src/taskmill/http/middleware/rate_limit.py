"""``http.middleware.rate_limit``: how many requests a caller or an address may send."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil
from time import monotonic
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple

from msgspec import Meta

from taskmill.http.auth.caller import Needed
from taskmill.http.middleware.incoming import Incoming, Middleware, Outcome, Refusal
from taskmill.registry import Entry, EntryConfig, Mistake
from taskmill.supervisor import Context
from taskmill.units import Duration

MOST: Final = 100_000  # callers that are remembered


class RateLimitConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Bounds how many requests each caller may send; beyond it 429. Each process counts for itself.

    Answers say how much is left, in `RateLimit` and `RateLimit-Policy` as the IETF's draft has them. What is `public`,
    such as `/healthz`, is not counted.
    """

    limit: Annotated[int, Meta(ge=1, le=1_000_000_000, description="So many requests in each `per`.")]
    per: Annotated[Duration, Meta(description="The time in which that many may be sent.")] = Duration(1)
    burst: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000_000)] | None,
        Meta(description="So many at once, after a rest. `null`: as many as `limit`."),
    ] = None
    by: Annotated[
        Literal["caller", "address"],
        Meta(
            description="Who is counted: a `caller` by the key, where it stands after what tells callers apart, and by "
            "the address where there is none; or an `address` (of IPv6 a network of 64 bits)."
        ),
    ] = "caller"
    scopes: Annotated[
        list[Needed] | None,
        Meta(description="Only what takes one of these, such as `[submit]`. `null`: all."),
    ] = None


class Left(NamedTuple):
    """How much is left of a quota: requests, and the seconds until it is whole. ``wait`` until one more may come."""

    requests: int
    whole: float
    wait: float


class Meter:
    """Counts by the time at which each one's quota is whole again: one number each, and nothing to tidy up."""

    def __init__(self, limit: int, per: float, burst: int, most: int = MOST) -> None:
        self._each = per / limit
        self._room = self._each * burst
        self._most = most
        self._whole_at: dict[str, float] = {}

    def take(self, who: str, now: float) -> Left:
        """Take one of somebody's quota at a time in seconds; ``wait`` is above 0 where nothing is left to take."""
        whole_at = max(self._whole_at.get(who, 0.0), now) + self._each
        wait = whole_at - now - self._room
        if wait > 1e-9:
            return Left(0, whole_at - self._each - now, wait)
        if who not in self._whole_at and len(self._whole_at) >= self._most:
            self._forget(now)
        self._whole_at[who] = whole_at
        return Left(int((self._room - (whole_at - now)) / self._each + 1e-6), whole_at - now, 0.0)

    def _forget(self, now: float) -> None:
        """Forget those whose quota is whole; where there are none, those who came first."""
        kept = {who: at for who, at in self._whole_at.items() if at > now}
        self._whole_at = dict(list(kept.items())[len(kept) // 2 :]) if len(kept) >= self._most else kept


class RateLimit(Middleware):
    """Refuses what is beyond the limit."""

    kind: ClassVar[str] = "http.middleware.rate_limit"
    Config: ClassVar[type[EntryConfig]] = RateLimitConfig

    def __init__(self, entry: Entry[Any], _: Context) -> None:
        config: RateLimitConfig = entry.config
        self._meter = Meter(config.limit, config.per or 1.0, config.burst or config.limit)
        self._by_caller = config.by == "caller"
        self._scopes = None if config.scopes is None else frozenset(config.scopes)
        self._name = entry.id.partition(":")[2].encode("ascii", "replace")
        self._policy = b'"%b";q=%d;w=%d' % (self._name, config.limit, ceil(config.per))
        self._what = f"{config.limit:,} requests in {config.per}"

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find a limit that lets nobody do anything, or everybody all."""
        if entry.config.per <= 0:
            yield Mistake("per", "above 0, such as `1s` or `1m`")

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to let go of."""

    def meet(self, incoming: Incoming) -> Outcome:
        """Count a request, or refuse it."""
        scope = incoming.route.scope
        if scope == "public" or (self._scopes is not None and scope not in self._scopes):
            return None
        left = self._meter.take(self._who(incoming), monotonic())
        incoming.extra.append((b"ratelimit-policy", self._policy))
        incoming.extra.append(
            (b"ratelimit", b'"%b";r=%d;t=%d' % (self._name, left.requests, ceil(left.whole)))
        )
        if left.wait <= 0:
            return None
        wait = max(1, ceil(left.wait))
        detail = f"These are more than {self._what}; try again in {wait} s."
        return Refusal(429, detail, [(b"retry-after", b"%d" % wait)])

    def _who(self, incoming: Incoming) -> str:
        if self._by_caller and incoming.caller is not None:
            return incoming.caller.id
        return network(incoming.client)


def network(address: str) -> str:
    """Return what an address is counted as: of IPv6 its network, since one client has all of that."""
    if ":" not in address:
        return address
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ip_network((found, 64), strict=False))
