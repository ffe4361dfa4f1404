"""``queue.driver.memory``: queues inside the process, bounded in number and bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from taskmill.queue.drivers.base import Receiver, Room
from taskmill.queue.errors import QueueError, QueueFull
from taskmill.queue.message import Message
from taskmill.registry import Entry, EntryConfig
from taskmill.supervisor import Context
from taskmill.units import Size


class MemoryConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Dispatch inside the process. Messages are lost with it; tasks are not, since their rows stay."""

    max_length: Annotated[
        int, Meta(ge=1, le=10_000_000, description="Messages a queue holds: waiting, prefetched or running.")
    ] = 10_000
    max_bytes: Annotated[
        Size, Meta(description="Bytes of bodies a queue holds in memory; one message always fits.")
    ] = Size(2**26)
    when_full: Annotated[
        Literal["wait", "refuse"], Meta(description="What publishing to a full queue does. It never drops.")
    ] = "wait"


@dataclass(slots=True, eq=False)
class _Publisher:
    """One that waits for room."""

    left: list[Message]
    admitted: asyncio.Future[None]


class MemoryDriver:
    """Makes the channels of its queues."""

    kind: ClassVar[str] = "queue.driver.memory"
    Config: ClassVar[type[EntryConfig]] = MemoryConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:  # noqa: ARG002 - every kind's signature
        self._config: MemoryConfig = entry.config
        self._channels: dict[str, MemoryChannel] = {}

    async def start(self) -> None:
        """Nothing to begin: channels are made as queues open them."""

    async def stop(self) -> None:
        """Forget every message."""
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def open(self, queue_name: str, redelivery: Callable[[int], float]) -> MemoryChannel:
        """Return the channel of a name, the same for the same name.

        ``redelivery(deliveries)`` is how many seconds a message rests after having been nacked.
        """
        if queue_name not in self._channels:
            self._channels[queue_name] = MemoryChannel(queue_name, self._config, redelivery)
        return self._channels[queue_name]


class MemoryChannel:
    """One queue in memory; see :class:`taskmill.queue.drivers.base.Window`."""

    def __init__(self, name: str, config: MemoryConfig, redelivery: Callable[[int], float]) -> None:
        self._name = name
        self._config = config
        self._redelivery = redelivery
        self._waiting: deque[Message] = deque()
        self._receivers: list[Receiver] = []
        self._length = 0  # waiting, held, running, or resting after a nack
        self._bytes = 0
        self._publishers: deque[_Publisher] = deque()  # wait for room, in the order of their coming
        self._timers: dict[asyncio.TimerHandle, Message] = {}  # of the messages that rest
        self._pumping = False
        self._source: Callable[[int], Sequence[Message]] | None = None
        self._closed = False

    @property
    def capacity(self) -> Room:
        """How much it holds at most."""
        return Room(self._config.max_length, self._config.max_bytes)

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take messages, in order; wait for room or raise QueueFull, as declared."""
        if self._closed:
            raise self._stopped()
        if self._config.when_full == "refuse" and self._fitting(messages)[0] < len(messages):
            raise QueueFull(
                f"queue {self._name} has no room: it holds {self._length} messages of {self._bytes} bytes; "
                f"`max_length` is {self._config.max_length} and `max_bytes` {self._config.max_bytes}"
            )
        left = list(messages[self.offer(messages) :])
        if not left:
            return
        publisher = _Publisher(left, asyncio.get_running_loop().create_future())
        self._publishers.append(publisher)
        self._admit()  # there is room again where a receiver has acked at once
        try:
            await publisher.admitted
        finally:
            if publisher in self._publishers:  # cancelled, and perhaps in the way of smaller ones
                self._publishers.remove(publisher)
                self._admit()

    def offer(self, messages: Sequence[Message]) -> int:
        """Take as many as there is room for, from the first on; return how many."""
        if self._publishers or self._closed:
            return 0
        taken = self._take(messages)
        self.pump()
        return taken

    def room(self) -> Room:
        """How much would be taken now."""
        if self._publishers:
            return Room(0, 0)
        return Room(self._config.max_length - self._length, max(0, self._config.max_bytes - self._bytes))

    def subscribe(self, receiver: Receiver) -> None:
        """Deliver to a receiver from now on."""
        self._receivers.append(receiver)
        self.pump()

    def unsubscribe(self, receiver: Receiver) -> None:
        """Deliver no more to it."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def draw_from(self, source: Callable[[int], Sequence[Message]]) -> None:
        """Where receivers want more than waits here, take it from a source."""
        self._source = source

    def pump(self) -> None:
        """Deliver while somebody has credit. Receivers take turns, so that none is starved."""
        if self._pumping:  # a receiver settled a message while it was given one
            return
        self._pumping = True
        try:
            while True:
                receiver = next((receiver for receiver in self._receivers if receiver.credit() > 0), None)
                if receiver is None:
                    return
                messages = self._next(receiver.credit())
                if not messages:
                    return
                if len(self._receivers) > 1:
                    self._receivers.remove(receiver)
                    self._receivers.append(receiver)
                for message in messages:
                    message.delivered(self._settled)
                receiver.receive(messages)
        finally:
            self._pumping = False

    def _next(self, limit: int) -> Sequence[Message]:
        """Take what waits, or else what the source has, while there is room for it."""
        waiting = self._waiting
        if waiting:
            return [waiting.popleft() for _ in range(min(limit, len(waiting)))]
        if self._source is None or self._closed or self._publishers:
            return ()
        free = self._config.max_length - self._length
        if free <= 0 or self._bytes >= self._config.max_bytes:
            return ()
        messages = self._source(min(limit, free))
        self._length += len(messages)
        self._bytes += sum(map(_size, messages))
        return messages

    def length(self) -> int:
        """How many messages are waiting, held, running or resting."""
        return self._length

    async def depth(self) -> int:
        """How many messages are waiting or resting."""
        return len(self._waiting) + len(self._timers)

    async def purge(self) -> None:
        """Drop every message that waits or rests, and let those in that wait for room."""
        dropped = [*self._waiting, *self._timers.values()]
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        self._length -= len(dropped)
        self._bytes -= sum(map(_size, dropped))
        self._admit()

    def problem(self) -> str | None:
        """Why messages do not move: nothing can be wrong with memory, unless the driver has stopped."""
        return str(self._stopped()) if self._closed else None

    def receivers(self) -> int:
        """How many receivers have subscribed."""
        return len(self._receivers)

    def close(self) -> None:
        """Forget every message, and let no publisher wait for what will not come."""
        self._closed = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()
        while self._publishers:
            admitted = self._publishers.popleft().admitted
            if not admitted.done():
                admitted.set_exception(self._stopped())

    def _fitting(self, messages: Sequence[Message]) -> tuple[int, int]:
        """Return how many of the messages there is room for, from the first on, and their bytes."""
        length, total = self._length, self._bytes
        for message in messages:
            size = _size(message)
            full = length >= self._config.max_length or total + size > self._config.max_bytes
            if full and length:  # one message always fits
                break
            length += 1
            total += size
        return length - self._length, total - self._bytes

    def _take(self, messages: Sequence[Message]) -> int:
        count, size = self._fitting(messages)
        self._waiting.extend(messages[:count])
        self._length += count
        self._bytes += size
        return count

    def _settled(self, message: Message, acknowledged: bool) -> None:
        if acknowledged:
            self._length -= 1
            self._bytes -= _size(message)
            if self._publishers:
                self._admit()
            return
        if self._closed:
            return
        loop = asyncio.get_running_loop()

        def again() -> None:
            del self._timers[timer]
            self._waiting.append(message)
            self.pump()

        timer = loop.call_later(self._redelivery(message.deliveries), again)
        self._timers[timer] = message

    def _admit(self) -> None:
        """Take from those that wait for room, strictly in turn: nobody overtakes one whose message is large."""
        while self._publishers:
            publisher = self._publishers[0]
            del publisher.left[: self._take(publisher.left)]
            if publisher.left:
                break
            self._publishers.popleft()
            if not publisher.admitted.done():
                publisher.admitted.set_result(None)
        self.pump()

    def _stopped(self) -> QueueError:
        return QueueError(f"queue {self._name} has stopped")


def _size(message: Message) -> int:
    """Return the memory that a body may take: text beyond ASCII up to four bytes a character."""
    body = message.body
    return len(body) if body.isascii() else 4 * len(body)
