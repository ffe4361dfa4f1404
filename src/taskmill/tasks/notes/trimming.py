"""Trimming notes: of each task's log the last lines stay, and of its progress the last."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from itertools import islice
from typing import Any, Final

from taskmill.sql import Database, DatabaseError, Overloaded, Transaction
from taskmill.tasks.notes import statements
from taskmill.tasks.notes.said import BYTES, LINES
from taskmill.tasks.rows import sharing

logger = logging.getLogger(__name__)

EVERY: Final = 1.0  # seconds
NOTES: Final = 16  # of a task that may stand beside those which hold its log


class Trimming:
    """Looks, a second after tasks have got notes, which have too many, and drops those. So it may be some more."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._keys: dict[bytes, None] = {}
        self._task: asyncio.Task[None] | None = None

    def soon(self, keys: Iterable[bytes]) -> None:
        """See in a moment to tasks that have new notes."""
        self._keys.update(dict.fromkeys(keys))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="trim notes")

    async def stop(self) -> None:
        """Trim no more: a later note has it done."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            while self._keys:
                await asyncio.sleep(EVERY)
                keys, self._keys = self._keys, {}
                await self._trim(keys)
        except (DatabaseError, Overloaded):
            pass  # the next note of a task has it done
        finally:
            self._task = None

    async def _trim(self, keys: Iterable[bytes]) -> None:
        left = iter(keys)
        while some := list(islice(left, sharing.MOST)):
            for key in await self._too_many(some):
                await self._database.write(lambda transaction, key=key: trim(transaction, key))  # type: ignore[misc]

    async def _too_many(self, keys: list[bytes]) -> list[bytes]:
        count, values = sharing.keys(keys)
        sql, arguments = self._database.bind(statements.sums(count), values)
        rows = await self._database.read(lambda connection: connection.execute(sql, arguments).fetchall())
        return [
            bytes(key)
            for key, notes, lines, size in rows
            if lines > LINES or size > BYTES or notes > lines + NOTES
        ]


def trim(transaction: Transaction, key: bytes) -> None:
    """Drop the notes of a task that are no longer needed, in a transaction."""
    rows: list[Any] = transaction.fetch(statements.SIZES, id_=key)
    lines = size = lost = 0
    kept: int | None = None  # the first note that is
    has_progress = False
    for number, count, bytes_, lost_before, progress in rows:
        wanted = lines < LINES and size < BYTES and (count > 0 or lost_before > 0)
        if wanted or kept is None or (progress is not None and not has_progress):
            kept = number
            lines += count
            size += bytes_
        else:
            transaction.change(statements.DROP, id_=key, number_=number)
            lost += count + lost_before
        has_progress = has_progress or progress is not None
    if lost:
        transaction.change(statements.TAKE_OVER, lost_=lost, id_=key, number_=kept)
