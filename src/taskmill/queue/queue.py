"""``queue.queue``: a logical queue on a driver."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from taskmill.queue import access
from taskmill.queue.drivers.base import Channel, Driver, Window
from taskmill.queue.errors import QueueError
from taskmill.registry import Entry, EntryConfig, reference
from taskmill.supervisor import Context
from taskmill.units import Duration


class Redelivery(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """How long a message rests after a function has refused it, so that a bad one spins nothing."""

    initial_delay: Annotated[Duration, Meta(description="After the first refusal.")] = Duration(0.1)
    max_delay: Annotated[Duration, Meta(description="The longest rest.")] = Duration(30)
    backoff_factor: Annotated[
        float, Meta(ge=1, le=100, description="Each rest is this many times the last.")
    ] = 2.0

    def delay(self, deliveries: int) -> float:
        """Return the rest after so many deliveries, in seconds."""
        return min(
            self.max_delay, self.initial_delay * self.backoff_factor ** min(max(deliveries - 1, 0), 64)
        )


class QueueConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """A logical queue."""

    driver: Annotated[str, reference("queue.driver.*", description="What carries it.")]
    queue_name: Annotated[str, Meta(description="Its name at the driver; the entry's own by default.")] = ""
    dead_letter: Annotated[
        Annotated[str, reference("queue.queue")] | None,
        Meta(
            description="Where a task of this queue is published, with its reasons, once it has failed for good."
        ),
    ] = None
    retry: Annotated[
        Redelivery, Meta(description="The rest before a refused message is delivered again.")
    ] = Redelivery()


class Queue:
    """A queue: :attr:`channel` once it has started, where messages are published.

    ``front`` is where consumers take them from: the channel itself, unless another part has put one of its own
    before it.
    """

    kind: ClassVar[str] = "queue.queue"
    Config: ClassVar[type[EntryConfig]] = QueueConfig

    channel: Channel
    front: Channel

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: QueueConfig = entry.config
        self._context = context
        self.id = entry.id
        self.name = self._config.queue_name or self._config.name
        self.dead_letter = self._config.dead_letter

    async def start(self) -> None:
        """Open the channel."""
        driver = self._context.get(self._config.driver, Driver)  # type: ignore[type-abstract]
        self.channel = self.front = driver.open(self.name, self._config.retry.delay)
        access.register(self.id, self)

    @property
    def window(self) -> Window:
        """The front, for a publisher that holds messages back until they are wanted.

        Raises:
            QueueError: the front is an engine outside of the process.
        """
        if not isinstance(self.front, Window):
            raise QueueError(
                f"queue {self.id} is carried by an engine of its own; here it takes one in memory"
            )
        return self.front

    def redelivery(self, deliveries: int) -> float:
        """Return how many seconds a refused message rests, by how often it has been delivered."""
        return self._config.retry.delay(deliveries)

    async def stop(self) -> None:
        """Take no more messages."""
        access.forget(self.id, self)
