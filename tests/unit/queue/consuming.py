"""A consumer on a real queue, its function in a test's hands, and a count of what runs and what is held."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from taskmill.process.function import FunctionConfig, PythonFunction
from taskmill.queue import Consumer, MemoryDriver, Message, Queue
from taskmill.queue.consumer import ConsumerConfig
from taskmill.queue.drivers.memory import MemoryConfig
from taskmill.queue.queue import QueueConfig, Redelivery
from taskmill.registry import Entry, Lifecycle
from taskmill.supervisor import Component, Context
from taskmill.units import Duration


class Tally:
    """Counts what runs and what is held, and the most of each there has been."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.running = self.held = self.most_running = self.most_held = 0
        self.begun: list[str] = []  # ids of messages, in the order in which their handling began

    @contextmanager
    def run(self, id_: str) -> Iterator[None]:
        with self._lock:
            self.begun.append(id_)
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            yield
        finally:
            with self._lock:
                self.running -= 1

    def holds(self, more: int) -> None:
        self.held += more
        self.most_held = max(self.most_held, self.held)


class Counted(Message):
    """A message that counts as held from its delivery until it is settled."""

    __slots__ = ("tally",)

    def __init__(self, id: str, tally: Tally, body: str = "{}") -> None:
        super().__init__(id, body)
        self.tally = tally

    def delivered(self, settle: Callable[[Message, bool], None]) -> None:
        def settled(message: Message, acknowledged: bool) -> None:
            self.tally.holds(-1)
            settle(message, acknowledged)

        self.tally.holds(1)
        super().delivered(settled)


class Stage:
    """A queue, a function and its consumer; :meth:`start` starts them."""

    def __init__(
        self, call: Callable[..., Any], *, concurrency: int = 2, prefetch: int = 5, stop_timeout: float = 10
    ) -> None:
        self.tally = Tally()
        self._parts: dict[str, Component] = {}
        context = Context(self._parts, self._failed, data_dir=Path(), app_dir=Path())
        self.driver = MemoryDriver(_entry(MemoryConfig(name="driver", kind="queue.driver.memory")), context)
        retry = Redelivery(initial_delay=Duration(0.001), backoff_factor=1)
        queue = QueueConfig(name="queue", kind="queue.queue", driver="app:driver", retry=retry)
        self.queue = Queue(_entry(queue), context)
        function = FunctionConfig(name="f", kind="function.python", source="file://x.py", method="x")
        self.function = PythonFunction(_entry(function), context)
        self.function.call = call
        self.config = ConsumerConfig(
            name="consumer",
            kind="queue.consumer",
            queue="app:queue",
            func="app:f",
            concurrency=concurrency,
            prefetch=prefetch,
            lifecycle=Lifecycle(stop_timeout=Duration(stop_timeout)),
        )
        self.consumer = Consumer(_entry(self.config), context)
        self._parts |= {"app:driver": self.driver, "app:queue": self.queue, "app:f": self.function}

    async def start(self) -> None:
        await self.driver.start()
        await self.queue.start()
        await self.consumer.start()

    async def publish(self, count: int, first: int = 0) -> None:
        messages = [Counted(str(number), self.tally, str(number)) for number in range(first, first + count)]
        await self.queue.channel.publish(messages)

    async def drained(self) -> None:
        """Wait until every message is acknowledged."""
        await until(lambda: self.queue.window.length() == 0)

    async def stop(self) -> None:
        await self.consumer.stop()
        await self.queue.stop()
        await self.driver.stop()

    def _failed(self, entry: str, error: BaseException) -> None:
        raise AssertionError(entry) from error


def _entry(config: Any) -> Entry[Any]:
    return Entry(f"app:{config.name}", config.kind, config, Path("_index.yaml"), 1, Path(), ())


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the deadline of :func:`run` turns a hang into a failure."""
    while not condition():  # noqa: ASYNC110 - what it looks at tells nobody of its changes
        await asyncio.sleep(0.0005)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(bounded())
