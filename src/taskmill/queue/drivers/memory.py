"""``queue.driver.memory``: queues inside the process, bounded in number and bytes."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from taskmill.queue.drivers.base import Receiver
from taskmill.queue.errors import QueueFull
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
        Size, Meta(description="Bytes of bodies a queue holds; one message always fits.")
    ] = Size(2**26)
    when_full: Annotated[
        Literal["wait", "refuse"], Meta(description="What publishing to a full queue does. It never drops.")
    ] = "wait"


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
    """One queue in memory; see :class:`taskmill.queue.drivers.base.Channel`."""

    def __init__(self, name: str, config: MemoryConfig, redelivery: Callable[[int], float]) -> None:
        self._name = name
        self._config = config
        self._redelivery = redelivery
        self._waiting: deque[Message] = deque()
        self._receivers: list[Receiver] = []
        self._length = 0  # waiting, held, running, or resting after a nack
        self._bytes = 0
        self._publishers: deque[asyncio.Future[None]] = deque()  # those that wait for room
        self._timers: set[asyncio.TimerHandle] = set()
        self._pumping = False

    @property
    def capacity(self) -> int:
        """How many messages it holds at most."""
        return self._config.max_length

    async def publish(self, messages: Sequence[Message]) -> None:
        """Take messages, in order; wait for room or raise QueueFull, as declared."""
        if self._config.when_full == "refuse" and self.room() < len(messages):
            raise QueueFull(
                f"queue {self._name} holds its `max_length` of {self._config.max_length} messages"
            )
        left = list(messages)
        while left:
            # Those that wait have come first: a newcomer may not overtake them.
            if self._publishers or not self.offer(left[:1]):
                turn = asyncio.get_running_loop().create_future()
                self._publishers.append(turn)
                try:
                    await turn
                finally:
                    if turn in self._publishers:
                        self._publishers.remove(turn)
                if not self.offer(left[:1]):
                    continue
            del left[:1]
            self._admit()

    def offer(self, messages: Sequence[Message]) -> int:
        """Take as many as there is room for, from the first on; return how many."""
        taken = 0
        for message in messages:
            full = (
                self._length >= self._config.max_length
                or self._bytes + len(message.body) > self._config.max_bytes
            )
            if full and self._length:
                break
            self._length += 1
            self._bytes += len(message.body)
            self._waiting.append(message)
            taken += 1
        self.pump()
        return taken

    def room(self) -> int:
        """How many small messages would be taken now."""
        if self._bytes >= self._config.max_bytes:
            return 0
        return self._config.max_length - self._length

    def subscribe(self, receiver: Receiver) -> None:
        """Deliver to a receiver from now on."""
        self._receivers.append(receiver)
        self.pump()

    def unsubscribe(self, receiver: Receiver) -> None:
        """Deliver no more to it."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def pump(self) -> None:
        """Deliver while somebody has credit. Receivers take turns, so that none is starved."""
        if self._pumping:  # a receiver settled a message while it was given one
            return
        self._pumping = True
        try:
            while self._waiting:
                receiver = next((receiver for receiver in self._receivers if receiver.credit() > 0), None)
                if receiver is None:
                    return
                if len(self._receivers) > 1:
                    self._receivers.remove(receiver)
                    self._receivers.append(receiver)
                count = min(receiver.credit(), len(self._waiting))
                messages = [self._waiting.popleft() for _ in range(count)]
                for message in messages:
                    message.delivered(self._settled)
                receiver.receive(messages)
        finally:
            self._pumping = False

    def depth(self) -> int:
        """How many messages are waiting, held, running or resting."""
        return self._length

    def close(self) -> None:
        """Forget every message."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._waiting.clear()

    def _settled(self, message: Message, acknowledged: bool) -> None:
        if acknowledged:
            self._length -= 1
            self._bytes -= len(message.body)
            if self._publishers:
                self._admit()
            return
        loop = asyncio.get_running_loop()

        def again() -> None:
            self._timers.discard(timer)
            self._waiting.append(message)
            self.pump()

        timer = loop.call_later(self._redelivery(message.deliveries), again)
        self._timers.add(timer)

    def _admit(self) -> None:
        """Let the publisher that has waited longest look for room."""
        while self._publishers:
            turn = self._publishers.popleft()
            if not turn.done():
                turn.set_result(None)
                return
