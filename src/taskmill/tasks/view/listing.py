"""The tasks of a selection, read a part at a time: each read is short, whatever the table's size."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Select

from taskmill.tasks.model import Task, from_row
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.rows.schema import task
from taskmill.tasks.view import selecting
from taskmill.tasks.view.filters import Selection
from taskmill.tasks.view.selecting import SCAN, Shape

PAGE_BYTES = 8 * 2**20  # characters of data and results in a page, or one task's
LOOKS = 10  # reads of SCAN rows each for one part, where few of them are meant

_DATA, _RESULT = (list(task.columns.keys()).index(name) for name in ("data", "result"))

# Rows with their ids first, and whether something other than the limit ended the read.
_Read = Callable[[Select[Any], dict[str, Any]], Awaitable[tuple[list[Any], bool]]]


class Listing:
    """Finds tasks, newest first. A cursor is the id of the last task that was looked at."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def page(
        self, selection: Selection, cursor: bytes | None, limit: int
    ) -> tuple[list[Task], bytes | None]:
        """Return tasks older than ``cursor``, and the cursor of the next part, or None at the end.

        They are ``limit`` at most, and fewer where their data and results are long, or where few of those that
        were looked at are meant.
        """
        rows, following = await self._part(selecting.page, self._whole, selection, cursor, limit)
        tasks = [from_row(row) for row in rows]
        if (redaction := self._reader.redaction) is not None:
            for one in tasks:
                redaction.task(one)
        return tasks, following

    async def keys(
        self, selection: Selection, cursor: bytes | None, limit: int
    ) -> tuple[list[bytes], bytes | None]:
        """Return the ids of tasks, as :meth:`page` does."""
        rows, following = await self._part(selecting.keys, self._ids, selection, cursor, limit)
        return [key for (key,) in rows], following

    async def count(self, selection: Selection) -> int:
        """Return how many tasks are meant. It takes many reads where they are many."""
        statement = selecting.count(selecting.shape_of(selection))
        total = 0
        cursor: bytes | None = None
        while True:
            values = {**selecting.values_of(selection, cursor), "scan_": SCAN}
            ((meant, looked_at, cursor),) = await self._reader.read(statement, values)
            total += int(meant)
            if looked_at < SCAN:
                return total

    async def _part(
        self,
        statement_of: Callable[[Shape], Select[Any]],
        read: _Read,
        selection: Selection,
        cursor: bytes | None,
        limit: int,
    ) -> tuple[list[Any], bytes | None]:
        shape = selecting.shape_of(selection)
        scan = limit if shape.exact else SCAN
        for _ in range(LOOKS):
            values = {**selecting.values_of(selection, cursor), "scan_": scan}
            rows, cut = await read(statement_of(shape), {**values, "limit_": limit})
            if cut or len(rows) == limit:
                return rows, rows[-1][0]
            if shape.exact:
                return rows, None
            ((_, looked_at, last),) = await self._reader.read(selecting.count(shape), values)
            if looked_at < SCAN:
                return rows, None
            cursor = last
            if rows:
                break
        return rows, cursor

    async def _whole(self, statement: Select[Any], values: dict[str, Any]) -> tuple[list[Any], bool]:
        return await self._reader.read_up_to(PAGE_BYTES, statement, values, (_DATA, _RESULT))

    async def _ids(self, statement: Select[Any], values: dict[str, Any]) -> tuple[list[Any], bool]:
        return await self._reader.read(statement, values), False
