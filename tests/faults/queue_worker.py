"""A consumer of one channel that a test steers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

from parts import DriverPart

from taskmill.queue import Message
from taskmill.queue.drivers.base import Channel

D = TypeVar("D", bound=DriverPart)

REST = 0.02  # seconds that a message rests after each nack


class Worker:
    """Holds each message for a while, and acks it. ``work`` is in seconds; with None the test settles it."""

    def __init__(self, channel: Channel, credit: int = 20, work: float | None = 0.002) -> None:
        self.came: list[Message] = []
        self.held: list[Message] = []
        self._channel = channel
        self._credit = credit
        self._work = work
        channel.subscribe(self)

    @property
    def ids(self) -> list[str]:
        return [message.id() for message in self.came]

    def credit(self) -> int:
        return self._credit - len(self.held)

    def receive(self, messages: Sequence[Message]) -> None:
        assert 0 < len(messages) <= self.credit(), "more was given than there was credit for"
        self.came += messages
        self.held += messages
        if self._work is not None:
            for message in messages:
                asyncio.get_running_loop().call_later(self._work, self.settle, message)

    def settle(self, message: Message, acknowledged: bool = True) -> None:
        self.held.remove(message)
        if acknowledged:
            message.ack()
        else:
            message.nack()
        self._channel.pump()


@asynccontextmanager
async def started(driver: D) -> AsyncIterator[D]:
    await driver.start()
    try:
        yield driver
    finally:
        await driver.stop()


async def opened(driver: DriverPart, name: str) -> Channel:
    """Open a channel, and wait until it works."""
    channel = driver.open(name, lambda _deliveries: REST)
    await until(lambda: channel.problem() is None)
    return channel


async def until(condition: Callable[[], object], within: float = 30.0) -> None:
    """Wait for a condition; raise AssertionError if it does not come in so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not in {within} s"
        await asyncio.sleep(0.005)  # a look now and then until the deadline
