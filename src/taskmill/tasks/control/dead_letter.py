"""The dead letter: a task that has failed for good is published to another queue, as its own declares.

Which ones are still to be published stands in a table, written in the very commit that stores the failure. A row
goes when a consumer has acknowledged its message, or an engine has confirmed that it keeps it, so each is delivered
at least once, whatever dies in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    Column,
    Delete,
    Insert,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    bindparam,
    delete,
    false,
    insert,
    or_,
    select,
)

from taskmill.queue import Message, Queue, QueueError, QueueFull
from taskmill.queue.drivers.base import Channel, Window
from taskmill.queue.errors import QueueUnavailable
from taskmill.sql import (
    MYSQL_TABLE,
    Database,
    DatabaseError,
    DatabaseUnavailable,
    Lane,
    Migration,
    Transaction,
)
from taskmill.supervisor import Context
from taskmill.tasks.ids import to_text
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.model import ShownError, timestamp
from taskmill.tasks.rows.schema import task
from taskmill.tasks.rows.statements import code
from taskmill.tasks.sealing.column import ERROR
from taskmill.tasks.sealing.database import encrypts

logger = logging.getLogger(__name__)

AT_ONCE = 100  # rows in one read
PAUSE = 0.5  # seconds after what did not work

Row = tuple[Any, ...]

letter = Table(
    "dead_letter",
    MetaData(),
    Column("number", Integer, primary_key=True),  # in the order of their failures, and never used twice
    Column("task_id", LargeBinary(16), nullable=False),
    Column("queue", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("error", ERROR, nullable=False),  # JSON
    Column("failed_at", Integer, nullable=False),  # milliseconds since 1970
)

COMPONENT = "dead_letter"

MIGRATIONS = (
    Migration(
        1,
        "dead letters",
        {
            "sqlite": """
            CREATE TABLE dead_letter (
                number INTEGER PRIMARY KEY AUTOINCREMENT,
                task_id BLOB NOT NULL,
                queue TEXT NOT NULL,
                attempt INTEGER NOT NULL,
                error TEXT NOT NULL,
                failed_at INTEGER NOT NULL
            )
            """,
            "postgresql": """
                CREATE TABLE dead_letter (
                    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
                    task_id bytea NOT NULL,
                    queue text COLLATE "C" NOT NULL,
                    attempt integer NOT NULL,
                    error text NOT NULL,
                    failed_at bigint NOT NULL
                )
            """,
            "mysql": f"""
                CREATE TABLE IF NOT EXISTS dead_letter (
                    number BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
                    task_id VARBINARY(16) NOT NULL,
                    queue VARCHAR(200) NOT NULL,
                    attempt INT NOT NULL,
                    error LONGTEXT NOT NULL,
                    failed_at BIGINT NOT NULL
                ) {MYSQL_TABLE}
            """,
        },
    ),
)

_error = msgspec.json.Decoder(ShownError)


def _note(queues: list[str]) -> Insert:
    """Note a task that has failed, if its queue wants that. Parameters: id, and when it failed."""
    columns = (task.c.id, task.c.queue, task.c.attempt, task.c.error, task.c.finished_at)
    failed = select(*columns).where(
        task.c.id == bindparam("id_"),
        task.c.status == code(Status.FAILED),
        task.c.finished_at == bindparam("finished_at_"),
        or_(false(), *(task.c.queue == queue for queue in queues)),
    )
    return insert(letter).from_select(["task_id", "queue", "attempt", "error", "failed_at"], failed)


def _after(queues: list[str]) -> Select[Any]:
    """Find what is to be published after a number. Parameters: number, limit."""
    return (
        select(letter, task.c.action, task.c.data)
        .select_from(letter.outerjoin(task, task.c.id == letter.c.task_id))
        .where(
            letter.c.number > bindparam("number_"),
            or_(false(), *(letter.c.queue == queue for queue in queues)),
        )
        .order_by(letter.c.number)
        .limit(bindparam("limit_"))
    )


# Parameter: number.
_DONE: Delete = delete(letter).where(letter.c.number == bindparam("number_"))


def _refuse_carried(targets: Mapping[str, Channel]) -> None:
    """Raise DatabaseError where an engine would keep what is encrypted in the database."""
    for queue, target in targets.items():
        if not isinstance(target, Window):
            raise DatabaseError(
                f"the engine of the `dead_letter` of queue {queue} would keep what `encrypt` hides: give that queue a "
                "`queue.driver.memory`, from which no letter is lost, since its row stays until it is acknowledged"
            )


class DeadLetter(Message):
    """A failed task's data, with headers that say why it failed. ``done`` is called once it is acknowledged."""

    __slots__ = ("_done",)

    def __init__(self, id: str, body: str, headers: Mapping[str, str], done: Callable[[], None]) -> None:  # noqa: A002
        super().__init__(id, body, headers)
        self._done = done

    def ack(self) -> None:
        """Say that the message is done with: it is never published again."""
        super().ack()
        self._done()


class DeadLetters:
    """Publishes failed tasks. ``targets`` are the channels to publish to, by the names of the tasks' queues."""

    def __init__(self, database: Database, targets: Mapping[str, Channel]) -> None:
        self._database = database
        self._targets = targets
        self._note = _note(sorted(targets))
        self._after = _after(sorted(targets))
        self._noted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # A batch of the writer runs this lane after those of the store, which it must be made after, too.
        self._noting: Lane[None] = database.writer.lane(database.compile(self._note), self._note_stored)
        self._ending: Lane[None] = database.writer.lane(database.compile(_DONE), self._end_stored)

    @classmethod
    def of(cls, database: Database, queues: Sequence[Queue], context: Context) -> DeadLetters | None:
        """Make them for those of the queues that declare a dead letter; None where none does."""
        targets = {
            queue.name: context.get(queue.dead_letter, Queue).channel
            for queue in queues
            if queue.dead_letter is not None
        }
        if encrypts(database):
            _refuse_carried(targets)
        return cls(database, targets) if targets else None

    def start(self) -> None:
        """Publish what was noted and not acknowledged, now and from here on."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Publish no more; what has not been acknowledged is published again by the next run."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def failed(self, key: bytes, finished_at: int) -> None:
        """Note a task whose failure, at this time, is stored with the next commit."""
        self._noting.append((key, finished_at, *sorted(self._targets)), None)

    def expired(self, transaction: Transaction, key: bytes, finished_at: int) -> None:
        """Note a task that has failed in this transaction."""
        transaction.change(self._note, id_=key, finished_at_=finished_at)

    def committed(self) -> None:
        """Publish what was noted in a transaction."""
        self._noted.set()

    async def _run(self) -> None:
        number = 0
        while True:
            self._noted.clear()
            try:
                rows = await self._rows(number)
                for row in rows:
                    await self._publish(row)
                    number = row[0]
            except (QueueFull, QueueUnavailable):  # it refuses rather than waits, or its engine is away
                await asyncio.sleep(PAUSE)
            except QueueError:  # the queue has stopped, and so will this
                return
            except Exception as error:
                logger.warning("dead letters cannot be published, trying again: %s", error)
                await asyncio.sleep(PAUSE)
            else:
                if not rows:
                    await self._noted.wait()

    async def _rows(self, number: int) -> list[Row]:
        sql, values = self._database.bind(self._after, {"number_": number, "limit_": AT_ONCE})
        return await self._database.read(lambda connection: connection.execute(sql, values).fetchall())

    async def _publish(self, row: Row) -> None:
        number, task_id, queue, attempt, text, failed_at, action, data = row
        if action is None:  # the task was pruned before anybody took its letter
            self._end(number)
            return
        error = _error.decode(text)
        headers = {
            "task-id": to_text(task_id),
            "action": action,
            "queue": queue,
            "attempt": str(attempt),
            "error-type": error.type,
            "error-message": error.message,
            "failed-at": timestamp(failed_at),
        }
        message = DeadLetter(f"{to_text(task_id)}-{attempt}", data, headers, lambda: self._end(number))
        target = self._targets[queue]
        await target.publish([message])
        if not isinstance(target, Window):  # an engine keeps it from here on
            self._end(number)

    def _end(self, number: int) -> None:
        self._ending.append((number,), None)

    def _note_stored(self, rows: list[Row], _: list[None], error: Exception | None) -> None:
        if error is None:
            self._noted.set()
        else:
            self._later(self._noting, rows, error)

    def _end_stored(self, rows: list[Row], _: list[None], error: Exception | None) -> None:
        if error is not None:
            self._later(self._ending, rows, error)

    def _later(self, lane: Lane[None], rows: list[Row], error: Exception) -> None:
        if not isinstance(error, DatabaseUnavailable):
            return
        loop = asyncio.get_running_loop()
        for row in rows:
            loop.call_later(PAUSE, lane.append, row, None)
