"""A whole task queue inside a test: real service, consumer and database file, with time and outcomes in its hands.

The loop's clock and the wall clock move only when the test says so, an action ends when the test opens its door,
and a crash throws away all that is in memory and opens the same file again.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import apsw
import life_actions
import msgspec
import pytest
from life_actions import Pool, doors
from sqlalchemy import select

from taskmill.process.host import HostConfig, ProcessHost
from taskmill.queue import Consumer, MemoryDriver, Queue
from taskmill.queue.consumer import ConsumerConfig
from taskmill.queue.drivers.memory import MemoryConfig
from taskmill.queue.queue import QueueConfig
from taskmill.registry import Entry, EntryConfig
from taskmill.sql import SqliteDatabase
from taskmill.sql.sqlite import SqliteConfig
from taskmill.supervisor import Context
from taskmill.tasks.api import apply_migrations, process_task
from taskmill.tasks.model import details
from taskmill.tasks.rows.history import HISTORY
from taskmill.tasks.rows.schema import task
from taskmill.tasks.service import TaskService, TaskServiceConfig

T = TypeVar("T")
PLACES, RESERVE = 3, 2  # of the consumer
BEGINNING = 1_700_000_000.0  # seconds since 1970


class Clock(asyncio.SelectorEventLoop):
    """A loop whose time stands still unless it is moved."""

    now = 0.0

    def time(self) -> float:
        return self.now


class Database(SqliteDatabase):
    """The database, counting the reads that are under way."""

    reads = 0

    async def read(self, call: Callable[[apsw.Connection], T]) -> T:
        self.reads += 1
        try:
            return await super().read(call)
        finally:
            self.reads -= 1


class Life:
    """One database file, and one run of the task queue after another over it."""

    loop: Clock
    service: TaskService

    def __init__(self, directory: Path, length: int = 1_000) -> None:
        self.directory = directory
        self.length = length
        self.wall = BEGINNING
        self.patch = pytest.MonkeyPatch()
        for name, module in list(sys.modules.items()):
            if name.startswith("taskmill.tasks") and getattr(module, "time", None) in (time, time.time):
                whole = module.time is time
                clock = partial(getattr, self, "wall")
                self.patch.setattr(module, "time", SimpleNamespace(time=clock) if whole else clock)
        quiet = SimpleNamespace(start=_nothing, stop=_nothing)
        self.patch.setattr("taskmill.tasks.service.Watchdog", lambda: quiet)
        self.begin()

    def begin(self) -> None:
        """Start the queue on what the file holds."""
        doors.runs.clear()
        doors.closing = False
        self.loop = Clock()
        self.run(self._begin())
        self.settle()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def call(self, call: Callable[[], object]) -> None:
        """Call something on the loop."""
        self.run(_call(call))

    def turn(self, times: int = 1) -> None:
        self.run(_turns(times))

    def settle(self) -> None:
        """Wait until all that can go on without time or the test has gone on."""
        self.run(self._settle())

    def advance(self, seconds: float) -> None:
        """Let time pass, on the wall and on the loop."""
        self.wall += seconds
        self.loop.now += seconds
        self.settle()

    def stop(self) -> None:
        """Stop as SIGTERM does: what runs is given its time, and then broken off."""
        doors.closing = True
        self.run(self._patiently(self.consumer.stop()))
        self.run(self._patiently(self.service.stop()))
        self.call(self.pool.shut_down)
        self.settle()
        self.run(self._patiently(self.driver.stop()))
        self.run(self._patiently(self.database.stop()))
        self._close_loop()

    def crash(self) -> None:
        """Stop as `kill -9` does: of what was not handed to the disk yet, nothing gets there."""
        writer = self.database.writer
        writer.wake = _nothing  # type: ignore[method-assign]
        writer._inbox.put(None)
        writer._thread.join()
        doors.closing = True
        self._close_loop()
        self.database._threads.shutdown()
        connection, ownership = self.database._connection, self.database._ownership
        assert connection is not None
        assert ownership is not None
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        while not self.database._readers.empty():
            self.database._readers.get_nowait().close()
        connection.close()
        ownership.release(clean=False)

    def rows(self) -> dict[str, dict[str, Any]]:
        """Read every task as the API shows it, without a turn of the loop."""
        found: dict[str, dict[str, Any]] = {}
        connection = apsw.Connection(str(self.directory / "tasks.db"), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.execute("BEGIN")  # all as it is in one moment
            for row in connection.execute(self.database.compile(select(task))).fetchall():
                sql, values = self.database.bind(HISTORY, {"id_": row[0]})
                shown = details(row, connection.execute(sql, values).fetchall())
                found[shown.id] = msgspec.json.decode(msgspec.json.encode(shown))
        finally:
            connection.close()
        return found

    def close(self) -> None:
        self.patch.undo()

    async def _begin(self) -> None:
        config = SqliteConfig(
            name="db", kind="db.sql.sqlite", file="tasks.db", readers=2, options={"synchronous": "off"}
        )
        components: dict[str, Any] = {}
        context = Context(components, _failed, data_dir=self.directory, app_dir=self.directory)
        self.database = components["app:db"] = Database(_entry(config), context)
        await self.database.start()
        await apply_migrations(database=self.database)
        memory = MemoryConfig(name="d", kind="queue.driver.memory", max_length=self.length)
        self.driver = components["app:d"] = MemoryDriver(_entry(memory), context)
        queue = Queue(
            _entry(QueueConfig(name="q", kind="queue.queue", driver="app:d", queue_name="tasks")), context
        )
        components["app:q"] = queue
        await queue.start()
        host = components["app:processes"] = ProcessHost(
            _entry(HostConfig(name="p", kind="process.host")), context
        )
        self.pool = Pool()
        host.pool = self.pool
        service = TaskServiceConfig(
            name="tasks", kind="task.service", database="app:db", queue="app:q", host="app:processes",
            actions=[life_actions.__name__],
        )  # fmt: skip
        self.service = TaskService(_entry(service), context)
        await self.service.start()
        components["app:f"] = SimpleNamespace(call=partial(process_task, tasks=self.service), invoke=_nothing)
        consumer = ConsumerConfig(
            name="c", kind="queue.consumer", queue="app:q", func="app:f", concurrency=PLACES, prefetch=RESERVE
        )
        self.consumer = Consumer(_entry(consumer), context)
        await self.consumer.start()

    async def _settle(self) -> None:
        quiet = 0
        while quiet < 2:
            await _turns(5)
            busy = self.database.writer.awake or self.database.reads
            quiet = 0 if busy else quiet + 1

    async def _patiently(self, work: Awaitable[None]) -> None:
        """Wait for what waits for time, letting it pass."""
        working = asyncio.ensure_future(work)
        for _ in range(100_000):
            if working.done():
                break
            await _turns(5)
            if not self.database.writer.awake:
                self.loop.now += 0.01
        await working

    def _close_loop(self) -> None:
        loop = self.loop
        while left := asyncio.all_tasks(loop):
            for one in left:
                one.cancel()
            loop.run_until_complete(asyncio.wait(left))
            assert all(one.cancelled() or one.exception() is None for one in left)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def _nothing() -> None:
    pass


def _failed(entry: str, error: BaseException) -> None:
    raise AssertionError(entry) from error


def _entry(config: EntryConfig) -> Entry[Any]:
    return Entry(f"app:{config.name}", config.kind, config, Path("_index.yaml"), 1, Path(__file__).parent)


async def _call(call: Callable[[], object]) -> None:
    call()


async def _turns(times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0)
