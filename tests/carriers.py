"""The engines that can carry a task queue's messages, each in a process of its own, as an application declares them."""

import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from apps import application
from servers.nats import NatsServer
from servers.postgres import PostgresServer, postgres_server
from servers.rabbitmq import RabbitServer
from servers.server import ServerProcess
from servers.valkey import ValkeyServer
from support import eventually

MEMORY_ENTRY = "kind: queue.driver.memory\n    max_length: 10000\n"
TASKS_QUEUE = "driver: queue_driver\n    queue_name: tasks\n"


class Carrier(ABC):
    """An engine. ``lease`` is the seconds after which it takes a silent node's messages back, if it has such."""

    server: ServerProcess
    lease_field = ""
    settling = 0.0  # seconds

    @abstractmethod
    def entry(self) -> str:
        """Return what stands in the entry of its driver."""

    @abstractmethod
    def wipe(self) -> None:
        """Lose every message, as by an accident; it may be gone for a moment."""

    def declare(self, directory: Path, lease: float | None = None) -> None:
        """Have an application's queue be carried by it."""
        path = directory / "_index.yaml"
        index = path.read_text()
        assert MEMORY_ENTRY in index
        lines = self.entry()
        if lease is not None:
            assert self.lease_field
            lines += f"    {self.lease_field}: {lease:g}s\n"
        path.write_text(index.replace(MEMORY_ENTRY, lines) + self.further())

    def close(self) -> None:
        """End it for good."""
        self.server.stop()

    def settle(self) -> None:
        """Wait until it would survive a kill; nothing tells when that is."""
        time.sleep(self.settling)

    def further(self) -> str:
        """Return what other entries it wants."""
        return ""

    def restart(self) -> None:
        """Kill it, and start it again."""
        self.server.kill()
        eventually(self.starts, 60)

    def starts(self) -> bool:
        """Start it, unless processes of its last life are still ending."""
        try:
            self.server.start()
        except AssertionError:
            return False
        return True


class Memory(Carrier):
    def entry(self) -> str:
        return MEMORY_ENTRY

    def wipe(self) -> None:
        raise NotImplementedError


class Nats(Carrier):
    lease_field = "ack_wait"

    def __init__(self, directory: Path) -> None:
        self.server: NatsServer = NatsServer(directory / "nats")

    def entry(self) -> str:
        return f"kind: queue.driver.nats\n    url: {self.server.url}\n"

    def wipe(self) -> None:
        self.server.kill()
        self.server.wipe()
        self.server.start()


class Redis(Carrier):
    lease_field = "lease"

    def __init__(self, directory: Path) -> None:
        self.server: ValkeyServer = ValkeyServer(directory / "valkey")

    def entry(self) -> str:
        return f"kind: queue.driver.redis\n    url: {self.server.url}\n"

    def wipe(self) -> None:
        self.server.wipe()


class Amqp(Carrier):
    # RabbitMQ 3.10 confirms a new queue before its disk knows of it; killed before, it brings up a queue that answers
    # nothing any more.
    settling = 1.5

    def __init__(self, directory: Path) -> None:
        self.server: RabbitServer = RabbitServer(directory / "rabbitmq")

    def entry(self) -> str:
        return f'kind: queue.driver.amqp\n    url: "{self.server.url}"\n'

    def close(self) -> None:
        self.server.close()

    def wipe(self) -> None:
        self.server.kill()
        shutil.rmtree(self.server.directory / "mnesia", ignore_errors=True)
        self.server.start()


class Postgres(Carrier):
    """Messages as rows: of the database of the tasks, if that is one, or else of another."""

    lease_field = "lease"

    def __init__(self, server: PostgresServer, url: str) -> None:
        self.server = server
        self.url = url

    def entry(self) -> str:
        return "kind: queue.driver.postgres\n    database: messages\n"

    def further(self) -> str:
        return f'\n  - name: messages\n    kind: db.sql.postgres\n    url: "{self.url}"\n'

    def wipe(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("DELETE FROM taskmill_message")


Started = Callable[[str], Carrier]


@pytest.fixture(scope="session")
def carriers(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Started]:
    """Give a carrier by its name, started once a session."""
    with ExitStack() as running:
        found: dict[str, Carrier] = {"memory": Memory()}

        def started(name: str) -> Carrier:
            if name not in found:
                found[name] = make(name, tmp_path_factory.mktemp(name), running)
            return found[name]

        yield started


def make(name: str, directory: Path, running: ExitStack) -> Carrier:
    """Start a carrier of one's own; it ends with ``running``."""
    if name == "postgres":
        server = running.enter_context(postgres_server())
        return Postgres(server, server.create())
    makers: dict[str, Callable[[Path], Carrier]] = {"nats": Nats, "redis": Redis, "amqp": Amqp}
    carrier = makers[name](directory)
    running.callback(carrier.close)
    carrier.server.start()
    return carrier


BROKERS = ("amqp", "nats", "postgres", "redis")


def carried(
    directory: Path, actions: str, carrier: Carrier, database: str | None = None, lease: float | None = None
) -> Path:
    """Write an application whose queue is carried by an engine; return its directory."""
    application(directory, actions, database)
    carrier.declare(directory, lease)
    return directory
