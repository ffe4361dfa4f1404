"""The servers that a new application may begin with, and their entries in its registry."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol


class Engine(Protocol):
    """What an application keeps tasks in, or hands them out by."""

    @property
    def entry(self) -> str:
        """The name of its entry in the built-in application."""

    @property
    def extra(self) -> str:
        """What of Taskmill is to be installed beside; nothing where all is there."""

    def entry_text(self) -> str:
        """Return the entry that takes the place of that one; nothing where that one is it."""


class Database(StrEnum):
    """Where tasks are kept."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"
    MYSQL = "mysql"

    @property
    def entry(self) -> str:
        """The name of its entry."""
        return "db"

    @property
    def extra(self) -> str:
        """What is to be installed."""
        return {Database.SQLITE: "", Database.POSTGRESQL: "postgres", Database.MYSQL: "mysql"}[self]

    def entry_text(self) -> str:
        """Return the entry of a server."""
        if self is Database.SQLITE:
            return ""
        comment = "Where tasks are kept: DATABASE_URL, such as"
        url = f"{self}://taskmill:secret@localhost/taskmill"
        return f"""\
  # {comment} {url}.
  - name: db
    kind: db.sql.{self.extra}
    url: ${{env:DATABASE_URL}}"""


class Driver(StrEnum):
    """What hands tasks to workers."""

    MEMORY = "memory"
    POSTGRESQL = "postgresql"
    NATS = "nats"
    REDIS = "redis"
    RABBITMQ = "rabbitmq"

    @property
    def entry(self) -> str:
        """The name of its entry."""
        return "queue_driver"

    @property
    def extra(self) -> str:
        """What is to be installed."""
        return "" if self is Driver.MEMORY else _BROKERS[self][0]

    def entry_text(self) -> str:
        """Return the entry of a broker."""
        if self is Driver.MEMORY:
            return ""
        kind, place = _BROKERS[self]
        return f"""\
  # What hands tasks to the workers of all nodes.
  - name: queue_driver
    kind: queue.driver.{kind}
    {place}"""


_BROKERS = {
    Driver.POSTGRESQL: ("postgres", "database: db"),
    Driver.NATS: ("nats", "url: ${env:NATS_URL|nats://localhost:4222}"),
    Driver.REDIS: ("redis", "url: ${env:REDIS_URL|redis://localhost:6379/0}"),
    Driver.RABBITMQ: ("amqp", "url: ${env:RABBITMQ_URL|amqp://guest:guest@localhost:5672/}"),
}
