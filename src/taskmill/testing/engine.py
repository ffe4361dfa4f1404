"""A whole task queue inside a test: the application's own entries, in memory, on a loop in a thread of its own."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import msgspec

from taskmill import application
from taskmill.client.wire import Answer
from taskmill.process.host import ProcessHost
from taskmill.process.messages import FunctionRef
from taskmill.queue import Consumer, MemoryDriver
from taskmill.registry import Entry, Registry
from taskmill.registry.files import index_files
from taskmill.sql import Database, SqliteDatabase
from taskmill.sql.sqlite import MEMORY
from taskmill.supervisor import Component, Context, Supervisor, SupervisorError
from taskmill.tasks.actions.action import Action
from taskmill.tasks.api import process_task
from taskmill.tasks.external.kind import TaskAction
from taskmill.tasks.schedules.kind import TaskSchedule
from taskmill.tasks.service import TaskService
from taskmill.tasks.work.isolated import adapt
from taskmill.testing.api import Api
from taskmill.testing.clock import Clock, Loop
from taskmill.testing.inline import Bench, InlineHost, Runner
from taskmill.testing.stepping import SteppingConsumer

T = TypeVar("T")

ROOTS: Final = {kind.kind for kind in (TaskService, TaskSchedule, TaskAction, Consumer)}
TURNS = 5  # of the loop, in which what has begun to go on shows that it does
MOVES = 10_000  # of the clock, from one time at which something is due to the next; then the rest at once
SLACK = 0.002  # seconds by which a time has to be over before everybody finds it so


class Engine:
    """Runs the parts of an application that run tasks. ``actions`` are known beside those that it declares.

    Raises:
        RegistryError: the registry has mistakes.
        SupervisorError: a part did not start.
    """

    def __init__(self, directory: Path, actions: Iterable[Action[Any, Any]], *, builtin: bool) -> None:
        self._registry = _without_actions(directory) if builtin else _tested(directory)
        self.clock = Clock(lambda by: self.run(self._advance(by)))
        self.loop = Loop(self.clock)
        self.bench = Bench()
        self._actions = list(actions)
        self._known: dict[FunctionRef, Runner] = {}
        self._thread = threading.Thread(target=self.loop.run_forever, name="taskmill-testing", daemon=True)
        self._stepping = False
        self._data = tempfile.TemporaryDirectory(prefix="taskmill-testing-")

    def start(self) -> None:
        """Start the task queue."""
        self._thread.start()
        try:
            self.run(self._start())
        except BaseException:
            self._end()
            raise

    def stop(self) -> None:
        """Stop it, and forget everything."""
        try:
            self.run(self._supervisor.stop())
        finally:
            self._end()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something on the loop, from any thread but the loop's own."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    def step(self) -> str | None:
        """Run the next task that may run now, a plain `def` in this very thread; return its id, or None.

        Raises RuntimeError where a task is under way.
        """
        if self._stepping:
            raise RuntimeError("a task is under way: an action cannot run others, nor wait for them")
        self._stepping = True
        try:
            return self.bench.wait(asyncio.run_coroutine_threadsafe(self._step(), self.loop))
        finally:
            self._stepping = False

    async def answer(self, request: bytes) -> Answer:
        """On the loop, answer a request of the API."""
        answer = await self._api.answer(request)
        await self.settled()
        return answer

    async def settled(self) -> None:
        """Wait until all that goes on by itself has done so."""
        quiet = 0
        while quiet < 2:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            quiet = 0 if self._busy() else quiet + 1

    def _busy(self) -> bool:
        return not self._service.followers.quiet or any(one.writer.awake for one in self._databases)

    async def _start(self) -> None:
        kinds = {**application.KINDS, **self._stand_ins()}
        self._supervisor = Supervisor(
            self._registry, cast("dict[str, type[Component]]", kinds), Path(self._data.name)
        )
        self._databases: list[Database] = []
        await self._supervisor.start()
        self._databases = self._all(Database)  # type: ignore[type-abstract]
        services = self._all(TaskService)
        if not services:
            await self._supervisor.stop()
            raise SupervisorError(f"{self._registry.directory} declares no task.service")
        self._service = services[0]
        for number, action in enumerate(self._actions):
            if action.name not in self._service.catalog.names():
                function = FunctionRef("", str(number), "", "")
                self._known[function] = adapt(action)
                self._service.catalog.add(action, function)
        self._api = Api(self._service)
        self._consumers = [one for one in self._all(Consumer) if isinstance(one, SteppingConsumer)]
        await self.settled()

    def _all(self, type_: type[T]) -> list[T]:
        found = (self._supervisor.get(id_, object) for id_ in self._registry.entries)
        return [one for one in found if isinstance(one, type_)]

    def _stand_ins(self) -> dict[str, object]:
        """Return what is made in place of the parts that reach out of the process."""
        found: dict[str, object] = {ProcessHost.kind: partial(InlineHost, self.bench, self._known)}
        found[Consumer.kind] = partial(_consumer, self._registry)
        for kind in application.KINDS:
            if kind.startswith("db.sql."):
                found[kind] = partial(_in_memory, SqliteDatabase, file=MEMORY)
            if kind.startswith("queue.driver."):
                found[kind] = partial(_in_memory, MemoryDriver)
        return found

    async def _step(self) -> str | None:
        for consumer in self._consumers:
            message = await consumer.step(self.settled)
            if message is not None:
                self._consumers.remove(consumer)  # the others' turn comes first
                self._consumers.append(consumer)
                return message.id()
        return None

    async def _advance(self, by: float) -> None:
        """Move the clock, halting where something is due."""
        left = by
        for _ in range(MOVES):
            await self.settled()
            due = await self._next_due()
            move = SLACK if due is None else max(due / 1000 - self.clock.time(), 0.0) + SLACK
            if due is None or move >= left:
                break
            self.clock.ahead += move
            left -= move
            await self._rung()
        self.clock.ahead += left
        await self._rung()

    async def _rung(self) -> None:
        """Wait until what is due by now has been seen to, or cannot be."""
        for _ in range(100):
            await self.settled()
            due = await self._next_due()
            if due is None or due / 1000 > self.clock.time() - SLACK:
                break
            await asyncio.sleep(0.001)
        await self.settled()

    async def _next_due(self) -> int | None:
        times = (await self._service.reader.next_alarm(), await self._service.scheduler.store.next_run_at())
        return min((time for time in times if time is not None), default=None)

    def _end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        for task in (left := asyncio.all_tasks(self.loop)):
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left))
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        self._data.cleanup()


def _consumer(registry: Registry, entry: Entry[Any], context: Context) -> Component:
    """Make a consumer: of tasks one that is stepped, of a function's own messages one that goes on by itself."""
    function = registry.entries[entry.config.func].config
    takes_tasks = (function.source, function.method) == (process_task.__module__, process_task.__name__)
    return (SteppingConsumer if takes_tasks else Consumer)(entry, context)


def _in_memory(kind: Any, entry: Entry[Any], context: Context, **fields: Any) -> Component:
    """Make a part of another kind for an entry."""
    config = kind.Config(name=entry.config.name, kind=kind.kind, lifecycle=entry.config.lifecycle, **fields)
    made: Component = kind(_with(entry, config), context)
    return made


def _with(entry: Entry[Any], config: Any) -> Entry[Any]:
    return replace(entry, kind=config.kind, config=config)


def _tested(directory: Path) -> Registry:
    """Read an application, and leave out what neither stores nor runs tasks."""
    return _read(directory, tuple((file, file.stat().st_mtime_ns) for file in index_files(directory)))


@lru_cache(maxsize=8)
def _read(directory: Path, _: tuple[tuple[Path, int], ...]) -> Registry:
    registry = application.read(directory)
    pending = [entry.id for entry in registry.entries.values() if entry.kind in ROOTS]
    wanted: set[str] = set()
    while pending:
        id_ = pending.pop()
        if id_ not in wanted:
            wanted.add(id_)
            references = registry.entries[id_].references
            pending += [reference.target for reference in references if not reference.attaches]
    entries = {id_: entry for id_, entry in registry.entries.items() if id_ in wanted}
    return Registry(registry.directory, entries)


def _without_actions(directory: Path) -> Registry:
    """Read the built-in application, and leave out its actions: the test's own are all there are."""
    registry = _tested(directory)
    entries = dict(registry.entries)
    for id_, entry in entries.items():
        if entry.kind == TaskService.kind:
            entries[id_] = _with(entry, msgspec.structs.replace(entry.config, actions=[]))
    return Registry(registry.directory, entries)
