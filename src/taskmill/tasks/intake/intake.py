"""The intake: from the body of ``POST /tasks`` to a stored task and an answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from taskmill.http import JSON, BadRequest, Exchange, FieldError
from taskmill.sql import Database, DatabaseError, Overloaded, Transaction
from taskmill.tasks.actions.catalog import Catalog, Registered
from taskmill.tasks.dispatch.alarm import Alarm
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.follow.followers import Followers
from taskmill.tasks.ids import IdSource, to_text
from taskmill.tasks.intake import once
from taskmill.tasks.intake.adding import Adding
from taskmill.tasks.intake.admission import Admission
from taskmill.tasks.intake.answers import RETRY_AFTER, accept, idempotency_text, not_stored
from taskmill.tasks.intake.backlog import Backlog
from taskmill.tasks.intake.placing import NewTask, Placing, followed
from taskmill.tasks.intake.submission import Submission, full, is_json, read_submission
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows.store import Store
from taskmill.tasks.waiting.submitting import patient
from taskmill.tasks.waiting.waiters import Waiters

if TYPE_CHECKING:
    from taskmill.tasks.tracing.tracing import Tracing

S = TypeVar("S", once.Submitted, once.Submitted | None)

Waiting = tuple[Exchange, TaskMessage]  # a plain task until its commit, with who asked
WaitingFull = tuple[Exchange, NewTask]


class Intake:
    """Accepts tasks: stores them, answers, and hands them to the dispatcher of their queue."""

    waiters: Waiters
    followers: Followers

    def __init__(
        self,
        catalog: Catalog,
        ids: IdSource,
        placing: Placing,
        dispatchers: Mapping[str, Dispatcher],
        queue: str,
        backlog: Backlog,
    ) -> None:
        self._catalog = catalog
        self._ids = ids
        self._placing = placing
        self._dispatchers = dispatchers
        self._queue = queue
        self._own = dispatchers[queue]
        self._backlog = backlog
        self.tracing: Tracing | None = None
        self._looking: set[asyncio.Task[None]] = set()
        self.submitted: Counter[str] = Counter()  # tasks that this node has stored, by queue
        self._bundles: list[bytes] = []  # the first ids of those under way

    def connect(self, store: Store[Waiting, WaitingFull], alarm: Alarm, admission: Admission) -> None:
        """Take the store, which calls back, the alarm, and what judges tasks that must start soon."""
        self._store = store
        self.adding = Adding(store.database, traced=store.traced)
        self._alarm = alarm
        self._admission = admission

    @property
    def full(self) -> bool:
        """Whether as many tasks wait or run as may."""
        return self._backlog.full

    def submit(self, exchange: Exchange) -> None:
        """Answer ``POST /tasks``: 202 once the task's row is flushed to disk, and not before."""
        media_type, key, prefer = JSON, None, None
        for name, value in exchange.headers:
            if name == b"content-type":
                media_type = value
            elif name == b"idempotency-key":
                key = value
            elif name == b"prefer":
                prefer = value if prefer is None else prefer + b"," + value
        if media_type != JSON and not is_json(media_type):
            exchange.refuse(415, "Send the task as JSON, with `Content-Type: application/json`.")
            return
        if self._backlog.full or self._store.overloaded():
            self._refuse(exchange)
            return
        exchange = exchange if prefer is None else patient(exchange, prefer, self.waiters)
        try:
            submission, registered, decoded = read_submission(exchange.body, self._catalog)
            if key is None and registered.plain and not isinstance(submission, Submission):
                data = str(submission.data, "utf-8")
                message = TaskMessage(self._ids.next(), submission.action, registered, data, decoded)
                if self.tracing is not None:
                    exchange = self.tracing.sending(exchange, message)
                self._store.add(message, self._queue, self._ids.now, (exchange, message))
                return
            submission = full(submission)
            text = submission.idempotency_key if key is None else idempotency_text(key.decode("latin-1"))
            idempotency = None if text is None else once.idempotency_key(text, exchange.body)
            self._submit_full(exchange, submission, registered, decoded, idempotency)
        except BadRequest as error:
            exchange.refuse(error.status, error.detail, error.errors)

    def added(self, _: list[Any], waiting: list[Waiting], error: Exception | None) -> None:
        """Answer, and dispatch, plain tasks that have been stored, or not."""
        if error is not None:
            for exchange, _message in waiting:
                not_stored(exchange, error)
            return
        for exchange, message in waiting:
            id_ = message.id().encode()
            exchange.reply(
                202, b'{"id":"%b","status":"queued"}' % id_, headers=b"location: /tasks/%b\r\n" % id_
            )
        self._count(self._queue, len(waiting))
        newest = waiting[-1][1].key
        if self._bundles and self._bundles[0] < newest:  # stored with these, and reported after them
            self._own.left(newest)
        else:
            self._own.committed([message for _exchange, message in waiting])

    def added_full(self, _: list[Any], waiting: list[WaitingFull], error: Exception | None) -> None:
        """Answer, and dispatch or schedule, other tasks that have been stored, or not."""
        if error is not None:
            for exchange, _new in waiting:
                not_stored(exchange, error)
            return
        for exchange, new in waiting:
            accept(exchange, once.Submitted(new.message.key, new.status))
        self.stored([new for _exchange, new in waiting])

    def stored(self, tasks: list[NewTask]) -> None:
        """Dispatch or schedule tasks whose rows are stored, and those of their callbacks."""
        tasks = [*tasks, *(new.callback for new in tasks if new.callback is not None)]
        if self._store.feed.on:
            self._store.feed.tell([new.message.key for new in tasks])
        queued: dict[str, list[TaskMessage]] = {}
        following: list[NewTask] = []
        for new in tasks:
            self._count(new.place.queue, 1)
            if new.run_at is not None:
                self._alarm.set(new.run_at)
            elif new.follows:
                following.append(new)
            else:
                queued.setdefault(new.place.queue, []).append(new.message)
            if new.place.expires_at is not None:
                self._alarm.set(new.place.expires_at)
        for queue, messages in queued.items():
            self._dispatchers[queue].committed_ranked(messages)
        if following:
            self.followers.added(following)

    @contextmanager
    def bundle(self, first: bytes) -> Iterator[Callable[[bytes, int], None]]:
        """Store plain tasks otherwise: enter this in the same turn of the loop as their writing is begun.

        ``first`` is the least of their ids. What this yields is called with the greatest, and how many they are,
        once they are committed. They stay rows, to be read in their turn.
        """
        self._bundles.append(first)

        def stored(newest: bytes, count: int) -> None:
            self._bundles.remove(first)
            self._count(self._queue, count)
            self._own.left(newest)

        try:
            yield stored
        except BaseException:
            if first in self._bundles:
                self._bundles.remove(first)
            raise

    def _count(self, queue: str, tasks: int) -> None:
        self.submitted[queue] += tasks
        self._backlog.changed(tasks)

    async def stop(self) -> None:
        """Wait for the submissions that look before they are stored."""
        if self._looking:
            await asyncio.wait(self._looking)

    @property
    def database(self) -> Database:
        """Where tasks are stored."""
        return self._store.database

    def new_id(self) -> bytes:
        """Return an id as a task would have it now."""
        return self._ids.next()

    def check(self, body: bytes) -> None:
        """Raise BadRequest where a body of ``POST /tasks`` asks for what cannot be a task."""
        submission, registered, _ = read_submission(body, self._catalog)
        if isinstance(submission, Submission):
            self._placing.check(submission, registered)
            followed(submission.after)

    def prepare(self, body: bytes, id_: bytes | None = None) -> NewTask:
        """Return the task that a body of ``POST /tasks`` asks for; raise BadRequest where it cannot be one."""
        submission, registered, decoded = read_submission(body, self._catalog)
        submission = full(submission)
        new = self._ids.next()
        return self._placing.place(id_ or new, submission, registered, decoded, self._ids.now)

    async def submit_once(self, new: NewTask, idempotency: once.IdempotencyKey | None) -> once.Submitted:
        """Store a task unless it is there already, and dispatch it; see :func:`taskmill.tasks.intake.once.submit`."""
        (submitted,) = await self.submit_together(
            [new], lambda transaction: [once.submit(transaction, new, idempotency=idempotency)]
        )
        return submitted

    async def submit_together(
        self, tasks: Sequence[NewTask], call: Callable[[Transaction], list[S]]
    ) -> list[S]:
        """Store tasks in one transaction, and dispatch those that are new.

        ``call`` stores them, and returns what each came to: None for one that was left out.
        """
        return await self._store.database.write(call, lambda answers: self.came_to(tasks, answers))

    def came_to(self, tasks: Sequence[NewTask], answers: Sequence[once.Submitted | None]) -> None:
        """Dispatch or schedule those of some tasks that are new, once they are stored."""
        stored = []
        for new, submitted in zip(tasks, answers, strict=True):
            if submitted is None:
                continue
            if submitted.rank is not None:
                new.place = new.message.place = replace(new.place, rank=submitted.rank)
                stored.append(new)
            elif submitted.duplicate and new.run_at is not None:
                self._alarm.set(new.run_at)  # the first may have been put off, or on
        self.stored(stored)

    def _submit_full(
        self,
        exchange: Exchange,
        submission: Submission,
        registered: Registered,
        decoded: Any,
        idempotency: once.IdempotencyKey | None,
    ) -> None:
        new = self._placing.place(self._ids.next(), submission, registered, decoded, self._ids.now)
        if self.tracing is not None:
            exchange = self.tracing.sending_new(exchange, new)
        if idempotency is None and not new.looks and submission.start_by is None:
            self._store.add_full(new.row(), (exchange, new))
            return
        answer = self._answer_once(exchange, new, idempotency, submission.start_by)
        task = asyncio.get_running_loop().create_task(answer)
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    def _refuse(self, exchange: Exchange) -> None:
        """Say that there is no room, and when there may be."""
        if not self._backlog.full:
            detail = "More tasks wait for the disk than may; try again in a second."
            exchange.refuse(503, detail, headers=RETRY_AFTER)
            return
        wait = self._backlog.retry_after(self._own.pace.rate(monotonic(), self._own.waiting))
        detail = f"{self._backlog.tasks:,} tasks wait or run, and no more may; try again in {wait} s."
        exchange.refuse(503, detail, headers=b"retry-after: %d\r\n" % wait)

    async def _answer_once(
        self,
        exchange: Exchange,
        new: NewTask,
        idempotency: once.IdempotencyKey | None,
        start_by: float | None,
    ) -> None:
        try:
            if start_by is not None:
                late = await self._admission.judge(new, start_by, idempotency)
                if late is not None:
                    headers = b"retry-after: %d\r\n" % late.retry_after
                    exchange.refuse(503, late.detail, headers=headers)
                    return
            submitted = await self.submit_once(new, idempotency)
        except BadRequest as error:
            exchange.refuse(error.status, error.detail, error.errors)
        except once.KeyReused:
            detail = "This `Idempotency-Key` came with another body before: use a new key for a new task."
            exchange.refuse(422, detail)
        except once.NotUnique as error:
            detail = f"Task {to_text(error.id)} has this key already, and its action takes no second."
            exchange.refuse(409, detail, [FieldError("key", "taken")])
        except (DatabaseError, Overloaded) as error:
            not_stored(exchange, error)
        else:
            accept(exchange, submitted)
