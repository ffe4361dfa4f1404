"""``task.service``: the task queue itself, between a database, a queue and a process host."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from taskmill.http import BadRequest, Exchange
from taskmill.process.host import ProcessHost
from taskmill.process.source_check import check_source
from taskmill.queue import Message, Queue
from taskmill.registry import Entry, EntryConfig, Mistake, reference
from taskmill.sql import SqliteDatabase
from taskmill.supervisor import Context
from taskmill.tasks.catalog import Catalog
from taskmill.tasks.dispatcher import Dispatcher
from taskmill.tasks.ids import IdSource, to_text
from taskmill.tasks.store import Store
from taskmill.tasks.submission import read_submission
from taskmill.tasks.worker import Worker

JSON_MEDIA_TYPE = b"application/json"
RETRY_AFTER = ((b"retry-after", b"1"),)

# A submitted task until its commit: who asked, its id, and the message that it becomes.
Waiting = tuple[Exchange, bytes, Message]


class TaskServiceConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """The task queue: stores tasks in a database, dispatches them through a queue, runs their actions."""

    database: Annotated[str, reference("db.sql.*", description="Where tasks are stored.")]
    queue: Annotated[str, reference("queue.queue", description="What dispatches them.")]
    host: Annotated[str, reference("process.host", description="Where actions that are a plain `def` run.")]
    actions: Annotated[
        list[str], Meta(description="Sources of actions: `file://actions.py`, or a module `package.module`.")
    ] = field(default_factory=list)


class TaskService:
    """Accepts tasks, hands them to the queue once they are safe, and keeps their results."""

    kind: ClassVar[str] = "task.service"
    Config: ClassVar[type[EntryConfig]] = TaskServiceConfig

    store: Store[Waiting, Message]
    worker: Worker

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: TaskServiceConfig = entry.config
        self._context = context
        self._directory = entry.directory
        self._dispatcher: Dispatcher | None = None
        self.catalog = Catalog()

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find sources of actions that are missing."""
        for index, source in enumerate(entry.config.actions):
            for mistake in check_source(source, None, entry.directory):
                yield mistake._replace(field=f"actions[{index}]")

    async def start(self) -> None:
        """Load the actions, and dispatch what the last run left unfinished."""
        self.catalog.load(self._config.actions, self._directory)
        queue = self._context.get(self._config.queue, Queue)
        pool = self._context.get(self._config.host, ProcessHost).pool
        pool.preload(self.catalog.isolated())
        database = self._context.get(self._config.database, SqliteDatabase)
        self._queue_name = queue.name
        self.store = Store(database, self._added, self._finished)
        newest = await self.store.newest_id()
        self._ids = IdSource(newest)
        self.worker = Worker(self.store, self.catalog, pool)
        self._dispatcher = Dispatcher(self.store, queue, self.catalog)
        await self._dispatcher.start(newest, database.killed)

    async def stop(self) -> None:
        """Break off what still runs; its tasks run again at the next start."""
        if self._dispatcher is not None:
            await self._dispatcher.stop()
            await self.worker.stop()

    def submit(self, exchange: Exchange) -> None:
        """Answer ``POST /tasks``: 202 once the task's row is flushed to disk, and not before."""
        media_type = exchange.header(b"content-type")
        if media_type is not None and not _is_json(media_type):
            exchange.refuse(415, "Send the task as JSON, with `Content-Type: application/json`.")
            return
        if self.store.overloaded():
            exchange.refuse(
                503, "More tasks wait for the disk than may; try again in a second.", (), RETRY_AFTER
            )
            return
        try:
            submission, registered = read_submission(exchange.body, self.catalog)
        except BadRequest as error:
            exchange.refuse(error.status, error.detail, error.errors)
            return
        id_ = self._ids.next()
        action = registered.action
        headers = registered.headers if action.name == submission.action else {"action": submission.action}
        data = bytes(submission.data).decode()
        self.store.add(
            id_, submission.action, self._queue_name, data, action.max_attempts, int(time.time() * 1000),
            (exchange, id_, Message(to_text(id_), data, headers)),
        )  # fmt: skip

    def readiness(self) -> list[str]:
        """Return what keeps the service from accepting tasks: nothing if it is well."""
        error = self.store.database.writer.error
        return [] if error is None else [str(error)]

    def _added(self, _rows: list[Any], waiting: list[Waiting], error: Exception | None) -> None:
        if error is not None:
            for exchange, _, _ in waiting:
                exchange.refuse(503, f"The task was not stored: {error}.", (), RETRY_AFTER)
            return
        for exchange, _, message in waiting:
            id_ = message.id().encode()
            exchange.reply(
                202, b'{"id":"%b","status":"queued"}' % id_, headers=((b"location", b"/tasks/" + id_),)
            )
        if self._dispatcher is not None:
            self._dispatcher.committed([id_ for _, id_, _ in waiting], [message for _, _, message in waiting])

    def _finished(self, messages: list[Message]) -> None:
        for message in messages:
            message.ack()
        if self._dispatcher is not None:
            self._dispatcher.fill()


def _is_json(media_type: bytes) -> bool:
    name = media_type.partition(b";")[0].strip().lower()
    return name == JSON_MEDIA_TYPE or (name.startswith(b"application/") and name.endswith(b"+json"))
