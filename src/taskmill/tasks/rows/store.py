"""The store: every write of tasks, through the group-commit writer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial
from time import time
from typing import Any, Generic, Literal, TypeVar

import msgspec
from sqlalchemy import ClauseElement

from taskmill.sql import Database, DatabaseUnavailable, Lane, Transaction
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.control.dead_letter import DeadLetters
from taskmill.tasks.events.feed import Feed
from taskmill.tasks.message import Dispatchable, TaskMessage
from taskmill.tasks.model import TaskError, timestamp
from taskmill.tasks.notes.notes import Notes
from taskmill.tasks.rows import statements, steps
from taskmill.tasks.rows.due import Due, queue_due
from taskmill.tasks.rows.guarding import Guarded, Rows
from taskmill.tasks.rows.over import Over, over

logger = logging.getLogger(__name__)
S = TypeVar("S")
F = TypeVar("F")

Row = tuple[Any, ...]
Tell = Callable[[list[Row], list[Any]], None]
Ended = Callable[[list[TaskMessage]], None]
Outcome = Literal["completed", "failed", "retried"]  # of an attempt
Observe = Callable[[Outcome, list[Row], list[TaskMessage]], None]
_RUN_AT = 4  # the place of `run_at` among the parameters of RETRY
ADDING_LIMIT = 2**26  # bytes of data that may wait for a commit
RETRY_PAUSE = 0.5  # seconds before a result that could not be stored is tried again


def _nobody(*_: Any) -> None:
    """Tell nobody."""


class Store(Generic[S, F]):
    """Writes tasks.

    ``S`` waits for a submitted plain task's commit and ``F`` for another's: ``added`` and ``added_full`` get
    them back, once a batch, with the error if the tasks could not be stored. ``ended`` gets the messages whose
    attempt's end is stored; where that is not possible now, such as on a full disk, the end is kept and stored
    later. ``put_off`` gets those that run again later, where it is given, and ``scheduled`` hears of the time at
    which the next of them is due. ``node`` tells this node's id, where the database has several.
    Where they are ``traced``, messages of plain tasks have a trace.
    """

    def __init__(
        self,
        database: Database,
        added: Callable[[list[Row], list[S], Exception | None], None],
        added_full: Callable[[list[Row], list[F], Exception | None], None],
        ended: Ended,
        scheduled: Callable[[int], None],
        put_off: Ended | None = None,
        node: Callable[[], bytes] | None = None,
        traced: bool = False,
    ) -> None:
        self.database, self.traced = database, traced
        self.lapsed: Callable[[list[Over]], None] = lambda _: None  # hears of held tasks whose time was over
        self.dead_letters: DeadLetters | None = None  # where failed tasks are published, if anywhere
        self._scheduled = scheduled
        self._put_off = put_off or ended
        self.observe: Observe = _nobody  # of ends, once a commit
        writer = database.writer
        self._limit = writer.limit
        self._adding = 0  # bytes of data that wait for a commit
        self._failing = False  # what attempts ended with cannot be stored now

        def lane(statement: Any, settle: Any) -> Lane[Any]:
            return writer.lane(database.compile(statement), settle)

        # A batch runs the lanes in this order: what a failed attempt leaves behind is written while the row
        # still says that it is the task's own.
        add = statements.ADD_TRACED if traced else statements.ADD
        self._add: Lane[S] = lane(add, partial(self._add_stored, added))
        self._add_full: Lane[F] = lane(statements.ADD_FULL, partial(self._add_stored, added_full))
        self.node, self.feed = node, Feed()  # which hears what tasks have changed
        self._ends: list[Lane[Any]] = []
        self._refused = 0
        self.steps = steps.OWN if node is None else steps.SHARED
        self._start = self._own(lane(self.steps.start, self._start_stored), before=2)
        self._release = self._own(lane(self.steps.release, self._release_stored))
        self.notes = Notes(database, node, self.feed.noted)
        self._record: Rows = self._end(self.steps.record)
        self._forget: Rows = self._end(steps.FORGET, guarded=False)
        self._retry: Rows = self._end(self.steps.retry, self._retried)
        self._fail: Rows = self._end(self.steps.fail, partial(self._over, "failed", ended))
        self.completed: Tell = partial(self._over, "completed", ended)
        self._complete: Rows = self._end(self.steps.complete, self.completed)

    def _own(self, lane: Lane[Any], before: int | None = None) -> Rows:
        """Have a lane's rows name this node, where there are several."""
        return lane if self.node is None else Guarded(lane, self.node, before)

    def _end(self, statement: ClauseElement, tell: Tell = _nobody, *, guarded: bool = True) -> Rows:
        """Make a lane of what belongs to an attempt's end: it is kept until it can be stored."""

        def settle(rows: list[Row], waiters: list[Any], error: Exception | None) -> None:
            self._stored(lane, (rows, waiters, error), tell)

        database = self.database
        lane: Lane[Any] = database.writer.lane(database.compile(statement), settle)
        if guarded and tell is not _nobody:
            self._ends.append(lane)
        return self._own(lane) if guarded else lane

    @property
    def refused(self) -> int:
        """How many ends of attempts changed nothing, since their tasks were no longer this node's, or had ended."""
        return sum([lane.missed for lane in self._ends])

    def overloaded(self) -> bool:
        """Whether a new submission should be refused rather than wait for its commit."""
        waiting = len(self._add.rows) + len(self._add_full.rows)
        return waiting >= self._limit or self._adding > ADDING_LIMIT

    def add(self, message: TaskMessage, queue: str, now: int, waiter: S) -> None:
        """Store a plain task, submitted ``now`` (milliseconds since 1970), with the next commit."""
        self._adding += len(message.body)
        registered = message.registered
        attempts = registered.action.options.max_attempts
        row = (message.key, message.name, queue, message.body, attempts, now, registered.version)
        self._add.append((*row, message.trace) if self.traced else row, waiter)

    def add_full(self, row: Row, waiter: F) -> None:
        """Store another task with the next commit: a row of :data:`taskmill.tasks.rows.statements.FULL`."""
        self._adding += len(row[3])
        self._add_full.append(row, waiter)

    def start(self, message: TaskMessage) -> None:
        """Note that an attempt has begun."""
        self._start.append((message.attempt, message.started_at, message.key, message.attempts), None)

    async def claim(self, message: TaskMessage) -> str | None:
        """Begin an attempt once that is durable; return the task's data, or None if it is no longer to be run."""

        own = {"id_": message.key, "attempt_": message.attempt, "before_": message.attempts}
        values = {**own, "started_at_": message.started_at, **self.owner()}

        def call(transaction: Transaction) -> str | None:
            if not transaction.change(self.steps.start, **values):
                return None
            ((data,),) = transaction.fetch(statements.DATA, id_=message.key)
            return str(data)

        return await self.database.write(call, lambda _: self.feed.noted([message.key]))

    def release(self, message: TaskMessage) -> None:
        """Take an attempt back: a shutdown broke it off."""
        self.notes.last(message)
        self._release.append((message.key, message.attempt), None)

    def complete(self, message: TaskMessage, result: bytes, at: float | None = None) -> None:
        """Store a task's JSON result with the next commit; ``at`` is when it came, if the caller has just looked."""
        if self.notes.pending:
            self.notes.last(message)
        attempt = message.attempts + 1
        row = (attempt, message.started_at, int((at or time()) * 1000), result.decode(), message.key, attempt)
        self._complete.append(row, message)

    def fail(self, message: TaskMessage, failure: Failure, attempt: int | None = None) -> None:
        """Store a task's failure with the next commit, in its ``attempt`` if that is not the one under way."""
        self.notes.last(message)
        now = int(time() * 1000)
        number = attempt or message.attempt
        error = self._record_failure(message, number, failure, now)
        self._fail.append((number, message.started_at, now, error, message.key, number), message)
        if self.dead_letters is not None:
            self.dead_letters.failed(message.key, now)

    def retry(self, message: TaskMessage, failure: Failure, run_at: int, rank: int) -> None:
        """Store that an attempt has failed, and that another one begins at ``run_at``."""
        self.notes.last(message)
        now = int(time() * 1000)
        error = self._record_failure(message, message.attempt, failure, now) if failure.counts else None
        counted = message.attempt if failure.counts else message.attempts
        row = (counted, message.started_at, error, rank, run_at, message.key, message.attempt)  # cf. _RUN_AT
        self._retry.append(row, message)

    def _record_failure(self, message: TaskMessage, attempt: int, failure: Failure, now: int) -> str:
        """Keep the error of an attempt among its task's last ones; return it as JSON."""
        if (redaction := message.registered.redaction) is not None:
            failure = redaction.failure(message.body, failure)
        error = TaskError(failure.type, failure.message, timestamp(now), failure.traceback)
        text = msgspec.json.encode(error).decode()
        started_at = message.started_at or None
        self._record.append((message.key, attempt, started_at, now, text, message.key, attempt), None)
        if attempt > steps.KEPT_ATTEMPTS:
            self._forget.append((message.key, attempt - steps.KEPT_ATTEMPTS), None)
        return text

    async def due(
        self, now: int, limit: int, then: Callable[[list[Dispatchable]], None] | None = None
    ) -> list[Dispatchable]:
        """Queue the scheduled tasks whose time has come, so many at most; give them to ``then``, and return them.

        Those that are held end, and ``lapsed`` is told of them.
        """

        def tell(due: Due) -> None:
            if due.lapsed:
                self.lapsed(due.lapsed)
            if then is not None:
                then(due.queued)

        return (
            await self.database.write(lambda transaction: queue_due(transaction, now, limit), tell)
        ).queued

    async def expire(
        self, keys: Sequence[bytes], then: Callable[[list[Over]], None] | None = None
    ) -> list[bytes]:
        """End tasks that nobody started in time, if they still wait; give those to ``then``, and return their ids."""
        now = int(time() * 1000)
        error = TaskError("expired", "nobody started it in time", timestamp(now))
        text = msgspec.json.encode(error).decode()
        letters = self.dead_letters

        def call(transaction: Transaction) -> list[Over]:
            values = {"finished_at_": now, "error_": text, **self.owner()}
            expired = [key for key in keys if transaction.change(self.steps.expire, id_=key, **values)]
            if letters is not None:
                for key in expired:
                    letters.expired(transaction, key, now)
            return [over(transaction, key) for key in expired]

        expired = await self.database.write(call, then)
        if letters is not None:
            letters.committed()
        return [one.key for one in expired]

    def owner(self) -> dict[str, bytes]:
        """Return the parameter by which a step names this node, where there are several."""
        return {} if self.node is None else {"node_": self.node()}

    def _add_stored(
        self,
        tell: Callable[[list[Row], list[Any], Exception | None], None],
        rows: list[Row],
        waiters: list[Any],
        error: Exception | None,
    ) -> None:
        self._adding -= sum([len(row[3]) for row in rows])
        tell(rows, waiters, error)
        if self.feed.on and error is None:
            self.feed.tell([row[0] for row in rows])

    def _start_stored(self, rows: list[Row], waiters: list[None], error: Exception | None) -> None:
        self.feed.noted([row[2] for row in rows])
        if error is not None and not self._failing:
            logger.warning("%d attempts that run are not shown as running: %s", len(waiters), error)

    def _release_stored(self, _: list[Row], waiters: list[None], error: Exception | None) -> None:
        if error is not None:
            logger.warning("%d interrupted attempts count as attempts: %s", len(waiters), error)

    def _over(self, outcome: Outcome, ended: Ended, rows: list[Row], messages: list[TaskMessage]) -> None:
        self.observe(outcome, rows, messages)
        ended(messages)

    def _retried(self, rows: list[Row], messages: list[TaskMessage]) -> None:
        self.observe("retried", rows, messages)
        self._put_off(messages)
        self._scheduled(min(row[_RUN_AT] for row in rows))

    def _stored(
        self, lane: Lane[Any], batch: tuple[list[Row], list[Any], Exception | None], tell: Tell
    ) -> None:
        """Tell of what belongs to an attempt's end, or keep it until it can be stored."""
        rows, waiters, error = batch
        if error is None:
            self._failing = False
            if lane.missed:
                self._look_at_refused()
            tell(rows, waiters)
        elif isinstance(error, DatabaseUnavailable):
            if not self._failing:  # said once, until it works again
                logger.warning("what attempts ended with waits to be stored: %s", error)
            self._failing = True
            asyncio.get_running_loop().call_later(RETRY_PAUSE, self._again, lane, rows, waiters)

    def _look_at_refused(self) -> None:
        """Say how many ends came too late: the tasks are another node's by now, or were cancelled meanwhile."""
        refused = self.refused
        if refused > self._refused:
            logger.warning("%d late results were refused, %d so far", refused - self._refused, refused)
            self._refused = refused

    def _again(self, lane: Lane[Any], rows: list[Row], waiters: list[Any]) -> None:
        for row, waiter in zip(rows, waiters, strict=True):
            lane.append(row, waiter)
