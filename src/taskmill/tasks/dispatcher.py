"""The dispatcher: the queue as a window over the rows.

A task is a row before it is a message. While the queue has room, each committed task goes straight into it.
Once it is full, new tasks stay rows and cost no memory; as messages are acknowledged, the oldest rows not
yet dispatched are read in. So ten million waiting tasks cost disk, and are run oldest first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from taskmill.queue import Message, Queue
from taskmill.tasks.catalog import Catalog
from taskmill.tasks.ids import to_text
from taskmill.tasks.model import Status
from taskmill.tasks.store import Dispatchable, Store

logger = logging.getLogger(__name__)

READ_AT_ONCE = 2_000  # rows
READ_PAUSE = 0.5  # seconds after a read that failed


class Dispatcher:
    """Publishes committed tasks to a queue, in the order of their ids, each once.

    ``_tail`` is the id up to which every task has been published and ``_newest`` the last one committed;
    while they differ, the rows between them wait to be read.
    """

    def __init__(self, store: Store[Any, Any], queue: Queue, catalog: Catalog) -> None:
        self._store = store
        self._queue = queue
        self._catalog = catalog
        self._tail = b""
        self._newest = b""
        self._suspect = b""  # up to this id an attempt may have been under way when the last run was killed
        self._reading: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self, newest: bytes, killed: bool) -> None:
        """Take up where the last run ended: tasks that were running come first, then the queued ones.

        If the last run was ``killed``, any task that it had dispatched may be what killed it. Those are
        marked, so that each attempt is on disk before it begins, and a poison task runs out of attempts.
        """
        self._newest = newest
        running: list[Dispatchable] = []
        while page := await self._store.dispatchable(
            Status.RUNNING, running[-1][0] if running else b"", READ_AT_ONCE
        ):
            running += page
        room = self._queue.channel.room()
        if killed:
            first = await self._store.dispatchable(Status.QUEUED, b"", room)
            self._suspect = first[-1][0] if first else b""
        if running:
            logger.info("%d tasks were running when the last run ended; they run again", len(running))
            self._running = asyncio.create_task(
                self._queue.channel.publish([self._message(row, suspect=True) for row in running])
            )
        self.fill()

    def committed(self, ids: Sequence[bytes], messages: Sequence[Message]) -> None:
        """Publish tasks that have just been committed, or leave them rows where there is no room."""
        behind = self._tail < self._newest
        self._newest = max(self._newest, ids[-1])
        if behind:
            self.fill()
            return
        if ids[0] <= self._tail:  # a read has seen some of them already
            first = next((i for i, id_ in enumerate(ids) if id_ > self._tail), len(ids))
            ids, messages = ids[first:], messages[first:]
        taken = self._queue.channel.offer(messages)
        if taken:
            self._tail = ids[taken - 1]

    def fill(self) -> None:
        """Begin to read rows into the queue if there are any to read, and room for a good many."""
        if self._tail >= self._newest or self._reading is not None or self._stopped:
            return
        channel = self._queue.channel
        if channel.room() >= min(READ_AT_ONCE, max(1, channel.capacity // 2)):
            self._reading = asyncio.create_task(self._read())

    async def stop(self) -> None:
        """Dispatch no more."""
        self._stopped = True
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def _read(self) -> None:
        limit = min(self._queue.channel.room(), READ_AT_ONCE)
        newest = self._newest
        try:
            rows = await self._store.dispatchable(Status.QUEUED, self._tail, limit)
        except Exception as error:
            logger.warning("waiting tasks cannot be read, trying again: %s", error)
            await asyncio.sleep(READ_PAUSE)
            rows = []
        else:
            taken = self._queue.channel.offer([self._message(row, row[0] <= self._suspect) for row in rows])
            if taken == len(rows) < limit:
                self._tail = max(self._tail, newest, rows[-1][0] if rows else b"")
            elif taken:
                self._tail = rows[taken - 1][0]
        self._reading = None
        self.fill()

    def _message(self, row: Dispatchable, suspect: bool) -> Message:
        id_, action, data, attempt = row
        headers: Mapping[str, str]
        registered = self._catalog.find(action)
        if registered is not None and registered.action.name == action and not attempt and not suspect:
            headers = registered.headers
        else:
            headers = {"action": action, "attempt": str(attempt), **({"suspect": "yes"} if suspect else {})}
        return Message(to_text(id_), data, headers)
