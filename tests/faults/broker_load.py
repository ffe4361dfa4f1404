"""A load on a queue driver that keeps books: what was confirmed, what came, how often, and the longest gap."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from types import TracebackType

from parts import DriverPart

from taskmill.queue import Message, QueueUnavailable
from taskmill.queue.drivers.base import Channel

BATCH = 10
REST = 0.02  # seconds after a nack


class Load:
    """Publishes numbered messages through one driver and takes them through another, as two nodes do.

    An async context manager: it publishes within. ``every`` is the pause between two batches, in seconds.
    """

    def __init__(self, driver: Callable[[], DriverPart], queue: str = "load", every: float = 0.01) -> None:
        self.confirmed: set[str] = set()
        self.came: Counter[str] = Counter()
        self.longest_gap = 0.0  # seconds without a delivery
        self._queue = queue
        self._every = every
        self._publisher, self._consumer = driver(), driver()
        self._stopped = asyncio.Event()
        self._last = 0.0

    async def __aenter__(self) -> "Load":
        await self._publisher.start()
        await self._consumer.start()
        self.to = self._publisher.open(self._queue, lambda _: REST)
        self.channel: Channel = self._consumer.open(self._queue, lambda _: REST)
        self._last = asyncio.get_running_loop().time()
        self.channel.subscribe(self)
        self._publishing = asyncio.create_task(self._publish())
        return self

    async def __aexit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._stopped.set()
        await asyncio.gather(self._publishing, return_exceptions=True)
        await self._consumer.stop()
        await self._publisher.stop()

    def credit(self) -> int:
        return 50

    def receive(self, messages: Sequence[Message]) -> None:
        now = asyncio.get_running_loop().time()
        self.longest_gap = max(self.longest_gap, now - self._last)
        self._last = now
        for message in messages:
            self.came[message.id()] += 1
            message.ack()
        self.channel.pump()

    async def end(self) -> None:
        """Publish no more, and wait until everything that was confirmed has come."""
        self._stopped.set()
        await self._publishing
        await self.goes_on(lambda: self.confirmed <= self.came.keys(), 60)

    async def goes_on(self, condition: Callable[[], bool], limit: float = 30) -> None:
        """Wait for a condition."""
        try:
            async with asyncio.timeout(limit):
                while not condition():
                    if self._publishing.done():
                        self._publishing.result()  # raises what ended it
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"still not after {limit} s; {self.books()}") from None

    async def more(self, count: int = 200) -> None:
        """Wait until so many more have come."""
        before = sum(self.came.values())
        await self.goes_on(lambda: sum(self.came.values()) >= before + count)

    def books(self) -> str:
        """Return the figures in one line."""
        twice = sum(1 for count in self.came.values() if count > 1)
        lost = len(self.confirmed - self.came.keys())
        return (
            f"published and confirmed {len(self.confirmed)}, came {len(self.came)}, more than once {twice}, "
            f"lost {lost}, longest gap {self.longest_gap:.2f} s; {self.channel.problem() or 'all is well'}"
        )

    async def _publish(self) -> None:
        number = 0
        while not self._stopped.is_set():
            messages = [Message(str(i), "{}") for i in range(number, number + BATCH)]
            try:
                await self.to.publish(messages)
            except QueueUnavailable as error:
                logging.getLogger("load").info("publishing: %s", error)
                await asyncio.sleep(0.1)  # before the same are tried again
                continue
            self.confirmed.update(message.id() for message in messages)
            number += BATCH
            await asyncio.sleep(self._every)
