"""The store: tasks as rows. Writes go through the group-commit writer, reads through read connections."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

from sqlalchemy import Select

from taskmill.sql import DatabaseUnavailable, SqliteDatabase
from taskmill.tasks import statements
from taskmill.tasks.model import Status, Task, from_row

logger = logging.getLogger(__name__)
S = TypeVar("S")
F = TypeVar("F")

Row = tuple[Any, ...]
Dispatchable = tuple[bytes, str, str, int]  # id, action, data, attempt

RETRY_PAUSE = 0.5  # seconds before a result that could not be stored is tried again


class Store(Generic[S, F]):
    """Reads and writes tasks.

    ``S`` waits for a submitted task's commit and ``F`` for a finished one's; ``added`` and ``finished`` get
    them back once a batch, on the loop. A submission that cannot be stored comes back with the error; a
    result that cannot, such as on a full disk, is kept and stored later.
    """

    def __init__(
        self,
        database: SqliteDatabase,
        added: Callable[[list[Row], list[S], Exception | None], None],
        finished: Callable[[list[F]], None],
    ) -> None:
        self.database = database
        self._finished = finished
        writer = database.writer
        self._add = writer.lane(database.compile(statements.ADD), added)
        self._start = writer.lane(database.compile(statements.START), self._start_stored)
        self._release = writer.lane(database.compile(statements.RELEASE), self._release_stored)
        self._finish = writer.lane(database.compile(statements.FINISH), self._finish_stored)

    def overloaded(self) -> bool:
        """Whether a new submission should be refused rather than wait for its commit."""
        return self.database.writer.full()

    def add(
        self, id_: bytes, action: str, queue: str, data: str, max_attempts: int, now: int, waiter: S
    ) -> None:
        """Store a submitted task with the next commit."""
        self._add.append((id_, action, queue, data, max_attempts, now), waiter)

    def start(self, id_: bytes, attempt: int, now: int) -> asyncio.Future[None]:
        """Note that an attempt has begun; the future is done once that is durable, or cannot be."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._start.append((attempt, now, id_, attempt), stored)
        return stored

    def release(self, id_: bytes) -> None:
        """Take an attempt back: a shutdown broke it off."""
        self._release.append((id_,), None)

    def finish(
        self,
        id_: bytes,
        status: Status,
        attempt: int,
        times: tuple[int, int],
        result: str | None,
        error: str | None,
        waiter: F,
    ) -> None:
        """Store a task's end with the next commit. ``times`` are its start and end."""
        self._finish.append((status.value, attempt, *times, result, error, id_), waiter)

    async def get(self, id_: bytes) -> Task | None:
        """Return a task, or None."""
        rows = await self._read(statements.ONE, {"id_": id_})
        return from_row(rows[0]) if rows else None

    async def page(
        self, status: Status | None, action: str | None, cursor: bytes | None, limit: int
    ) -> list[Task]:
        """Return up to ``limit`` tasks older than ``cursor``, newest first."""
        statement = _page(status is not None, action is not None, cursor is not None)
        values = {"status_": status, "action_": action, "cursor_": cursor, "limit_": limit}
        return [from_row(row) for row in await self._read(statement, values)]

    async def dispatchable(self, status: Status, after: bytes, limit: int) -> list[Dispatchable]:
        """Return tasks of a status, oldest first, after an id."""
        values = {"status_": status, "id_": after, "limit_": limit}
        return await self._read(statements.DISPATCHABLE, values)

    async def newest_id(self) -> bytes:
        """Return the greatest id there is, or an empty one."""
        ((newest,),) = await self._read(statements.NEWEST_ID, {})
        return newest or b""

    async def _read(self, statement: Select[Any], values: dict[str, Any]) -> list[Any]:
        sql, arguments = self.database.bind(statement, values)
        return await self.database.read(lambda connection: connection.execute(sql, arguments).fetchall())

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

    def _finish_stored(self, rows: list[Row], waiters: list[F], error: Exception | None) -> None:
        if error is None:
            self._finished(waiters)
        elif isinstance(error, DatabaseUnavailable):
            logger.warning("%d results wait to be stored: %s", len(rows), error)
            asyncio.get_running_loop().call_later(RETRY_PAUSE, self._finish_again, rows, waiters)

    def _finish_again(self, rows: list[Row], waiters: list[F]) -> None:
        for row, waiter in zip(rows, waiters, strict=True):
            self._finish.append(row, waiter)


@cache
def _page(status: bool, action: bool, cursor: bool) -> Select[Any]:
    return statements.page(status=status, action=action, cursor=cursor)
