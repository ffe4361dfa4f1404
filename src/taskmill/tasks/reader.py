"""What is read of the tasks, on read connections that never block the writer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import CompoundSelect, Select

from taskmill.sql import SqliteDatabase
from taskmill.tasks import statements
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.limits import Position
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.model import Task, TaskDetails, details, from_row
from taskmill.tasks.schema import task

Statement = Select[Any] | CompoundSelect[Any]

PAGE_BYTES = 8 * 2**20  # characters of data and results in a page, or one task's
RUNNING_AT_ONCE = 1_000  # rows
_DATA, _RESULT = (list(task.columns.keys()).index(name) for name in ("data", "result"))


class Reader:
    """Reads tasks."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database

    async def get(self, id_: bytes) -> TaskDetails | None:
        """Return a task with its attempts, or None."""
        one = self.database.bind(statements.ONE, {"id_": id_})
        attempts = self.database.bind(statements.ATTEMPTS, {"id_": id_})

        def call(connection: Any) -> TaskDetails | None:
            row = connection.execute(*one).fetchone()
            return details(row, connection.execute(*attempts).fetchall()) if row else None

        return await self.database.read(call)

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

    async def plain(
        self, queue: str, after: bytes, limit: int, max_bytes: int
    ) -> tuple[list[Dispatchable], bool]:
        """Return queued plain tasks after an id, oldest first, and whether those are all there are.

        They are ``limit`` at most, and end with the one whose data makes ``max_bytes`` or more of all.
        """
        values = {"queue_": queue, "id_": after, "limit_": limit}
        rows, cut = await self._read_up_to(max_bytes, statements.PLAIN, values, (2,))
        return rows, not cut and len(rows) < limit

    async def ranked(
        self, queue: str, after: Position, limit: int, max_bytes: int
    ) -> tuple[list[Dispatchable], bool]:
        """Return the other queued tasks after a place, first in line first, as :meth:`plain` does."""
        values = {"queue_": queue, "rank_": after[0], "id_": after[1], "limit_": limit}
        rows, cut = await self._read_up_to(max_bytes, statements.RANKED, values, (2,))
        return rows, not cut and len(rows) < limit

    async def limited(self, limit_key: str, after: Position, limit: int) -> list[Dispatchable]:
        """Return queued tasks under a limit after a place, first in line first."""
        values = {"limit_key_": limit_key, "rank_": after[0], "id_": after[1], "limit_": limit}
        return await self._read(statements.LIMITED, values)

    async def starts(self, limit_key: str, since: int, limit: int) -> list[int]:
        """Return when the last tasks under a limit started, since a time."""
        values = {"limit_key_": limit_key, "since_": since, "limit_": limit}
        return [at for (at,) in await self._read(statements.STARTS, values)]

    async def running(self) -> list[Dispatchable]:
        """Return all that is running by its row, the oldest first."""
        found: list[Dispatchable] = []
        while True:
            after = found[-1][0] if found else b""
            rows = await self._read(statements.RUNNING, {"id_": after, "limit_": RUNNING_AT_ONCE})
            found += rows
            if len(rows) < RUNNING_AT_ONCE:
                return found

    async def expired(self, now: int, limit: int) -> list[bytes]:
        """Return waiting tasks whose time has run out."""
        return [key for (key,) in await self._read(statements.EXPIRED, {"now_": now, "limit_": limit})]

    async def next_alarm(self) -> int | None:
        """Return when the next scheduled task is due, or the next waiting one expires."""
        times = [
            (await self._read(statement, {}))[0][0]
            for statement in (statements.NEXT_DUE, statements.NEXT_EXPIRY)
        ]
        return min((at for at in times if at is not None), default=None)

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
