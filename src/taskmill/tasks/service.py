"""``task.service``: the task queue itself, between a database, its queues and a process host."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from time import monotonic, time
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from taskmill.process.host import ProcessHost
from taskmill.process.source_check import check_source
from taskmill.queue import Queue
from taskmill.registry import Entry, EntryConfig, Mistake, reference
from taskmill.sql import DatabaseError, Overloaded, SqliteDatabase
from taskmill.supervisor import Context
from taskmill.tasks.admission import Admission
from taskmill.tasks.alarm import Alarm
from taskmill.tasks.backlog import Backlog
from taskmill.tasks.catalog import Catalog
from taskmill.tasks.control import Cancelled, Control
from taskmill.tasks.dead_letter import DeadLetters
from taskmill.tasks.dispatcher import Dispatcher
from taskmill.tasks.failure import Failure
from taskmill.tasks.ids import IdSource
from taskmill.tasks.insist import insist
from taskmill.tasks.intake import Intake, Waiting, WaitingFull
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.limits import Limits
from taskmill.tasks.line import Line
from taskmill.tasks.listing import Listing
from taskmill.tasks.many import Many
from taskmill.tasks.message import Dispatchable, TaskMessage, from_row
from taskmill.tasks.placing import Placing
from taskmill.tasks.queues import Overview
from taskmill.tasks.reader import Reader
from taskmill.tasks.retention import Keep, Retention
from taskmill.tasks.schedules.firing import Tasks
from taskmill.tasks.schedules.model import Definition
from taskmill.tasks.schedules.scheduler import Scheduler
from taskmill.tasks.store import Store
from taskmill.tasks.strays import Strays
from taskmill.tasks.watchdog import Watchdog
from taskmill.tasks.worker import Worker
from taskmill.units import Duration, Size

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
    max_backlog: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Tasks that may wait or run; beyond them submissions get 503. `null`: no bound."),
    ] = 10_000_000
    keep: Annotated[Keep, Meta(description="For how long ended tasks are kept.")] = Keep()
    max_size: Annotated[
        Size, Meta(description="Beyond it the oldest ended tasks go, whatever their age; 0 for no bound.")
    ] = Size(10 * 2**30)
    tombstones: Annotated[
        Duration, Meta(description="For how long the id of a pruned task answers 410; then it is unknown.")
    ] = Duration(30 * 86_400)


class TaskService:
    """Accepts tasks, hands them to their queues once they are safe, and keeps their results."""

    kind: ClassVar[str] = "task.service"
    Config: ClassVar[type[EntryConfig]] = TaskServiceConfig

    store: Store[Waiting, WaitingFull]
    reader: Reader
    listing: Listing
    intake: Intake
    control: Control
    worker: Worker
    scheduler: Scheduler

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: TaskServiceConfig = entry.config
        self._context = context
        self._directory = entry.directory
        self._alarm: Alarm | None = None
        self.catalog = Catalog()
        self.dispatchers: dict[str, Dispatcher] = {}
        self._look: asyncio.TimerHandle | None = None
        self.declared_schedules: list[Definition] = []  # by entries that start before
        self._writing: set[asyncio.Task[None]] = set()
        self._dropped: set[bytes] = set()  # cancelled, and perhaps still on their way to a worker
        self._following: dict[bytes, Dispatchable] = {}  # to run again once their cancelled life has let go
        self.paused: set[str] = set()

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
        self.listing = Listing(self.reader)
        newest = await self.reader.newest_id()
        self.limits = Limits(self.reader, self.dispatchers, self._end_for_limit)
        self._placing = Placing(self.dispatchers, queues[0].name, config.ageing)
        self._strays = Strays(database, self.catalog, self._due)
        for queue in queues:
            self.dispatchers[queue.name] = Dispatcher(
                self.reader,
                queue,
                self.catalog,
                self.limits,
                dropped=self._dropped,
                let_go=self._follow,
                strays=self._strays,
            )
        self._own = self.dispatchers[queues[0].name]
        self.line = Line(database, self.dispatchers, self.limits)
        self.backlog = Backlog(config.max_backlog, self.reader.unended)
        ids = IdSource(newest)
        self.intake = Intake(self.catalog, ids, self._placing, self.dispatchers, queues[0].name, self.backlog)
        self.store = Store(
            database,
            self.intake.added,
            self.intake.added_full,
            self._finished,
            self._scheduled,
            put_off=self._ended,
        )
        self.worker = Worker(
            self.store,
            pool,
            retry=self._retry,
            settle=self._ended,
            dropped=self._dropped,
            paused=self.paused,
            take_back=self._take_back,
        )
        self._alarm = Alarm(self.store, self.reader, self._due, self._expired, self.worker.has)
        admission = Admission(self.line, self.reader, self.dispatchers)
        self.intake.connect(self.store, self._alarm, admission)
        self.control = Control(
            database,
            self.catalog,
            self.dispatchers,
            self._placing,
            self._cancelled,
            self._redriven,
            self.paused,
        )
        targets = {
            queue.name: self._context.get(queue.dead_letter, Queue).channel
            for queue in queues
            if queue.dead_letter is not None
        }
        if targets:
            self.store.dead_letters = DeadLetters(database, targets)
        self.many = Many(self.reader, self.listing, self.control)
        self.overview = Overview(self.reader, self.dispatchers, self._placing, self._own.name)
        self.retention = Retention(database, config.keep, config.max_size, config.tombstones)
        self._watchdog = Watchdog()
        self._watchdog.start()
        await self._resume(newest, database.killed)
        scheduled = Tasks(self.catalog, ids, self._placing, self.dispatchers, self.intake)
        self.scheduler = Scheduler(database, scheduled)
        await self.scheduler.start(self.declared_schedules)
        self.retention.start()
        self.backlog.start()
        if self.store.dead_letters is not None:
            self.store.dead_letters.start()
        self._look_again()

    async def stop(self) -> None:
        """Break off what still runs; its tasks run again at the next start."""
        if self._alarm is not None:
            if self._look is not None:
                self._look.cancel()
            if hasattr(self, "scheduler"):
                await self.scheduler.stop()
            await self._alarm.stop()
            await self.backlog.stop()
            await self.retention.stop()
            await self.intake.stop()
            self.limits.stop()
            for dispatcher in self.dispatchers.values():
                await dispatcher.stop()
            await self.worker.stop()
            for task in self._writing:
                task.cancel()
            if self.store.dead_letters is not None:
                await self.store.dead_letters.stop()
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
            running.setdefault(row[5], []).append(self._strays.with_limit(row))
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
        strays = [row for row in rows if self._strays.limit_of(row) is not None]
        if strays:
            self._write_later(
                lambda: self._strays.take_in(strays), "a limit of tasks that were stored before it"
            )
            rows = [row for row in rows if self._strays.limit_of(row) is None]
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

    def _redriven(self, rows: Sequence[Dispatchable]) -> None:
        """Dispatch tasks that had ended and are to run again; first the life that was cancelled lets go of them."""
        self.backlog.changed(len(rows))
        fresh = []
        for row in rows:
            if row[0] in self._dropped or self.worker.has(row[0]):
                self._following[row[0]] = row
            else:
                fresh.append(row)
        self._due(fresh)

    def _finished(self, messages: list[TaskMessage]) -> None:
        """Let go of messages whose task has ended."""
        self.backlog.changed(-len(messages))
        self._ended(messages)

    def _ended(self, messages: list[TaskMessage]) -> None:
        """Let go of messages whose attempt's end is stored."""
        plain = len(messages)
        for message in messages:
            message.ack()
            if message.place is not None:
                plain -= 1
                self.dispatchers[message.place.queue].settled(message)
        if self._dropped:
            self._dropped.difference_update(message.key for message in messages)
        if self._following:
            for message in messages:
                self._follow(message.key)
        self._own.pace.ended += plain
        now = monotonic()
        for dispatcher in self.dispatchers.values():
            dispatcher.feed()
            dispatcher.pace.sample(now, dispatcher.waiting)

    def _follow(self, key: bytes) -> None:
        """Dispatch a task that waited for its cancelled life to let go of it."""
        if row := self._following.pop(key, None):
            self._due([row])

    def _scheduled(self, at: int) -> None:
        """See to it that a task is queued when its time has come."""
        if self._alarm is not None:
            self._alarm.set(at)

    def _expired(self, keys: Sequence[bytes]) -> None:
        """Keep tasks that have expired as rows from being started."""
        self.backlog.changed(-len(keys))
        for key in keys:
            self.reader.changes.note(key)
            if any(dispatcher.has(key, ranked=True) for dispatcher in self.dispatchers.values()):
                self._dropped.add(key)

    def _cancelled(self, cancelled: Sequence[Cancelled]) -> None:
        """Stop tasks that have been cancelled as rows, wherever they are."""
        self.backlog.changed(-len(cancelled))
        for key, status, rank, queue, action in cancelled:
            self._following.pop(key, None)
            self.reader.changes.note(key)
            dispatcher = self.dispatchers.get(queue)
            if status == Status.SCHEDULED or dispatcher is None or self.catalog.find(action) is None:
                continue  # no message was made of it
            if dispatcher.has(key, rank is not None):
                self._dropped.add(key)
        self.worker.cancel([one.key for one in cancelled])

    def _take_back(self, message: TaskMessage) -> bool:
        """Return a task whose queue is paused to it; tell whether it is."""
        queue = self._own.name if message.place is None else message.place.queue
        if queue not in self.paused:
            return False
        self.dispatchers[queue].take_back(message)
        return True

    def _end_for_limit(self, message: TaskMessage, why: str) -> None:
        self._write_later(lambda: self.control.cancel_for_limit(message.key, why), "an end by a limit")

    def _write_later(self, write: Callable[[], Awaitable[object]], what: str) -> None:
        task = asyncio.create_task(insist(write, what))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
