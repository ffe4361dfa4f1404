"""What is read of the tasks, on read connections that never block the writer."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import CompoundSelect, Select

from taskmill.sql import Database
from taskmill.tasks.dispatch.edge import Position
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.model import TaskDetails, details
from taskmill.tasks.notes import statements as notes
from taskmill.tasks.redacting.redaction import Redaction
from taskmill.tasks.rows import history, sharing, statements
from taskmill.tasks.rows.changes import Changes

Statement = Select[Any] | CompoundSelect[Any]

RUNNING_AT_ONCE = 1_000  # rows


class Reader:
    """Reads tasks. ``changes`` is told of queued rows that are no longer: what is read of them is left out.

    ``redaction`` says what of a task is hidden, if anything is.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.changes = Changes()
        self.redaction: Redaction | None = None
        shared = database.shared
        self._ranked = sharing.RANKED_FREE if shared else statements.RANKED
        self._limited = sharing.LIMITED_FREE if shared else statements.LIMITED
        self._expired = sharing.EXPIRED_FREE if shared else statements.EXPIRED

    async def get(self, id_: bytes, *, secrets: bool = False) -> TaskDetails | None:
        """Return a task with its attempts and steps, or None; with ``secrets`` nothing of it is hidden."""
        one = self.database.bind(statements.ONE, {"id_": id_})
        behind = self.database.bind(history.HISTORY, {"id_": id_})
        progress = self.database.bind(notes.PROGRESS, {"id_": id_})

        def call(connection: Any) -> TaskDetails | None:
            row = connection.execute(*one).fetchone()
            if not row:
                return None
            found = connection.execute(*behind).fetchall()
            task = details(row, found, connection.execute(*progress).fetchone())
            if self.redaction is not None and not secrets:
                self.redaction.task(task)
            return task

        return await self.database.read(call)

    async def plain(
        self, queue: str, after: bytes, limit: int, max_bytes: int
    ) -> tuple[list[Dispatchable], bytes | None]:
        """Return queued plain tasks after an id, oldest first, and up to which id: None if those are all.

        They are ``limit`` at most, and end with the one whose data makes ``max_bytes`` or more of all.
        """
        values = {"queue_": queue, "id_": after, "limit_": limit}
        with self.changes.reading() as changed:
            rows, cut = await self._read_reported(max_bytes, statements.PLAIN, values)
            end = rows[-1][0] if cut or len(rows) == limit else None
            return [row for row in rows if row[2] is not None and not changed(row[0])], end

    async def ranked(
        self, queue: str, after: Position, limit: int, max_bytes: int
    ) -> tuple[list[Dispatchable], Position | None]:
        """Return the other queued tasks after a place, first in line first, as :meth:`plain` does."""
        values = {"queue_": queue, "rank_": after[0], "id_": after[1], "limit_": limit}
        return await self._in_line(self._ranked, values, limit, max_bytes)

    async def limited(
        self, limit_key: str, after: Position, limit: int, max_bytes: int
    ) -> tuple[list[Dispatchable], Position | None]:
        """Return queued tasks under a limit after a place, as :meth:`ranked` does."""
        values = {"limit_key_": limit_key, "rank_": after[0], "id_": after[1], "limit_": limit}
        return await self._in_line(self._limited, values, limit, max_bytes)

    async def _in_line(
        self, statement: Statement, values: dict[str, Any], limit: int, max_bytes: int
    ) -> tuple[list[Dispatchable], Position | None]:
        with self.changes.reading() as changed:
            rows, cut = await self._read_reported(max_bytes, statement, values)
            end = (rows[-1][6], rows[-1][0]) if cut or len(rows) == limit else None
            return [row for row in rows if not changed(row[0])], end

    async def _all(self, statement: Statement) -> list[Dispatchable]:
        found: list[Dispatchable] = []
        while True:
            after = found[-1][0] if found else b""
            rows = await self.read(statement, {"id_": after, "limit_": RUNNING_AT_ONCE})
            found += rows
            if len(rows) < RUNNING_AT_ONCE:
                return found

    async def _read_reported(
        self, max_bytes: int, statement: Statement, values: dict[str, Any]
    ) -> tuple[list[Any], bool]:
        """Read tasks, and return once every commit is reported that the rows may show: memory is never behind them."""
        found = await self.read_up_to(max_bytes, statement, values, (2,))
        await self.database.writer.reported()
        return found

    async def fresh(self, queue: str, after: bytes, rank: int, limit: int) -> list[Dispatchable]:
        """Return free queued tasks of a queue after an id, oldest first, whose rank is at most so much."""
        values = {"queue_": queue, "id_": after, "rank_": rank, "limit_": limit}
        with self.changes.reading() as changed:
            rows = await self.read(sharing.FRESH, values)
            await self.database.writer.reported()
            return [row for row in rows if not changed(row[0])]

    async def in_hand(self) -> list[Dispatchable]:
        """Return all that nodes have in hand, the oldest first."""
        return await self._all(sharing.IN_HAND)

    async def states(self, keys: Sequence[bytes]) -> list[tuple[bytes, int, bytes | None, int, int | None]]:
        """Return of each task that there is: id, status, node, attempt, and when that has started."""
        found: list[Any] = []
        for first in range(0, len(keys), sharing.MOST):
            count, values = sharing.keys(keys[first : first + sharing.MOST])
            found += await self.read(sharing.states(count), values)
        return found

    async def starts(self, limit_key: str, since: int, limit: int) -> list[int]:
        """Return when the last tasks under a limit started, since a time."""
        values = {"limit_key_": limit_key, "since_": since, "limit_": limit}
        return [at for (at,) in await self.read(statements.STARTS, values)]

    async def running(self) -> list[Dispatchable]:
        """Return all that is running by its row, the oldest first."""
        return await self._all(statements.RUNNING)

    async def expired(self, now: int, limit: int) -> list[bytes]:
        """Return waiting tasks whose time has run out."""
        return [key for (key,) in await self.read(self._expired, {"now_": now, "limit_": limit})]

    async def next_alarm(self) -> int | None:
        """Return when the next scheduled task is due, or the next waiting one expires."""
        times = [
            (await self.read(statement, {}))[0][0]
            for statement in (statements.NEXT_DUE, *statements.NEXT_EXPIRY)
        ]
        return min((at for at in times if at is not None), default=None)

    async def key_used(self, key: str, since: int) -> bool:
        """Whether an idempotency key has been used since a time."""
        return bool(await self.read(statements.USED_KEY, {"key_": key, "since_": since}))

    async def turn(self, queue: str, fair_key: str, priority: int) -> tuple[int | None, int | None]:
        """Return the first rank of all that take turns in a priority, and the last of one key among them."""
        values = {"queue_": queue, "fair_key_": fair_key, "priority_": priority}
        ((first,),) = await self.read(statements.FIRST_RANK, values)
        ((last,),) = await self.read(statements.LAST_RANK, values)
        return first, last

    async def unended(self) -> int:
        """Return how many tasks have not ended."""
        ((count,),) = await self.read(statements.UNENDED, {})
        return int(count)

    async def newest_id(self) -> bytes:
        """Return the greatest id there is, or an empty one."""
        rows = await self.read(statements.NEWEST_ID, {"id_": b""})
        return rows[0][0] if rows else b""

    async def read(self, statement: Statement, values: dict[str, Any]) -> list[Any]:
        """Run a query, and return its rows as tuples."""
        sql, arguments = self.database.bind(statement, values)
        return await self.database.read(lambda connection: connection.execute(sql, arguments).fetchall())

    async def read_up_to(
        self, max_bytes: int, statement: Statement, values: dict[str, Any], columns: Sequence[int]
    ) -> tuple[list[Any], bool]:
        """Return rows up to the one whose texts in ``columns`` make ``max_bytes`` of all; tell if that cut them."""
        sql, arguments = self.database.bind(statement, values)
        return await self.database.read(
            lambda connection: _up_to(self.database.iterate(connection, sql, arguments), columns, max_bytes)
        )


def _up_to(found: Generator[Any], columns: Sequence[int], max_bytes: int) -> tuple[list[Any], bool]:
    rows: list[Any] = []
    left = max_bytes
    with closing(found):
        for row in found:
            rows.append(row)
            left -= sum(len(row[column] or "") for column in columns)
            if left <= 0:
                return rows, True
    return rows, False
