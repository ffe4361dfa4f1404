"""The store: tasks as rows. Writes go through the group-commit writer, reads through read connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import cache
from time import time
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import CompoundSelect, Select

from taskmill.sql import DatabaseUnavailable, SqliteDatabase
from taskmill.tasks import statements
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.model import Status, Task, TaskError, from_row, timestamp

logger = logging.getLogger(__name__)
S = TypeVar("S")

Row = tuple[Any, ...]
Statement = Select[Any] | CompoundSelect[Any]
Dispatchable = tuple[bytes, str, str, int]  # id, action, data, attempt

_COMPLETED = Status.COMPLETED.value
_FAILED = Status.FAILED.value

PAGE_BYTES = 8 * 2**20  # characters of data and results in a page, or one task's
_DATA, _RESULT = (list(statements.task.columns.keys()).index(name) for name in ("data", "result"))
ADDING_LIMIT = 2**26  # bytes of data that may wait for a commit
RETRY_PAUSE = 0.5  # seconds before a result that could not be stored is tried again


class Store(Generic[S]):
    """Reads and writes tasks.

    ``S`` waits for a submitted task's commit: ``added`` gets it back, once a batch, with the error if the
    task could not be stored. ``finished`` gets the messages of tasks whose end is stored; where that is not
    possible now, such as on a full disk, the end is kept and stored later.
    """

    def __init__(
        self,
        database: SqliteDatabase,
        added: Callable[[list[Row], list[S], Exception | None], None],
        finished: Callable[[list[TaskMessage]], None],
    ) -> None:
        self.database = database
        self._finished = finished
        writer = database.writer
        self._added = added
        self._adding = 0  # bytes of data that wait for a commit
        self._add = writer.lane(database.compile(statements.ADD), self._add_stored)
        self._start = writer.lane(database.compile(statements.START), self._start_stored)
        self._release = writer.lane(database.compile(statements.RELEASE), self._release_stored)
        self._finish = writer.lane(database.compile(statements.FINISH), self._finish_stored)

    def overloaded(self) -> bool:
        """Whether a new submission should be refused rather than wait for its commit."""
        return self._add.full() or self._adding > ADDING_LIMIT

    def add(self, message: TaskMessage, queue: str, waiter: S) -> None:
        """Store a submitted task with the next commit."""
        now = int(time() * 1000)
        self._adding += len(message.body)
        attempts = message.registered.action.max_attempts
        self._add.append((message.key, message.name, queue, message.body, attempts, now), waiter)

    def start(self, message: TaskMessage) -> asyncio.Future[None]:
        """Note that an attempt has begun; the future is done once that is durable, or cannot be."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._start.append((message.attempt, message.started_at, message.key, message.attempt), stored)
        return stored

    def release(self, message: TaskMessage) -> None:
        """Take an attempt back: a shutdown broke it off."""
        self._release.append((message.key,), None)

    def complete(self, message: TaskMessage, result: bytes) -> None:
        """Store a task's JSON result with the next commit."""
        now = int(time() * 1000)
        row = (_COMPLETED, message.attempt, message.started_at, now, result.decode(), None, message.key)
        self._finish.append(row, message)

    def fail(self, message: TaskMessage, attempt: int, error: TaskError) -> None:
        """Store a task's failure, in its ``attempt``, with the next commit."""
        now = int(time() * 1000)
        error.at = timestamp(now)
        text = msgspec.json.encode(error).decode()
        self._finish.append((_FAILED, attempt, message.started_at, now, None, text, message.key), message)

    async def get(self, id_: bytes) -> Task | None:
        """Return a task, or None."""
        rows = await self._read(statements.ONE, {"id_": id_})
        return from_row(rows[0]) if rows else None

    async def page(
        self, status: Status | None, action: str | None, cursor: bytes | None, limit: int
    ) -> tuple[list[Task], bool]:
        """Return tasks older than ``cursor``, newest first, and whether there may be more.

        They are ``limit`` at most, and fewer where their data and results are long.
        """
        statement = _page(status is not None, action is not None, cursor is not None)
        values = {"status_": status, "action_": action, "cursor_": cursor, "limit_": limit}
        rows, cut = await self._read_up_to(PAGE_BYTES, statement, values, (_DATA, _RESULT))
        return [from_row(row) for row in rows], cut or len(rows) == limit

    async def dispatchable(
        self, status: Status, after: bytes, limit: int, max_bytes: int
    ) -> tuple[list[Dispatchable], bool]:
        """Return tasks of a status, oldest first, after an id, and whether those are all there are.

        They are ``limit`` at most, and end with the one whose data makes ``max_bytes`` or more of all.
        """
        values = {"status_": status, "id_": after, "limit_": limit}
        rows, cut = await self._read_up_to(max_bytes, statements.DISPATCHABLE, values, (2,))
        return rows, not cut and len(rows) < limit

    async def nth_queued(self, count: int) -> bytes:
        """Return the id of the last of the ``count`` oldest queued tasks, or an empty one."""
        ((last,),) = await self._read(statements.NTH_QUEUED, {"limit_": count})
        return last or b""

    async def newest_id(self) -> bytes:
        """Return the greatest id there is, or an empty one."""
        ((newest,),) = await self._read(statements.NEWEST_ID, {})
        return newest or b""

    async def _read(self, statement: Statement, values: dict[str, Any]) -> list[Any]:
        sql, arguments = self.database.bind(statement, values)
        return await self.database.read(lambda connection: connection.execute(sql, arguments).fetchall())

    async def _read_up_to(
        self, max_bytes: int, statement: Statement, values: dict[str, Any], columns: Sequence[int]
    ) -> tuple[list[Any], bool]:
        sql, arguments = self.database.bind(statement, values)
        return await self.database.read(
            lambda connection: _fetch(connection, sql, arguments, columns, max_bytes)
        )

    def _add_stored(self, rows: list[Row], waiters: list[S], error: Exception | None) -> None:
        self._adding -= sum(len(row[3]) for row in rows)
        self._added(rows, waiters, error)

    def _start_stored(
        self, _: list[Row], waiters: list[asyncio.Future[None]], error: Exception | None
    ) -> None:
        for waiter in waiters:
            if waiter.done():
                continue
            if error is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(error)
                waiter.exception()  # not everybody who starts a task waits

    def _release_stored(self, _: list[Row], waiters: list[None], error: Exception | None) -> None:
        if error is not None:
            logger.warning("%d interrupted attempts count as attempts: %s", len(waiters), error)

    def _finish_stored(self, rows: list[Row], waiters: list[TaskMessage], error: Exception | None) -> None:
        if error is None:
            self._finished(waiters)
        elif isinstance(error, DatabaseUnavailable):
            logger.warning("%d results wait to be stored: %s", len(rows), error)
            asyncio.get_running_loop().call_later(RETRY_PAUSE, self._finish_again, rows, waiters)

    def _finish_again(self, rows: list[Row], waiters: list[TaskMessage]) -> None:
        for row, waiter in zip(rows, waiters, strict=True):
            self._finish.append(row, waiter)


def _fetch(
    connection: Any, sql: str, arguments: Sequence[Any], columns: Sequence[int], max_bytes: int
) -> tuple[list[Any], bool]:
    """Fetch rows up to the one whose texts in ``columns`` make ``max_bytes`` or more of all; tell if that cut them."""
    rows: list[Any] = []
    left = max_bytes
    cursor = connection.execute(sql, arguments)
    try:
        for row in cursor:
            rows.append(row)
            left -= sum(len(row[column] or "") for column in columns)
            if left <= 0:
                return rows, True
    finally:
        cursor.close()
    return rows, False


@cache
def _page(status: bool, action: bool, cursor: bool) -> Statement:
    return statements.page(status=status, action=action, cursor=cursor)
