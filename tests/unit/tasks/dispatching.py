"""A dispatcher between a real database and a real queue, with every step in a test's hands."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from taskmill.application import BUILTIN
from taskmill.queue import MemoryDriver, Message, Queue
from taskmill.queue.drivers.base import Channel
from taskmill.queue.drivers.memory import MemoryConfig
from taskmill.queue.queue import QueueConfig
from taskmill.registry import Entry
from taskmill.sql import SqliteDatabase, migrate
from taskmill.sql.sqlite import SqliteConfig
from taskmill.supervisor import Context
from taskmill.tasks.catalog import Catalog
from taskmill.tasks.dispatcher import Dispatcher
from taskmill.tasks.ids import IdSource
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.model import Status
from taskmill.tasks.statements import COMPONENT, MIGRATIONS
from taskmill.tasks.store import Dispatchable, Store
from taskmill.units import Size

T = TypeVar("T")


class GatedStore(Store[Any]):
    """A store whose reads for the dispatcher can be held back, or fail, after they have seen what they see."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.open = asyncio.Event()
        self.open.set()
        self.reads = 0  # under way
        self.held_back = 0  # of those, with what they have seen
        self.failures = 0  # still to come
        self.read_bytes = 0  # the most that one read has returned

    async def dispatchable(
        self, status: Status, after: bytes, limit: int, max_bytes: int
    ) -> tuple[list[Dispatchable], bool]:
        self.reads += 1
        try:
            found = await super().dispatchable(status, after, limit, max_bytes)
            if status is Status.QUEUED:
                self.held_back += 1
                await self.open.wait()
                self.held_back -= 1
                if self.failures:
                    self.failures -= 1
                    raise OSError("no such disk")
        finally:
            self.reads -= 1
        self.read_bytes = max(self.read_bytes, sum(len(row[2]) for row in found[0]))
        return found


class Hand:
    """A consumer in a test's hands: it has the credit that it is given."""

    def __init__(self) -> None:
        self.allowed = 0
        self.held: list[TaskMessage] = []
        self.delivered: list[TaskMessage] = []

    def credit(self) -> int:
        return self.allowed - len(self.held)

    def receive(self, messages: Sequence[Message]) -> None:
        for message in messages:
            assert isinstance(message, TaskMessage)
            self.held.append(message)
            self.delivered.append(message)


class Stage:
    """One database file, and one run of a dispatcher after another over it."""

    hand: Hand
    channel: Channel
    dispatcher: Dispatcher

    def __init__(self, directory: Path, actions: Path = BUILTIN) -> None:
        self.loop = asyncio.new_event_loop()
        self.catalog = Catalog()
        self.catalog.load(["file://actions.py"], actions)
        self._context = Context({}, self._failed, data_dir=directory, app_dir=directory)
        config = SqliteConfig(name="db", kind="db.sql.sqlite", file="tasks.db")
        self.database = SqliteDatabase(_entry(config), self._context)
        self._generation = 0
        self.reports_open = True
        self._reports: list[list[tuple[int, TaskMessage]]] = []
        self.run(self._open())

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def begin(self, max_length: int, max_bytes: int = 2**20, *, killed: bool = False) -> None:
        """Begin a run."""
        self.run(self._begin(max_length, max_bytes, killed))

    def end(self, *, kill: bool) -> None:
        """End a run. What was appended to the writer is committed, but of a killed run nobody hears of it."""
        self.run(self._end(kill))

    def submit(self, name: str, bodies: Sequence[str]) -> list[bytes]:
        """Append tasks to the next commit; return their ids."""
        return self.run(self._submit(name, bodies))

    async def _submit(self, name: str, bodies: Sequence[str]) -> list[bytes]:
        keys = []
        for body in bodies:
            registered = self.catalog.find(name) or self.catalog.find("*")
            message = TaskMessage(self.ids.next(), name, registered, body)  # type: ignore[arg-type]
            self.store.add(message, "tasks", (self._generation, message))
            keys.append(message.key)
        return keys

    def finish(self, count: int) -> list[bytes]:
        """Append the ends of the oldest messages held to the next commit; return their ids."""
        done, self.hand.held = self.hand.held[:count], self.hand.held[count:]
        self.run(_each(done, lambda message: self.store.complete(message, b"{}")))
        self.channel.pump()
        return [message.key for message in done]

    def note(self, count: int) -> list[TaskMessage]:
        """Append that the oldest messages held are running, and return them."""
        noted = [message for message in self.hand.held[:count] if not message.noted]
        for message in noted:
            message.noted = True
            message.started_at = 1
        self.run(_each(noted, self.store.start))
        return noted

    def turn(self, times: int = 1) -> None:
        """Let the loop turn."""
        self.run(_turns(times))

    def settle(self) -> None:
        """Wait until every commit is reported, and every read that may end has ended."""
        self.run(self._settle())

    def statuses(self) -> dict[bytes, int]:
        sql = "SELECT id, status FROM task"
        return dict(self.run(self.database.read(lambda connection: connection.execute(sql).fetchall())))

    def close(self) -> None:
        self.end(kill=False)
        self.run(self.database.stop())
        self.loop.close()

    async def _open(self) -> None:
        await self.database.start()
        await migrate(self.database, COMPONENT, MIGRATIONS)
        self.store = GatedStore(self.database, self._added, self._finished)
        self.ids = IdSource()

    async def _begin(self, max_length: int, max_bytes: int, killed: bool) -> None:
        config = MemoryConfig(
            name="d", kind="queue.driver.memory", max_length=max_length, max_bytes=Size(max_bytes)
        )
        self._driver = MemoryDriver(_entry(config), self._context)
        queue = Queue(_entry(QueueConfig(name="q", kind="queue.queue", driver="app:d")), self._context)
        self.channel = queue.channel = self._driver.open("q", lambda _: 0.0)
        self.hand = Hand()
        self.channel.subscribe(self.hand)
        self.dispatcher = Dispatcher(self.store, queue, self.catalog)
        await self.dispatcher.start(await self.store.newest_id(), killed)

    async def _end(self, kill: bool) -> None:
        if kill:
            self._generation += 1
            self._reports.clear()
        else:
            await self._report()
        self.reports_open = True
        self.store.open.set()
        self.store.failures = 0
        await self._settle()
        self._generation += 1
        await self.dispatcher.stop()
        if not kill:
            for message in self.hand.held:
                if message.noted:
                    self.store.release(message)
        await self.database.writer.run(lambda _: None)
        await self._driver.stop()

    def report(self) -> None:
        """Report the commits that were held back."""
        self.reports_open = True
        self.run(self._report())

    async def _report(self) -> None:
        reports, self._reports = self._reports, []
        for waiting in reports:
            self.dispatcher.committed([message for _, message in waiting])

    async def _settle(self) -> None:
        for _ in range(3):
            await self.database.writer.run(lambda _: None)
            await _turns(3)
            while self.store.reads > self.store.held_back:  # noqa: ASYNC110 - reads are in threads
                await asyncio.sleep(0.0005)  # a look now and then

    def _added(self, _: object, waiting: list[tuple[int, TaskMessage]], error: Exception | None) -> None:
        assert error is None
        if waiting[0][0] == self._generation:
            if self.reports_open:
                self.dispatcher.committed([message for _, message in waiting])
            else:
                self._reports.append(waiting)

    def _finished(self, messages: list[TaskMessage]) -> None:
        for message in messages:
            message.ack()
        self.dispatcher.fill()

    def _failed(self, entry: str, error: BaseException) -> None:
        raise AssertionError(entry) from error


def _entry(config: Any) -> Entry[Any]:
    return Entry(f"app:{config.name}", config.kind, config, Path("_index.yaml"), 1, Path(), ())


async def _each(messages: Sequence[TaskMessage], call: Callable[[TaskMessage], object]) -> None:
    for message in messages:
        call(message)


async def _turns(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)
