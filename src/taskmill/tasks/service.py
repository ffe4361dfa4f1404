"""``task.service``: the task queue itself, between a database, a queue and a process host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from msgspec import Meta, field

from taskmill.http import JSON, BadRequest, Exchange
from taskmill.process.host import ProcessHost
from taskmill.process.source_check import check_source
from taskmill.queue import Queue
from taskmill.registry import Entry, EntryConfig, Mistake, reference
from taskmill.sql import DatabaseError, Overloaded, SqliteDatabase
from taskmill.supervisor import Context
from taskmill.tasks.catalog import Catalog
from taskmill.tasks.dispatcher import Dispatcher
from taskmill.tasks.ids import IdSource
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.store import Store
from taskmill.tasks.submission import read_submission
from taskmill.tasks.worker import Worker

RETRY_AFTER = b"retry-after: 1\r\n"

Waiting = tuple[Exchange, TaskMessage]  # a submitted task until its commit, with who asked


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

    store: Store[Waiting]
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
        self.worker = Worker(self.store, pool)
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
        if media_type is not None and media_type != JSON and not _is_json(media_type):
            exchange.refuse(415, "Send the task as JSON, with `Content-Type: application/json`.")
            return
        if self.store.overloaded():
            detail = "More tasks wait for the disk than may; try again in a second."
            exchange.refuse(503, detail, headers=RETRY_AFTER)
            return
        try:
            submission, registered, decoded = read_submission(exchange.body, self.catalog)
        except BadRequest as error:
            exchange.refuse(error.status, error.detail, error.errors)
            return
        data = str(submission.data, "utf-8")
        message = TaskMessage(self._ids.next(), submission.action, registered, data, decoded)
        self.store.add(message, self._queue_name, (exchange, message))

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

    def _added(self, _: list[Any], waiting: list[Waiting], error: Exception | None) -> None:
        if error is not None:
            for exchange, _message in waiting:
                exchange.refuse(503, f"The task was not stored: {error}.", headers=RETRY_AFTER)
            return
        for exchange, message in waiting:
            id_ = message.id().encode()
            exchange.reply(
                202, b'{"id":"%b","status":"queued"}' % id_, headers=b"location: /tasks/%b\r\n" % id_
            )
        if self._dispatcher is not None:
            self._dispatcher.committed([message for _exchange, message in waiting])

    def _finished(self, messages: list[TaskMessage]) -> None:
        for message in messages:
            message.ack()
        if self._dispatcher is not None:
            self._dispatcher.fill()


def _is_json(media_type: bytes) -> bool:
    name = media_type.partition(b";")[0].strip().lower()
    return name == JSON or (name.startswith(b"application/") and name.endswith(b"+json"))
