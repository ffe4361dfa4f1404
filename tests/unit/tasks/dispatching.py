"""A dispatcher within a whole task service, between a real database and a consumer in a test's hands."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from time import time
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from taskmill.application import BUILTIN
from taskmill.http import Exchange
from taskmill.process.host import HostConfig, ProcessHost
from taskmill.queue import MemoryDriver, Message, Queue
from taskmill.queue.drivers.memory import MemoryChannel, MemoryConfig
from taskmill.queue.queue import QueueConfig
from taskmill.registry import Entry, EntryConfig
from taskmill.sql import SqliteDatabase
from taskmill.sql.sqlite import SqliteConfig
from taskmill.supervisor import Context
from taskmill.tasks.actions.catalog import Registered
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.api import apply_migrations
from taskmill.tasks.control.control import Cancelled
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.intake.placing import NewTask
from taskmill.tasks.message import Dispatchable, Place, TaskMessage
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.service import TaskService, TaskServiceConfig
from taskmill.tasks.traffic import Traffic
from taskmill.units import Size

T = TypeVar("T")


class CountingDatabase(SqliteDatabase):
    """A database that counts the reads that are under way."""

    reads = 0

    async def read(self, call: Callable[[Any], T]) -> T:
        self.reads += 1
        try:
            return await super().read(call)
        finally:
            self.reads -= 1


class GatedReader(Reader):
    """A reader whose reads of waiting tasks can be held back, or fail, after they have seen what they see.

    While commits are not reported none of them ends: the true one, too, waits for the reports.
    """

    def __init__(self, database: SqliteDatabase) -> None:
        super().__init__(database)
        self.reported_ = asyncio.Event()
        self.reported_.set()
        self.open = asyncio.Event()
        self.open.set()
        self.reads = 0  # under way
        self.held_back = 0  # of those, with what they have seen
        self.failures = 0  # still to come
        self.read_bytes = 0  # the most that one read has returned

    async def _read_reported(
        self, max_bytes: int, statement: Any, values: dict[str, Any]
    ) -> tuple[list[Any], bool]:
        self.reads += 1
        try:
            found = await super()._read_reported(max_bytes, statement, values)
            self.held_back += 1
            while not (self.open.is_set() and self.reported_.is_set()):
                await self.open.wait()
                await self.reported_.wait()
            self.held_back -= 1
            if self.failures:
                self.failures -= 1
                raise OSError("no such disk")
            self.read_bytes = max(self.read_bytes, sum(len(row[2] or "") for row in found[0]))
            return found
        finally:
            self.reads -= 1


class Watcher:
    """What a test may hear of, in the order in which it comes about."""

    def reported(self, message: TaskMessage) -> None:
        """A task was committed, and is queued."""

    def cancelled(self, key: bytes) -> None:
        """A task was cancelled, and that was committed."""

    def delivered(self, message: TaskMessage) -> None:
        """A task was handed out."""


class GatedTraffic(Traffic):
    """Traffic that can be kept from hearing of commits: of all of them, so that their order stays."""

    def __init__(self, reader: Reader, *others: Any) -> None:
        super().__init__(reader, *others)
        assert isinstance(reader, GatedReader)
        self.gate = reader.reported_
        self.reports: list[Callable[[], None]] = []
        self.watcher = Watcher()

    def hear(self, report: Callable[[], None]) -> None:
        if self.gate.is_set():
            report()
        else:
            self.reports.append(report)

    def ended(self, messages: list[TaskMessage]) -> None:
        whole = super().ended
        self.hear(lambda: whole(messages))

    def due(self, rows: Sequence[Dispatchable]) -> None:
        whole = super().due
        self.hear(lambda: whole(rows))

    def expired(self, keys: Sequence[bytes]) -> None:
        whole = super().expired
        self.hear(lambda: whole(keys))

    def cancelled(self, cancelled: Sequence[Cancelled]) -> None:
        whole = super().cancelled

        def report() -> None:
            for one in cancelled:
                self.watcher.cancelled(one.key)
            whole(cancelled)

        self.hear(report)

    def redriven(self, rows: Sequence[Dispatchable]) -> None:
        whole = super().redriven
        self.hear(lambda: whole(rows))


class Nobody(Exchange):
    """A client that does not wait for its answer."""

    def reply(self, status: int, body: bytes, media_type: bytes = b"", headers: bytes = b"") -> None:
        assert status == 202, body


class Hand:
    """A consumer in a test's hands: it has the credit that it is given."""

    def __init__(self, watch: Callable[[TaskMessage], None]) -> None:
        self.allowed = 0
        self.held: list[TaskMessage] = []
        self.delivered: list[TaskMessage] = []
        self.watch = watch

    def credit(self) -> int:
        return self.allowed - len(self.held)

    def receive(self, messages: Sequence[Message]) -> None:
        for message in messages:
            assert isinstance(message, TaskMessage)
            self.watch(message)
            self.held.append(message)
            self.delivered.append(message)


class Stage:
    """One database file, and one run of a task service after another over it."""

    hand: Hand
    channel: MemoryChannel
    service: TaskService
    traffic: GatedTraffic
    dispatcher: Dispatcher
    reader: GatedReader

    def __init__(self, directory: Path, actions: Path = BUILTIN) -> None:
        self.loop = asyncio.new_event_loop()
        self.patch = pytest.MonkeyPatch()
        quiet = SimpleNamespace(start=lambda: None, stop=lambda: None)
        self.patch.setattr("taskmill.tasks.service.Watchdog", lambda: quiet)
        self.patch.setattr("taskmill.tasks.service.Reader", GatedReader)
        self.patch.setattr("taskmill.tasks.service.Traffic", GatedTraffic)
        self._directory = directory
        self._actions = actions
        self._components: dict[str, Any] = {}
        self._context = Context(self._components, _failed, data_dir=directory, app_dir=directory)
        config = SqliteConfig(
            name="db", kind="db.sql.sqlite", file="tasks.db", options={"synchronous": "off"}
        )
        self.database = self._components["app:db"] = CountingDatabase(self._entry(config), self._context)
        self.run(self._open())

    def run(self, work: Awaitable[T]) -> T:
        return self.loop.run_until_complete(asyncio.wait_for(work, 20))

    def begin(
        self,
        max_length: int,
        max_bytes: int = 2**20,
        *,
        killed: bool = False,
        watcher: Watcher | None = None,
    ) -> None:
        """Begin a run."""
        self.watcher = watcher or Watcher()
        self.hand = Hand(self.watcher.delivered)
        self.run(self._begin(max_length, max_bytes, killed))

    def end(self, *, kill: bool) -> None:
        """End a run. What was appended to the writer is committed, but of a killed run nobody hears of it."""
        self.run(self._end(kill))

    def submit(self, name: str, bodies: Sequence[str], rank: int | None = None, **place: Any) -> list[bytes]:
        """Append tasks to the next commit, plain ones unless there is a ``rank``; return their ids."""
        return self.run(self._submit(name, bodies, rank, place))

    def allow(self, credit: int) -> None:
        """Let the consumer hold so many messages."""
        self.hand.allowed = credit
        self.call(self.channel.pump)

    def call(self, call: Callable[[], object]) -> None:
        """Call something on the loop."""
        self.run(_call(call))

    def finish(self, count: int) -> list[bytes]:
        """Append the ends of the oldest messages held to the next commit; return their ids."""
        done, self.hand.held = self.hand.held[:count], self.hand.held[count:]
        self.run(_each(done, self._finish))
        self.call(self.channel.pump)
        return [message.key for message in done]

    def retry(self, count: int) -> list[bytes]:
        """Append that the oldest messages held have failed, and are to run again at once; return their ids."""
        done, self.hand.held = self.hand.held[:count], self.hand.held[count:]
        self.run(_each(done, self._fail))
        self.call(self.channel.pump)
        return [message.key for message in done]

    def note(self, count: int) -> list[TaskMessage]:
        """Append that the oldest messages held are running, and return them."""
        void = self.traffic.dropped
        noted = [one for one in self.hand.held[:count] if not one.noted and one.key not in void]
        for message in noted:
            message.noted = True
            message.started_at = 1
        self.run(_each(noted, self.service.store.start))
        return noted

    def turn(self, times: int = 1) -> None:
        """Let the loop turn."""
        self.run(_turns(times))

    def settle(self) -> None:
        """Wait until every commit is reported, and every read that may end has ended."""
        self.run(self._settle())

    def hold_reports(self) -> None:
        """Report no commit from now on."""
        self.traffic.gate.clear()

    def report(self) -> None:
        """Report the commits that were held back, and those that come."""
        self.run(self._report())

    def rows(self) -> list[tuple[bytes, int, int | None, int]]:
        """Return the id, status, rank and attempt of every task."""
        sql = "SELECT id, status, rank, attempt FROM task ORDER BY id"
        found: list[Any] = self.run(self.database.read(lambda connection: connection.execute(sql).fetchall()))
        return found

    def statuses(self) -> dict[bytes, int]:
        return {id_: status for id_, status, _, _ in self.rows()}

    def write(self, sql: str) -> None:
        """Change rows behind everybody's back, between two runs."""
        self.run(self.database.writer.run(lambda connection: connection.execute(sql).fetchall()))

    def close(self) -> None:
        self.end(kill=False)
        self.run(self.database.stop())
        self.loop.close()
        self.patch.undo()

    async def _open(self) -> None:
        await self.database.start()
        await apply_migrations(database=self.database)

    async def _begin(self, max_length: int, max_bytes: int, killed: bool) -> None:
        parts = self._components
        config = MemoryConfig(
            name="d", kind="queue.driver.memory", max_length=max_length, max_bytes=Size(max_bytes)
        )
        self._driver = parts["app:d"] = MemoryDriver(self._entry(config), self._context)
        queue = parts["app:q"] = Queue(
            self._entry(QueueConfig(name="tasks", kind="queue.queue", driver="app:d")), self._context
        )
        await queue.start()
        host = parts["app:p"] = ProcessHost(
            self._entry(HostConfig(name="p", kind="process.host")), self._context
        )
        host.pool = SimpleNamespace(preload=lambda _: None)  # type: ignore[assignment]
        self.database.killed = killed
        service = TaskServiceConfig(
            name="s", kind="task.service", database="app:db", queue="app:q", host="app:p",
            actions=["file://actions.py"],
        )  # fmt: skip
        self.service = TaskService(self._entry(service), self._context)
        await self.service.start()
        self.traffic = self.service.traffic  # type: ignore[assignment]
        self.traffic.watcher = self.watcher
        self.reader = self.service.reader  # type: ignore[assignment]
        self.dispatcher = self.service.dispatchers["tasks"]
        for name in ("committed", "committed_ranked"):
            self._gate(name)
        self.channel = self._driver.open("tasks", lambda _: 0.0)
        self.channel.subscribe(self.hand)

    def _gate(self, name: str) -> None:
        whole = getattr(self.dispatcher, name)

        def report(messages: Sequence[TaskMessage]) -> None:
            for message in messages:
                self.watcher.reported(message)
            whole(messages)

        setattr(self.dispatcher, name, lambda messages: self.traffic.hear(lambda: report(messages)))

    async def _end(self, kill: bool) -> None:
        service = self.service
        if kill:
            self.traffic.gate.clear()
        else:
            await self._report()
        self.reader.failures = 0
        self.reader.open.set()
        await self._settle()
        self.traffic.reports.clear()
        self.traffic.gate.set()
        await service.stop()
        if not kill:
            for message in self.hand.held:
                if message.noted:
                    service.store.release(message)
        await self.database.writer.run(lambda _: None)
        await self._driver.stop()

    async def _report(self) -> None:
        self.traffic.gate.set()
        reports, self.traffic.reports = self.traffic.reports, []
        for report in reports:
            report()

    async def _submit(
        self, name: str, bodies: Sequence[str], rank: int | None, more: dict[str, Any]
    ) -> list[bytes]:
        service = self.service
        registered = service.catalog.find(name)
        assert registered is not None
        keys = []
        for body in bodies:
            message = TaskMessage(service.intake._ids.next(), name, registered, body)
            if rank is None:
                service.store.add(message, "tasks", 0, (Nobody(), message))
            else:
                self._submit_ranked(registered, message, Place("tasks", rank, 100, **more))
            keys.append(message.key)
        return keys

    def _submit_ranked(self, registered: Registered, message: TaskMessage, place: Place) -> None:
        message.place = place
        new = NewTask(message, place, run_at=None, fair_key=None, tags=[], created_at=int(time() * 1000))
        assert registered.action.options.limited == (place.limit_key is not None)
        self.service.store.add_full(new.row(), (Nobody(), new))

    def _finish(self, message: TaskMessage) -> None:
        if self._begun(message):
            self.service.store.complete(message, b"{}")

    def _fail(self, message: TaskMessage) -> None:
        if self._begun(message):
            self.service.traffic.retry(message, Failure("planned", "it is to run again", after=0.0))

    def _begun(self, message: TaskMessage) -> bool:
        """Begin an attempt as a worker does."""
        if message.key in self.service.traffic.dropped:
            self.service.traffic.ended([message])
            return False
        if message.careful and not message.noted:
            self.service.store.start(message)
        return True

    async def _settle(self) -> None:
        quiet = 0
        while quiet < 3:
            await _turns(3)
            if self._busy():
                quiet = 0
                await asyncio.sleep(0.0005)  # reads and commits are in threads: a look now and then
            else:
                quiet += 1

    def _busy(self) -> bool:
        alarm = self.service._alarm
        assert alarm is not None
        limiters: Collection[Any] = self.service.limits._limiters.values()
        reading = (self.dispatcher._reading is not None) + sum(one.loading is not None for one in limiters)
        return (
            self.database.writer.awake
            or self.database.reads > 0
            or self.reader.reads > self.reader.held_back
            or (reading > self.reader.held_back and not self.dispatcher._stopped)
            or (alarm._next is not None and alarm._next <= time() * 1000)
        )

    def _entry(self, config: EntryConfig) -> Entry[Any]:
        return Entry(f"app:{config.name}", config.kind, config, Path("_index.yaml"), 1, self._actions, ())


def _failed(entry: str, error: BaseException) -> None:
    raise AssertionError(entry) from error


async def _call(call: Callable[[], object]) -> None:
    call()


async def _each(messages: Sequence[TaskMessage], call: Callable[[TaskMessage], object]) -> None:
    for message in messages:
        call(message)


async def _turns(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)
