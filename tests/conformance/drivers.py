"""The engines that every driver's tests run on. Another driver joins the suite with one more class in `ENGINES`."""

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from channels import PAUSE
from driver_nodes import PostgresNode, amqp_driver
from parts import DriverPart, entry
from servers.nats import NatsServer
from servers.postgres import postgres_server
from servers.rabbitmq import RabbitServer
from servers.valkey import ValkeyServer

from taskmill.queue import MemoryDriver, NatsDriver, RedisDriver
from taskmill.queue.drivers.base import Channel
from taskmill.queue.drivers.memory import MemoryConfig
from taskmill.queue.drivers.nats import NatsConfig
from taskmill.queue.drivers.redis import RedisConfig
from taskmill.units import Duration

LEASE = 30.0  # seconds: longer than any test that does not say otherwise


class Engine(ABC):
    """One driver and its engine, which runs for the whole test session."""

    needed_at_start = False  # its rows are there as well, without which nothing starts

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @abstractmethod
    def start(self) -> None:
        """Start the engine."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it."""

    @property
    @abstractmethod
    def port(self) -> int:
        """Where its clients connect to."""

    @abstractmethod
    def driver(self, port: int, lease: float) -> DriverPart:
        """Return a driver that has not started; after ``lease`` seconds of silence its messages are another's."""

    @asynccontextmanager
    async def open(
        self, queue: str, *, rest: float = PAUSE, port: int = 0, lease: float = LEASE
    ) -> AsyncIterator[Channel]:
        """Open a queue as one process does: a driver of its own, started and stopped. A message rests after a nack."""
        driver = self.driver(port or self.port, lease)
        await driver.start()
        try:
            yield driver.open(queue, lambda _deliveries: rest)
        finally:
            await driver.stop()


class Memory(Engine):
    port = 0

    def start(self) -> None:
        """It needs nothing."""

    def stop(self) -> None:
        """It needs nothing."""

    def driver(self, port: int, lease: float) -> DriverPart:
        return entry(MemoryDriver, MemoryConfig(name="driver", kind=MemoryDriver.kind))


class Nats(Engine):
    def start(self) -> None:
        self.server = NatsServer(self.directory / "nats")
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    @property
    def port(self) -> int:
        return self.server.port

    def driver(self, port: int, lease: float) -> DriverPart:
        config = NatsConfig(
            name="driver",
            kind=NatsDriver.kind,
            url=f"nats://127.0.0.1:{port}",
            # A consumer's settings are those of who made it last.
            stream=f"lease-{lease:g}".replace(".", "-"),
            ack_wait=Duration(lease),
        )
        return entry(NatsDriver, config)


class Redis(Engine):
    def start(self) -> None:
        self.server = ValkeyServer(self.directory)
        self.server.start()

    def stop(self) -> None:
        self.server.stop()

    @property
    def port(self) -> int:
        return self.server.port

    def driver(self, port: int, lease: float) -> DriverPart:
        config = RedisConfig(
            name="driver", kind=RedisDriver.kind, url=f"redis://127.0.0.1:{port}/0", lease=Duration(lease)
        )
        return entry(RedisDriver, config)


class Amqp(Engine):
    def start(self) -> None:
        self.server = RabbitServer(self.directory / "rabbitmq")
        self.server.start()

    def stop(self) -> None:
        self.server.close()

    @property
    def port(self) -> int:
        return self.server.port

    def driver(self, port: int, lease: float) -> DriverPart:
        # The broker takes back what is held by one whose heartbeat it has missed twice.
        return amqp_driver(self.server.url_at(port), heartbeat=Duration(lease / 2))


class Postgres(Engine):
    needed_at_start = True

    def start(self) -> None:
        self._running = postgres_server()
        self.server = self._running.__enter__()

    def stop(self) -> None:
        self._running.__exit__(None, None, None)

    @property
    def port(self) -> int:
        return self.server.port

    def driver(self, port: int, lease: float) -> DriverPart:
        return PostgresNode(self.server.url_of("postgres", port), lease=Duration(lease))


ENGINES: dict[str, type[Engine]] = {
    "amqp": Amqp,
    "memory": Memory,
    "nats": Nats,
    "postgres": Postgres,
    "redis": Redis,
}
BROKERS = sorted(ENGINES.keys() - {"memory"})  # those that several processes share


def name() -> str:
    """Return a queue's name that no other test has, and that no engine likes."""
    return f"täsks.to do*{uuid.uuid4().hex}>"


def run(scenario: Callable[[], Awaitable[None]], limit: float = 30) -> None:
    """Run a scenario; a deadline turns a hang into a failure."""
    asyncio.run(asyncio.wait_for(scenario(), limit))


async def until(condition: Callable[[], Awaitable[bool]] | Callable[[], bool], limit: float = 20) -> None:
    """Wait for a condition; raise TimeoutError where it does not come."""
    async with asyncio.timeout(limit):
        while not (await found if isinstance(found := condition(), Awaitable) else found):  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # a look now and then, as `eventually` does
