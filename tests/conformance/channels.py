"""What channels are tried with: a receiver that notes what it is given, and windows of declared size."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Literal, Protocol

from taskmill.queue import MemoryDriver, Message
from taskmill.queue.drivers.base import Channel, Window
from taskmill.queue.drivers.memory import MemoryConfig
from taskmill.registry import Entry
from taskmill.supervisor import Context
from taskmill.units import Size

PAUSE = 0.02  # seconds that a message rests after each nack

WhenFull = Literal["wait", "refuse"]


class Factory(Protocol):
    """Opens a fresh window, and closes its driver at the end."""

    def __call__(
        self, *, max_length: int = 1000, max_bytes: int = 2**26, when_full: WhenFull = "wait"
    ) -> AbstractAsyncContextManager[Window]: ...


@asynccontextmanager
async def memory(
    *, max_length: int = 1000, max_bytes: int = 2**26, when_full: WhenFull = "wait"
) -> AsyncIterator[Window]:
    config = MemoryConfig(
        name="driver",
        kind="queue.driver.memory",
        max_length=max_length,
        max_bytes=Size(max_bytes),
        when_full=when_full,
    )
    entry = Entry("app:driver", config.kind, config, Path("_index.yaml"), 1, Path(), ())
    context = Context({}, lambda *_: None, data_dir=Path(), app_dir=Path())
    driver = MemoryDriver(entry, context)
    await driver.start()
    try:
        yield driver.open("tasks", lambda _deliveries: PAUSE)
    finally:
        await driver.stop()


WINDOWS: dict[str, Factory] = {"memory": memory}


class Recorder:
    """A receiver of so much credit. It holds what it is given until told to let go."""

    def __init__(self, channel: Channel, credit: int = 1000) -> None:
        self.received: list[Message] = []
        self.most = 0
        self._held: list[Message] = []
        self._channel = channel
        self._credit = credit
        self._came = asyncio.Condition()
        self._notices: set[asyncio.Task[None]] = set()
        channel.subscribe(self)

    def credit(self) -> int:
        return self._credit - len(self._held)

    def receive(self, messages: Sequence[Message]) -> None:
        assert 0 < len(messages) <= self.credit(), "more was given than there was credit for"
        self.received += messages
        self._held += messages
        self.most = max(self.most, len(self._held))
        notice = asyncio.get_running_loop().create_task(self._notify())
        self._notices.add(notice)
        notice.add_done_callback(self._notices.discard)

    @property
    def ids(self) -> list[str]:
        """The ids of all that came, in order."""
        return [message.id() for message in self.received]

    async def has(self, count: int) -> list[Message]:
        """Wait until so many deliveries have come."""
        async with self._came:
            await self._came.wait_for(lambda: len(self.received) >= count)
        return self.received

    def settle(self, acknowledge: bool = True, count: int | None = None) -> None:
        """Ack (or nack) the oldest of what it holds, all by default."""
        settled, self._held = self._held[:count], self._held[len(self._held[:count]) :]
        for message in settled:
            if acknowledge:
                message.ack()
            else:
                message.nack()
        self._channel.pump()

    async def _notify(self) -> None:
        async with self._came:
            self._came.notify_all()


def messages(*ids: object, body: str = "{}") -> list[Message]:
    """Make messages of these ids."""
    return [Message(str(id_), body) for id_ in ids]


def run(
    factory: Factory,
    scenario: Callable[[Window], Awaitable[None]],
    *,
    max_length: int = 1000,
    max_bytes: int = 2**26,
    when_full: WhenFull = "wait",
) -> None:
    """Run a scenario with a fresh window; a deadline turns a hang into a failure."""

    async def bounded() -> None:
        async with (
            asyncio.timeout(20),
            factory(max_length=max_length, max_bytes=max_bytes, when_full=when_full) as channel,
        ):
            await scenario(channel)

    asyncio.run(bounded())
