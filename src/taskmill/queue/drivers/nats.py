"""``queue.driver.nats``: queues in a JetStream work-queue stream, one durable pull consumer each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from msgspec import Meta

from taskmill.queue.drivers.base import Channel
from taskmill.queue.drivers.library import library, url_mistake
from taskmill.queue.drivers.tls import Tls
from taskmill.registry import Entry, EntryConfig, Mistake
from taskmill.supervisor import Context
from taskmill.units import Duration

if TYPE_CHECKING:
    from taskmill.queue.drivers.nats_link import NatsLink


class NatsConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Dispatch through NATS JetStream: a work-queue stream, and a durable pull consumer for each queue.

    It takes the extra `nats`. A stream that is missing is made; one that exists is used as it is.
    """

    url: Annotated[
        str,
        Meta(description="`nats://user:password@host:4222` or `tls://…`; several with commas."),
    ]
    credentials: Annotated[str, Meta(description="A `.creds` file, in place of a password.")] = ""
    tls: Annotated[Tls | None, Meta(description="Certificates.")] = None
    stream: Annotated[
        str,
        Meta(
            pattern=r"^[A-Za-z0-9_-]{1,100}$", description="The stream's name, and its subjects' first word."
        ),
    ] = "taskmill"
    replicas: Annotated[
        int, Meta(ge=1, le=5, description="How many servers of a cluster keep the stream.")
    ] = 1
    storage: Annotated[Literal["file", "memory"], Meta(description="Where the servers keep it.")] = "file"
    ack_wait: Annotated[
        Duration,
        Meta(
            description="A message comes again once its holder was not heard of for so long, at least `1s`."
        ),
    ] = Duration(30)
    max_deliver: Annotated[
        int, Meta(ge=-1, description="Deliveries after which the server gives a message up; -1 for never.")
    ] = -1

    def __post_init__(self) -> None:
        if self.ack_wait < 1:
            raise ValueError("`ack_wait` is at least `1s`")


class NatsDriver:
    """Makes the channels of its queues, on one connection."""

    kind: ClassVar[str] = "queue.driver.nats"
    Config: ClassVar[type[EntryConfig]] = NatsConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:  # noqa: ARG002 - every kind's signature
        self._entry = entry
        self._link: NatsLink | None = None

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find an address that is none."""
        for url in entry.config.url.split(","):
            if wrong := url_mistake(url.strip(), "nats", "tls", "ws", "wss"):
                yield Mistake("url", wrong)
                return

    async def start(self) -> None:
        """Connect; where the server is away, begin to try again and again."""
        made: NatsLink = library("taskmill.queue.drivers.nats_link", "nats").NatsLink(
            self._entry.id, self._entry.config
        )
        await made.start()
        self._link = made

    async def stop(self) -> None:
        """Give back what is held, and disconnect."""
        if self._link is not None:
            await self._link.stop()

    def open(self, queue_name: str, redelivery: Callable[[int], float]) -> Channel:
        """Return the channel of a name, the same for the same name."""
        if self._link is None:
            raise RuntimeError("the driver has not started")
        return self._link.open(queue_name, redelivery)
