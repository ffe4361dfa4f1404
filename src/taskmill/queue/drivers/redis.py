"""``queue.driver.redis``: queues in Redis or Valkey streams, each with a consumer group."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from taskmill.queue.drivers.base import Channel
from taskmill.queue.drivers.library import library, url_mistake
from taskmill.queue.drivers.tls import Tls
from taskmill.registry import Entry, EntryConfig, Mistake
from taskmill.supervisor import Context
from taskmill.units import Duration

if TYPE_CHECKING:
    from taskmill.queue.drivers.redis_link import RedisLink


class RedisConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Dispatch through Redis 6.2 or later, or Valkey: a stream with a consumer group for each queue.

    It takes the extra `redis`.
    """

    url: Annotated[
        str,
        Meta(description="`redis://user:password@host:6379/0`, or `rediss://…`, or `unix://…`."),
    ]
    tls: Annotated[Tls | None, Meta(description="Certificates, for `rediss://`.")] = None
    prefix: Annotated[
        str, Meta(pattern=r"^[^{}]{1,100}$", description="What the names of all keys begin with.")
    ] = "taskmill"
    lease: Annotated[
        Duration,
        Meta(
            description="A message comes again once its holder was not heard of for so long, at least `1s`."
        ),
    ] = Duration(30)

    def __post_init__(self) -> None:
        if self.lease < 1:
            raise ValueError("`lease` is at least `1s`")


class RedisDriver:
    """Makes the channels of its queues."""

    kind: ClassVar[str] = "queue.driver.redis"
    Config: ClassVar[type[EntryConfig]] = RedisConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:  # noqa: ARG002 - every kind's signature
        self._entry = entry
        self._link: RedisLink | None = None

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find an address that is none, and certificates for one that is not encrypted."""
        if wrong := url_mistake(entry.config.url, "redis", "rediss", "unix"):
            yield Mistake("url", wrong)
        elif entry.config.tls is not None and not entry.config.url.startswith("rediss://"):
            yield Mistake("tls", "takes a `url` that begins with `rediss://`")

    async def start(self) -> None:
        """Connect; where the server is away, begin to try again and again."""
        made: RedisLink = library("taskmill.queue.drivers.redis_link", "redis").RedisLink(
            self._entry.id, self._entry.config
        )
        self._link = made
        await made.start()

    async def stop(self) -> None:
        """Give back what is held, and disconnect."""
        if self._link is not None:
            await self._link.stop()

    def open(self, queue_name: str, redelivery: Callable[[int], float]) -> Channel:
        """Return the channel of a name, the same for the same name."""
        if self._link is None:
            raise RuntimeError("the driver has not started")
        return self._link.open(queue_name, redelivery)
