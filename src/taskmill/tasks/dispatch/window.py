"""The window of a queue: the best of its waiting rows, in memory, and the reading of more as places come free.

There are two streams. Plain tasks are in the order of their ids: what follows ``_tail`` up to ``_newest`` waits
to be read. All others have a rank, see :mod:`taskmill.tasks.dispatch.ranked`.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from taskmill.queue.drivers.base import Room
from taskmill.tasks.dispatch.making import Making
from taskmill.tasks.dispatch.ranked import Ranked
from taskmill.tasks.dispatch.strays import Strays
from taskmill.tasks.message import Dispatchable, TaskMessage
from taskmill.tasks.rows.reader import Reader

logger = logging.getLogger(__name__)

READ_AT_ONCE = 2_000  # rows
READ_PAUSE = 0.5  # seconds after a read that failed


class Window(ABC):
    """What of a queue is in memory. ``dropped``, ``let_go`` and ``strays`` are as a dispatcher is given them."""

    def __init__(
        self,
        name: str,
        reader: Reader,
        capacity: Room,
        making: Making,
        *,
        dropped: set[bytes],
        let_go: Callable[[bytes], None],
        strays: Strays | None,
    ) -> None:
        self.name = name
        self._reader = reader
        self._capacity = capacity
        self._making = making
        self._dropped = dropped
        self._let_go = let_go
        self._strays = strays
        self._plain: deque[TaskMessage] = deque()
        self._plain_bytes = 0  # of the bodies that wait
        self._tail = b""
        self._newest = b""
        self._ranked = Ranked(capacity, self.forget)
        self._last = b""  # the newest of the tasks that were there at the start
        self._suspect_plain = 0  # so many of those that are read first may have killed the last run,
        self._suspect_ranked = 0  # and so many of those that start first
        self._reading: asyncio.Task[None] | None = None
        self._ranked_turn = True  # where both streams are to be read
        self._stopped = False

    @abstractmethod
    def feed(self) -> None:
        """Hand out what is wanted now."""

    def clear(self) -> None:
        """Forget all, and read nothing."""
        self._stopped = True
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._plain.clear()
        self._plain_bytes = 0
        self._tail = self._newest = b""
        self._ranked = Ranked(self._capacity, self.forget)

    def fill(self) -> None:
        """Begin to read rows into the window if there are any to read, and room for a good many."""
        if self._reading is not None or self._stopped:
            return
        messages, size = self._capacity
        enough = min(READ_AT_ONCE, max(1, messages // 2))
        ranked = self._ranked.room()
        plain = messages - len(self._plain)
        if plain < enough or self._tail >= self._newest or self._plain_bytes * 2 > size:
            plain = 0
        if ranked >= enough and (self._ranked_turn or not plain):
            self._begin_read(self._read_ranked, ranked)
        elif plain:
            self._begin_read(self._read_plain, plain)

    def has(self, key: bytes, ranked: bool) -> bool:
        """Whether a task of this queue that is queued by its row is in memory."""
        return key in self._ranked.known or (not ranked and key <= self._tail)

    def forget(self, message: TaskMessage) -> None:
        """Leave a task a row, or let go of one that has ended."""
        self._ranked.known.discard(message.key)
        if self._dropped and message.key in self._dropped:
            self._dropped.discard(message.key)
            self._let_go(message.key)

    def adopt(self, rows: Sequence[Dispatchable]) -> list[TaskMessage]:
        """Make messages of rows, except of those that are in memory already, if only to be dropped."""
        known, dropped = self._ranked.known, self._dropped
        messages = self._making.messages(
            [row for row in rows if row[0] not in known and row[0] not in dropped]
        )
        known.update([message.key for message in messages])
        return messages

    def _begin_read(self, read: Callable[[int], Any], room: int) -> None:
        self._ranked_turn = read == self._read_plain
        self._reading = asyncio.create_task(self._read(read, min(room, READ_AT_ONCE)))

    async def _read(self, read: Callable[[int], Any], limit: int) -> None:
        try:
            await read(limit)
        except Exception as error:
            logger.warning("waiting tasks cannot be read, trying again: %s", error)
            await asyncio.sleep(READ_PAUSE)
        self._reading = None
        self.feed()

    async def _read_plain(self, limit: int) -> None:
        newest = self._newest
        max_bytes = max(1, self._capacity.bytes - self._plain_bytes)
        rows, end = await self._reader.plain(self.name, self._tail, limit, max_bytes)
        if self._strays is not None and await self._strays.take_in(rows):
            return  # the rows may have changed meanwhile, and are read again
        for message in self._making.messages(rows):
            if self._suspect_plain and message.key <= self._last:
                self._suspect_plain -= 1
                message.suspect = True
            self._plain.append(message)
            self._plain_bytes += len(message.body)
        if end is None:
            # What was committed before the read began has been seen; later rows may have been, too.
            end = max(self._tail, newest, rows[-1][0] if rows else b"")
        self._tail = end

    async def _read_ranked(self, limit: int) -> None:
        after = self._ranked.edge.begin()
        max_bytes = max(1, self._capacity.bytes - self._ranked.bytes)
        rows, end = await self._reader.ranked(self.name, after, limit, max_bytes)
        if self._strays is None or not await self._strays.take_in(rows):
            self._ranked.read_to(end, self.adopt(rows))
