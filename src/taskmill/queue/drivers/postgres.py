"""``queue.driver.postgres``: messages as rows of a PostgreSQL database, claimed with SKIP LOCKED."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from msgspec import Meta

from taskmill.queue.drivers.postgres_database import Database
from taskmill.queue.errors import QueueError
from taskmill.registry import Entry, EntryConfig, reference
from taskmill.supervisor import Context
from taskmill.units import Duration

if TYPE_CHECKING:
    from taskmill.queue.drivers.postgres_channel import PostgresChannel


class PostgresQueueConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """Dispatch by the PostgreSQL database that a system has anyway: no broker, but more work for the database."""

    database: Annotated[str, reference("db.sql.postgres", description="Where the messages are kept.")]
    lease: Annotated[
        Duration,
        Meta(
            description="After how long the messages of a node that has died come again. Renewed while they are held."
        ),
    ] = Duration(30)
    poll_interval: Annotated[
        Duration, Meta(description="How often to look where no notification has come, or could.")
    ] = Duration(1)


class PostgresQueueDriver:
    """The channels of one database."""

    kind: ClassVar[str] = "queue.driver.postgres"
    Config: ClassVar[type[EntryConfig]] = PostgresQueueConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: PostgresQueueConfig = entry.config
        self._context = context
        self.id = entry.id
        self._holder = uuid.uuid4().bytes
        self._channel: Callable[[str, Callable[[int], float]], PostgresChannel] | None = None
        self._channels: dict[str, PostgresChannel] = {}

    async def start(self) -> None:
        """Make the table, where it is missing."""
        # With SQLAlchemy behind them, which no worker process needs that imports the kinds.
        from taskmill.queue.drivers.postgres_channel import PostgresChannel  # noqa: PLC0415
        from taskmill.queue.drivers.postgres_rows import SCHEMA  # noqa: PLC0415

        database = self._context.get(self._config.database, Database)  # type: ignore[type-abstract]

        def make(connection: Any) -> None:
            database.serialize(connection, "taskmill migrations")
            connection.execute(SCHEMA)

        await database.writer.run(make)
        self._channel = partial(
            PostgresChannel,
            database,
            self.id,
            self._holder,
            self._config.lease,
            self._config.poll_interval,
        )

    async def stop(self) -> None:
        """Give back at once what is held."""
        await asyncio.gather(*(channel.close() for channel in self._channels.values()))
        self._channels.clear()

    def open(self, queue_name: str, redelivery: Callable[[int], float]) -> PostgresChannel:
        """Return the channel of a name; see :meth:`taskmill.queue.drivers.base.Driver.open`."""
        if self._channel is None:
            raise QueueError(f"{self.id} has not started")
        if queue_name not in self._channels:
            self._channels[queue_name] = self._channel(queue_name, redelivery)
        return self._channels[queue_name]
