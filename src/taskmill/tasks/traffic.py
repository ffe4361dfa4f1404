"""The traffic between rows, dispatchers and the worker: what follows where something has happened to a task."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import monotonic, time
from typing import Any

from taskmill.tasks.actions.catalog import Catalog, Registered
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.cluster import topics
from taskmill.tasks.cluster.unknown import UNKNOWN
from taskmill.tasks.cluster.way import Way
from taskmill.tasks.control.control import Cancelled, Control
from taskmill.tasks.dispatch.alarm import Alarm
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.dispatch.strays import Strays
from taskmill.tasks.follow.followers import Followers
from taskmill.tasks.insist import insist
from taskmill.tasks.intake.backlog import Backlog
from taskmill.tasks.intake.placing import Placing
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import Dispatchable, TaskMessage, from_row
from taskmill.tasks.rows.over import Over
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.rows.store import Store
from taskmill.tasks.stepping.keeping import Keeping
from taskmill.tasks.waiting.waiters import Waiters
from taskmill.tasks.work.worker import Worker

logger = logging.getLogger(__name__)

LOOK = 1.0  # seconds between looks for work that no signal told of


class Traffic:
    """Hears of each change and passes it on to whom it concerns.

    ``own`` is the name of the service's own queue, where plain tasks are. ``dropped`` holds the keys of tasks that
    have ended as rows, such as by being cancelled, and may still be on their way to a worker; ``paused`` the
    names of queues. ``ways`` holds, where several nodes share the rows, what is out of each queue, and ``ahead``
    tells by how many seconds their clock is before this node's. ``waiters`` are told of the ends of tasks.
    """

    waiters: Waiters
    followers: Followers

    def __init__(
        self,
        reader: Reader,
        catalog: Catalog,
        dispatchers: Mapping[str, Dispatcher],
        placing: Placing,
        backlog: Backlog,
        own: str,
        paused: set[str] | None = None,
        ahead: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.dropped: set[bytes] = set()
        self.paused: set[str] = set() if paused is None else paused
        self._reader = reader
        self._catalog = catalog
        self._dispatchers = dispatchers
        self._placing = placing
        self._backlog = backlog
        self._own = own
        self._ahead = ahead
        self.ways: Mapping[str, Way] = {}
        self.observe: Callable[[Sequence[Over]], None]  # hears of ends that are not an attempt's here
        self.leased: dict[bytes, TaskMessage] = {}  # what workers outside have, where this process is alone
        self._following: dict[bytes, Dispatchable] = {}  # to run again once their cancelled life has let go
        self._writing: set[asyncio.Task[object]] = set()
        self._look: asyncio.TimerHandle | None = None

    def connect(
        self, store: Store[Any, Any], strays: Strays, worker: Worker, alarm: Alarm, control: Control
    ) -> None:
        """Take those that call back."""
        self._strays = strays
        self._store = store
        self._catalog.keep_steps(Keeping(store, self._reader))
        self._catalog.note_to(store.notes)
        self._worker = worker
        self._alarm = alarm
        self._control = control

    def stop(self) -> None:
        """Pass nothing on any more."""
        if self._look is not None:
            self._look.cancel()
        for task in self._writing:
            task.cancel()

    def look_again(self) -> None:
        """See now and then that no consumer wants what waits here, whatever signal may have been missed."""
        for dispatcher in self._dispatchers.values():
            dispatcher.feed()
        self._look = asyncio.get_running_loop().call_later(LOOK, self.look_again)

    async def resume(self, newest: bytes, killed: bool) -> None:
        """Dispatch what the last run left; ``newest`` is the greatest id, ``killed`` how that run ended."""
        running: dict[str, list[Dispatchable]] = {}
        for row in await self._reader.running():
            if row[0] not in self.leased:
                running.setdefault(row[5], []).append(self._strays.with_limit(row))
        if running:
            count = sum(map(len, running.values()))
            logger.info("%d tasks were running when the last run ended; they run again", count)
        for name, dispatcher in self._dispatchers.items():
            await dispatcher.start(newest, running.pop(name, []), killed)
        for name, rows in running.items():
            logger.error("%d tasks wait: this application has no queue %r", len(rows), name)
        await self._alarm.start()

    def changed(self, keys: Sequence[bytes]) -> None:
        """Hear that the rows of tasks have changed: those who watch them want to know."""
        self._store.feed.noted(keys)

    def due(self, rows: Sequence[Dispatchable]) -> None:
        """Dispatch tasks that have just been queued by their rows."""
        self.changed([row[0] for row in rows])
        ready: dict[str, list[TaskMessage]] = {}
        strays = [row for row in rows if self._strays.limit_of(row) is not None]
        if strays:
            what = "a limit of tasks that were stored before it"
            self._write_later(lambda: self._strays.take_in(strays), what)
            rows = [row for row in rows if self._strays.limit_of(row) is None]
        for row in rows:
            registered = self.find(row[1], row[5])
            if registered is None:
                logger.error("1 task waits: this application has no action %r in a queue %r", row[1], row[5])
            else:
                self._let_go(row[5], row[0])
                ready.setdefault(row[5], []).append(from_row(row, registered))
        for queue, messages in ready.items():
            self._dispatchers[queue].committed_ranked(messages)

    def find(self, action: str, queue: str) -> Registered | None:
        """Return an action of a task in a queue, or a stand-in for one that other nodes may have; None otherwise."""
        if queue not in self._dispatchers:
            return None
        way = self.ways.get(queue)
        registered = self._catalog.find(action)
        if registered is not None:
            return registered if registered.waits_in(queue) else None
        return UNKNOWN if way is not None and way.relay is not None else None

    def retry(self, message: TaskMessage, failure: Failure) -> None:
        """Store that an attempt has failed and when the next one begins."""
        rest = failure.after
        if rest is None:
            rest = message.registered.action.options.backoff.rest(message.attempt)
        run_at = int((time() + self._ahead() + rest) * 1000)
        priority = message.place.priority if message.place else 0
        self._store.retry(message, failure, run_at, self._placing.rank(run_at, priority))

    def redriven(self, rows: Sequence[Dispatchable]) -> None:
        """Dispatch tasks that had ended and are to run again; first the life that was cancelled lets go of them."""
        self._backlog.changed(len(rows))
        self.changed([row[0] for row in rows])
        if rows and self.ways:
            self._store.database.signals.send(topics.QUEUED)
        fresh = []
        for row in rows:
            if row[0] in self.dropped or self._worker.has(row[0]):
                self._following[row[0]] = row
            else:
                fresh.append(row)
        self.due(fresh)

    def finished(self, messages: list[TaskMessage]) -> None:
        """Let go of messages whose task has ended."""
        self._backlog.changed(-len(messages))
        self.waiters.finished(messages)
        self.followers.finished(messages)
        self.ended(messages)

    def told(self, keys: Sequence[bytes]) -> None:
        """Tell those who wait for the ends of tasks: requests, and tasks that follow."""
        self.waiters.ended(keys)
        self.followers.ended(keys)

    def ready(self, rows: Sequence[Dispatchable]) -> None:
        """Dispatch tasks that have waited for others until now."""
        if rows and self.ways:
            self._store.database.signals.send(topics.QUEUED)
        self.due(rows)

    def ended(self, messages: list[TaskMessage]) -> None:
        """Let go of messages whose attempt's end is stored."""
        if self._store.feed.on:
            self._store.feed.tell([message.key for message in messages])
        plain = len(messages)
        for message in messages:
            message.ack()
            if message.place is not None:
                plain -= 1
                self._settled(message.place.queue, message)
        if self.dropped:
            self.dropped.difference_update(message.key for message in messages)
        if self._following:
            for message in messages:
                self.follow(message.key)
        self._dispatchers[self._own].pace.ended += plain
        now = monotonic()
        for dispatcher in self._dispatchers.values():
            dispatcher.feed()
            dispatcher.pace.sample(now, dispatcher.waiting)

    def follow(self, key: bytes) -> None:
        """Dispatch a task that waited for its cancelled life to let go of it."""
        if row := self._following.pop(key, None):
            self.due([row])

    def scheduled(self, at: int) -> None:
        """See to it that a task is queued when its time has come."""
        self._alarm.set(at)

    def expired(self, ended: Sequence[Over]) -> None:
        """Keep tasks that have ended as rows, since their time was over, from being started."""
        self.observe(ended)
        keys = [one.key for one in ended]
        self.changed(keys)
        self._backlog.changed(-len(keys))
        for key in keys:
            self._reader.changes.note(key)
            for name in self._dispatchers:
                self.drop(name, key, ranked=True)
        self.told(keys)

    def cancelled(self, cancelled: Sequence[Cancelled]) -> None:
        """Stop tasks that have been cancelled as rows, wherever they are."""
        self._backlog.changed(-len(cancelled))
        self.observe([Over(one.key, one.queue, one.action, Status.CANCELLED) for one in cancelled])
        for key, status, rank, queue, action in cancelled:
            self._following.pop(key, None)
            self._reader.changes.note(key)
            if status == Status.SCHEDULED or self.find(action, queue) is None:
                continue  # no message was made of it
            self.drop(queue, key, rank is not None)
        keys = [one.key for one in cancelled]
        self.changed(keys)
        self._worker.cancel(keys)
        self.told(keys)

    def take_back(self, message: TaskMessage) -> bool:
        """Return a task whose queue is paused to it; tell whether it is."""
        queue = self._own if message.place is None else message.place.queue
        if queue not in self.paused:
            return False
        way = self.ways.get(queue)
        if way is not None and way.claims is not None:
            way.claims.take_back(message)
        else:
            self._dispatchers[queue].take_back(message)
        return True

    def end_for_limit(self, message: TaskMessage, why: str) -> None:
        """Cancel a task that its limit has no place for."""
        self._write_later(lambda: self._control.cancel_for_limit(message.key, why), "an end by a limit")

    def _settled(self, queue: str, message: TaskMessage) -> None:
        """Let go of a ranked task as it was handed out, if that was here."""
        way = self.ways.get(queue)
        drawn = message if way is None or way.claims is None else way.outstanding.pop(message.key)
        if drawn is not None:
            drawn.started_at = message.started_at
            self._dispatchers[queue].settled(drawn)

    def _let_go(self, queue: str, key: bytes) -> None:
        """Let go of a task as it was handed out before: its attempt has ended, on whichever node."""
        way = self.ways.get(queue)
        drawn = None if way is None else way.outstanding.pop(key)
        if drawn is not None:
            self._dispatchers[queue].settled(drawn)

    def drop(self, queue: str, key: bytes, ranked: bool) -> None:
        """Keep a task that has ended as a row from being started, wherever it is."""
        if (leased := self.leased.pop(key, None)) is not None:
            self.ended([leased])
            return
        dispatcher = self._dispatchers[queue]
        way = self.ways.get(queue)
        if way is not None:
            if way.has_claimed(key):
                self.dropped.add(key)
                return
            drawn = way.outstanding.pop(key)
            if drawn is not None:
                dispatcher.settled(drawn)
                return
        if dispatcher.has(key, ranked):
            self.dropped.add(key)

    def _write_later(self, write: Callable[[], Awaitable[object]], what: str) -> None:
        task = asyncio.create_task(insist(write, what))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
