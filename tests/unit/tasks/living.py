"""A whole task queue inside a test: real service, consumer and database file, with time and outcomes in its hands.

The loop's clock and the wall clock move only when the test says so, an action ends when the test opens its door,
and a crash throws away all that is in memory and opens the same file again.
"""

import asyncio
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import apsw
import msgspec
import pytest
from sqlalchemy import select

from taskmill import Fail, Retry, action, current_task
from taskmill.http import Exchange
from taskmill.process.child import Call
from taskmill.process.host import HostConfig, ProcessHost
from taskmill.process.messages import FunctionRef, Killed, NotRun, Outcome
from taskmill.queue import Consumer, MemoryDriver, Queue
from taskmill.queue.consumer import ConsumerConfig
from taskmill.queue.drivers.memory import MemoryConfig
from taskmill.queue.queue import QueueConfig
from taskmill.registry import Entry, EntryConfig
from taskmill.sql import SqliteDatabase
from taskmill.sql.sqlite import SqliteConfig
from taskmill.supervisor import Context
from taskmill.tasks import statements
from taskmill.tasks.api import apply_migrations, process_task
from taskmill.tasks.model import details
from taskmill.tasks.schema import task
from taskmill.tasks.service import TaskService, TaskServiceConfig

T = TypeVar("T")
BEGINNING = 1_700_000_000.0  # seconds since 1970
STEPS_AT_END = 200  # of a minute each, in which everything must have ended


@dataclass(eq=False)
class Run:
    """One run of an action on the loop, which waits for the test."""

    id: str
    attempt: int
    door: "asyncio.Future[str]"
    stubborn: bool


@dataclass
class Doors:
    """What the actions below meet: it is the test's."""

    runs: list[Run] = field(default_factory=list)
    waited: set[tuple[str, int]] = field(default_factory=set)  # attempts that were not counted once
    open: bool = False  # all go through at once
    closing: bool = False  # nobody is stubborn any more


doors = Doors()


async def _wait(stubborn: bool) -> str:
    mine = current_task()
    if doors.open:
        return mine.id
    run = Run(mine.id, mine.attempt, asyncio.get_running_loop().create_future(), stubborn)
    doors.runs.append(run)
    try:
        while True:
            try:
                return await asyncio.shield(run.door)
            except asyncio.CancelledError:
                if not stubborn or doors.closing:
                    raise
    finally:
        if run in doors.runs:
            doors.runs.remove(run)


@action(backoff=["10s", "60s"])
async def waits(stubborn: bool = False) -> str:
    return await _wait(stubborn)


@action(concurrency=1, backoff=5, max_attempts=2)
async def alone(stubborn: bool = False) -> str:
    return await _wait(stubborn)


@action(inline=True, backoff=[0, "30s"])
def at_once(plan: str = "") -> str:
    """Do what stands in the plan for this attempt: f(ails), r(etries), w(aits uncounted), e(nds), or succeed."""
    mine = current_task()
    letter = plan[mine.attempt - 1 : mine.attempt] or "."
    if letter == "f":
        raise ValueError("planned")
    if letter == "r":
        raise Retry(after=3)
    if letter == "w" and (mine.id, mine.attempt) not in doors.waited:
        doors.waited.add((mine.id, mine.attempt))
        raise Retry(after="2s", counts=False)
    if letter == "e":
        raise Fail("planned")
    return mine.id


@action(backoff=1)
def isolated() -> str:
    raise AssertionError("runs in the pool alone")


class Pool:
    """Worker processes in a test's hands: batches, of which the first call is the one that runs."""

    def __init__(self) -> None:
        self.batches: list[deque[Call]] = []
        self.stopped = False

    def preload(self, functions: Sequence[FunctionRef]) -> None:
        """Nothing to load: no process runs."""

    def submit(self, calls: Sequence[Call]) -> None:
        if self.stopped:
            for call in calls:
                asyncio.get_running_loop().call_soon(call.done, NotRun("shutdown"))
        else:
            self.batches.append(deque(calls))

    def cancel(self, call: Call, grace: float = 0.0) -> bool:
        call.cancelled = True
        return True

    def answer(self, batch: int, outcome: Outcome) -> Call:
        """End the running call of a batch."""
        calls = self.batches[batch]
        call = calls.popleft()
        if not calls:
            self.batches.pop(batch)
        call.done(outcome)
        return call

    def shut_down(self) -> None:
        self.stopped = True
        batches, self.batches = self.batches, []
        for calls in batches:
            for number, call in enumerate(calls):
                call.done(NotRun("shutdown") if number else killed("shutdown"))


def killed(reason: Any) -> Killed:
    return Killed(reason, f"it was {reason}", None, None, 0)


class Asked(Exchange):
    """A submission, and its answer once there is one."""

    def __init__(self, body: dict[str, Any], key: str | None) -> None:
        self.sent = body
        self.key = key
        self.body = msgspec.json.encode(body)
        self.headers = [(b"content-type", b"application/json")]
        if key is not None:
            self.headers.append((b"idempotency-key", key.encode()))
        self.status = 0
        self.answer: dict[str, Any] = {}

    def reply(self, status: int, body: bytes, media_type: bytes = b"", headers: bytes = b"") -> None:
        assert not self.status, "answered twice"
        self.status = status
        self.answer = msgspec.json.decode(body)


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
                sql, values = self.database.bind(statements.ATTEMPTS, {"id_": row[0]})
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
        host = components["app:processes"] = ProcessHost(_entry(HostConfig(name="p", kind="process.host")), context)
        self.pool = Pool()
        host.pool = self.pool
        service = TaskServiceConfig(
            name="tasks", kind="task.service", database="app:db", queue="app:q", host="app:processes",
            actions=[__name__],
        )  # fmt: skip
        self.service = TaskService(_entry(service), context)
        await self.service.start()
        components["app:f"] = SimpleNamespace(call=partial(process_task, tasks=self.service), invoke=_nothing)
        consumer = ConsumerConfig(
            name="c", kind="queue.consumer", queue="app:q", func="app:f", concurrency=3, prefetch=2
        )
        self.consumer = Consumer(_entry(consumer), context)
        await self.consumer.start()

    async def _settle(self) -> None:
        quiet = 0
        while quiet < 2:
            await _turns(5)
            busy = self.database.writer._scheduled or self.database.reads
            quiet = 0 if busy else quiet + 1

    async def _patiently(self, work: Awaitable[None]) -> None:
        """Wait for what waits for time, letting it pass."""
        working = asyncio.ensure_future(work)
        for _ in range(100_000):
            if working.done():
                break
            await _turns(5)
            if not self.database.writer._scheduled:
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
