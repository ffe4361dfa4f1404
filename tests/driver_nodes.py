"""Drivers of RabbitMQ and PostgreSQL as parts that a test starts and stops."""

from collections.abc import Callable
from typing import Any, ClassVar

from parts import DriverPart, entry

from taskmill.queue import AmqpDriver, PostgresQueueDriver
from taskmill.queue.drivers.amqp import AmqpConfig
from taskmill.queue.drivers.base import Channel
from taskmill.queue.drivers.postgres import PostgresQueueConfig
from taskmill.registry import EntryConfig
from taskmill.sql.postgres import PostgresConfig, PostgresDatabase


def amqp_driver(url: str, **options: Any) -> AmqpDriver:
    """A driver that has not started."""
    config = AmqpConfig(name="driver", kind=AmqpDriver.kind, url=url, **options)
    driver: AmqpDriver = entry(AmqpDriver, config)
    return driver


class PostgresNode:
    """A driver with a database of its own, as each node has one. Without ``listen`` nobody tells it of anything."""

    kind: ClassVar[str] = PostgresQueueDriver.kind
    Config: ClassVar[type[EntryConfig]] = PostgresQueueDriver.Config

    def __init__(self, url: str, listen: bool = True, **options: Any) -> None:
        config = PostgresConfig(name="db", kind=PostgresDatabase.kind, url=url, listen=listen)
        self.database: PostgresDatabase = entry(PostgresDatabase, config)
        queue = PostgresQueueConfig(
            name="driver", kind=PostgresQueueDriver.kind, database="app:db", **options
        )
        self._driver: DriverPart = entry(PostgresQueueDriver, queue, db=self.database)

    async def start(self) -> None:
        await self.database.start()
        await self._driver.start()

    async def stop(self) -> None:
        await self._driver.stop()
        await self.database.stop()

    def open(self, queue_name: str, redelivery: Callable[[int], float]) -> Channel:
        return self._driver.open(queue_name, redelivery)
