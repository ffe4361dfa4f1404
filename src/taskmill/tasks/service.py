"""``task.service``: the task queue itself, between a database, its queues and a process host."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from time import time
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from taskmill.process.host import ProcessHost
from taskmill.process.source_check import check_source
from taskmill.queue import Queue
from taskmill.registry import Entry, EntryConfig, Mistake, reference
from taskmill.sql import DatabaseError, Overloaded, SqliteDatabase
from taskmill.supervisor import Context
from taskmill.tasks.alarm import Alarm
from taskmill.tasks.catalog import Catalog
from taskmill.tasks.control import Control, Queued
from taskmill.tasks.dispatcher import Dispatcher
from taskmill.tasks.failure import Failure
from taskmill.tasks.ids import IdSource
from taskmill.tasks.intake import Intake, Waiting, WaitingFull
from taskmill.tasks.limits import Limits
from taskmill.tasks.message import Dispatchable, TaskMessage, from_row
from taskmill.tasks.placing import Placing
from taskmill.tasks.reader import Reader
from taskmill.tasks.store import Store
from taskmill.tasks.watchdog import Watchdog
from taskmill.tasks.worker import Worker
from taskmill.units import Duration

logger = logging.getLogger(__name__)

LOOK = 1.0  # seconds between looks for work that no signal told of


class TaskServiceConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """The task queue: stores tasks in a database, dispatches them through queues, runs their actions."""

    database: Annotated[str, reference("db.sql.*", description="Where tasks are stored.")]
    queue: Annotated[str, reference("queue.queue", description="What dispatches them.")]
    queues: Annotated[
        list[Annotated[str, reference("queue.queue")]],
        Meta(description="More queues, for tasks and actions that name one."),
    ] = field(default_factory=list)
    host: Annotated[str, reference("process.host", description="Where actions that are a plain `def` run.")]
    actions: Annotated[
        list[str], Meta(description="Sources of actions: `file://actions.py`, or a module `package.module`.")
    ] = field(default_factory=list)
    ageing: Annotated[
        Duration,
        Meta(description="After waiting so long, a task is as urgent as a new one of the next priority."),
    ] = Duration(600)


class TaskService:
    """Accepts tasks, hands them to their queues once they are safe, and keeps their results."""

    kind: ClassVar[str] = "task.service"
    Config: ClassVar[type[EntryConfig]] = TaskServiceConfig

    store: Store[Waiting, WaitingFull]
    reader: Reader
    intake: Intake
    control: Control
    worker: Worker

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: TaskServiceConfig = entry.config
        self._context = context
        self._directory = entry.directory
        self._alarm: Alarm | None = None
        self.catalog = Catalog()
        self.dispatchers: dict[str, Dispatcher] = {}
        self._look: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._dropped: set[bytes] = set()  # cancelled, and perhaps still on their way to a worker

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find sources of actions that are missing."""
        for index, source in enumerate(entry.config.actions):
            for mistake in check_source(source, None, entry.directory):
                yield mistake._replace(field=f"actions[{index}]")

    async def start(self) -> None:
        """Load the actions, and dispatch what the last run left unfinished."""
        config = self._config
        self.catalog.load(config.actions, self._directory)
        pool = self._context.get(config.host, ProcessHost).pool
        pool.preload(self.catalog.isolated())
        database = self._context.get(config.database, SqliteDatabase)
        queues = [self._context.get(id_, Queue) for id_ in (config.queue, *config.queues)]
        self.reader = Reader(database)
        newest = await self.reader.newest_id()
        self.limits = Limits(self.reader, self.dispatchers, self._end_for_limit)
        self._placing = Placing(self.dispatchers, queues[0].name, config.ageing)
        for queue in queues:
            self.dispatchers[queue.name] = Dispatcher(
                self.reader,
                queue,
                self.catalog,
                self.limits,
                ageing_off=self._placing.ageing_off,
                dropped=self._dropped,
            )
        self.intake = Intake(self.catalog, IdSource(newest), self._placing, self.dispatchers, queues[0].name)
        self.store = Store(database, self.intake.added, self.intake.added_full, self._ended, self._scheduled)
        self.worker = Worker(self.store, pool, retry=self._retry, settle=self._ended, dropped=self._dropped)
        self._alarm = Alarm(self.store, self.reader, self._due, self._expired, self.worker.has)
        self.intake.connect(self.store, self._alarm)
        self.control = Control(
            database, self.catalog, self.dispatchers, self._placing, self._cancelled, self._due
        )
        self._watchdog = Watchdog()
        self._watchdog.start()
        await self._resume(newest, database.killed)
        self._look_again()

    async def stop(self) -> None:
        """Break off what still runs; its tasks run again at the next start."""
        if self._alarm is not None:
            if self._look is not None:
                self._look.cancel()
            await self._alarm.stop()
            await self.intake.stop()
            self.limits.stop()
            for dispatcher in self.dispatchers.values():
                await dispatcher.stop()
            await self.worker.stop()
            self._watchdog.stop()

    async def readiness(self) -> list[str]:
        """Return what keeps the service from accepting tasks: nothing if it is well.

        After a write has failed the next one is made here: where this keeps traffic away, no other would come.
        """
        if self.store.database.writer.error is not None:
            try:
                await self.store.database.probe()
            except (DatabaseError, Overloaded) as error:
                return [str(error)]
        return []

    def _look_again(self) -> None:
        """See now and then that no consumer wants what waits here, whatever signal may have been missed."""
        for dispatcher in self.dispatchers.values():
            dispatcher.feed()
        self._look = asyncio.get_running_loop().call_later(LOOK, self._look_again)

    async def _resume(self, newest: bytes, killed: bool) -> None:
        running: dict[str, list[Dispatchable]] = {}
        for row in await self.reader.running():
            running.setdefault(row[5], []).append(row)
        if running:
            count = sum(map(len, running.values()))
            logger.info("%d tasks were running when the last run ended; they run again", count)
        await self.control.restore_pauses()
        for name, dispatcher in self.dispatchers.items():
            await dispatcher.start(newest, running.pop(name, []), killed)
        for name, rows in running.items():
            logger.error("%d tasks wait: this application has no queue %r", len(rows), name)
        if self._alarm is not None:
            await self._alarm.start()

    def _due(self, rows: Sequence[Dispatchable]) -> None:
        """Dispatch tasks that have just been queued by their rows."""
        ready: dict[str, list[TaskMessage]] = {}
        for row in rows:
            registered = self.catalog.find(row[1])
            if registered is None or row[5] not in self.dispatchers:
                logger.error(
                    "task of action %r waits: this application lacks it, or queue %r", row[1], row[5]
                )
            else:
                ready.setdefault(row[5], []).append(from_row(row, registered))
        for queue, messages in ready.items():
            self.dispatchers[queue].committed_ranked(messages)

    def _retry(self, message: TaskMessage, failure: Failure) -> None:
        """Store that an attempt has failed and when the next one begins."""
        rest = failure.after
        if rest is None:
            rest = message.registered.action.options.backoff.rest(message.attempt)
        run_at = int(time() * 1000 + rest * 1000)
        priority = message.place.priority if message.place else 0
        self.store.retry(message, failure, run_at, self._placing.rank(run_at, priority))

    def _ended(self, messages: list[TaskMessage]) -> None:
        """Let go of messages whose attempt's end is stored."""
        for message in messages:
            message.ack()
            if message.place is not None:
                self.dispatchers[message.place.queue].settled(message)
        if self._dropped:
            self._dropped.difference_update(message.key for message in messages)
        for dispatcher in self.dispatchers.values():
            dispatcher.feed()

    def _scheduled(self, at: int) -> None:
        """See to it that a task is queued when its time has come."""
        if self._alarm is not None:
            self._alarm.set(at)

    def _expired(self, keys: Sequence[bytes]) -> None:
        """Keep tasks that have expired as rows from being started."""
        self._drop([(key, True) for key in keys])

    def _cancelled(self, keys: Sequence[bytes], queued: Sequence[Queued]) -> None:
        """Stop tasks that have been cancelled as rows, wherever they are."""
        self._drop(queued)
        self._dropped.difference_update(self.worker.cancel(keys))

    def _drop(self, queued: Sequence[Queued]) -> None:
        for key, ranked in queued:
            if any(dispatcher.has(key, ranked) for dispatcher in self.dispatchers.values()):
                self._dropped.add(key)

    def _end_for_limit(self, message: TaskMessage, why: str) -> None:
        task = asyncio.create_task(self.control.cancel_for_limit(message.key, why))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
