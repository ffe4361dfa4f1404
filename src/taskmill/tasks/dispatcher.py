"""The dispatcher: the queue as a window over the rows.

A task is a row before it is a message. While the queue has room, each committed task goes straight into it.
Once it is full, new tasks stay rows and cost no memory; as messages are acknowledged, the oldest rows not
yet dispatched are read in. So ten million waiting tasks cost disk, and are run oldest first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from taskmill.queue import Queue
from taskmill.tasks.catalog import Catalog
from taskmill.tasks.message import TaskMessage
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

    def __init__(self, store: Store[Any], queue: Queue, catalog: Catalog) -> None:
        self._store = store
        self._queue = queue
        self._catalog = catalog
        self._tail = b""
        self._newest = b""
        self._suspect = b""  # up to this id an attempt may have been under way when the last run was killed
        self._resuming: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self, newest: bytes, killed: bool) -> None:
        """Take up where the last run ended: tasks that were running come first, then the queued ones.

        If the last run was ``killed``, any task that it had dispatched may be what killed it. Those are
        marked, so that each attempt is on disk before it begins, and a poison task runs out of attempts.
        """
        self._newest = newest
        capacity = self._queue.channel.capacity
        running: list[Dispatchable] = []
        complete = False
        while not complete:  # they are no more than a window holds, and are read before one runs again
            after = running[-1][0] if running else b""
            rows, complete = await self._store.dispatchable(Status.RUNNING, after, *capacity)
            running += rows
        if killed:
            self._suspect = await self._store.nth_queued(capacity.messages)
        if running:
            logger.info("%d tasks were running when the last run ended; they run again", len(running))
            messages = self._messages(running, running[-1][0])
            self._resuming = asyncio.create_task(self._queue.channel.publish(messages))
        self.fill()

    def committed(self, messages: Sequence[TaskMessage]) -> None:
        """Publish tasks that have just been committed, or leave them rows where there is no room."""
        behind = self._tail < self._newest
        self._newest = max(self._newest, messages[-1].key)
        if behind:
            self.fill()
            return
        if messages[0].key <= self._tail:  # a read has seen some of them already
            messages = [message for message in messages if message.key > self._tail]
        taken = self._queue.channel.offer(messages)
        if taken:
            self._tail = messages[taken - 1].key

    def fill(self) -> None:
        """Begin to read rows into the queue if there are any to read, and room for a good many."""
        if self._tail >= self._newest or self._reading is not None or self._stopped:
            return
        room, capacity = self._queue.channel.room(), self._queue.channel.capacity
        enough = min(READ_AT_ONCE, max(1, capacity.messages // 2))
        if room.messages >= enough and room.bytes * 2 >= capacity.bytes:
            limit = min(room.messages, READ_AT_ONCE)
            self._reading = asyncio.create_task(self._read(limit, room.bytes))

    async def stop(self) -> None:
        """Dispatch no more."""
        self._stopped = True
        if self._resuming is not None:
            self._resuming.cancel()
        if self._reading is not None:
            await asyncio.wait([self._reading])

    async def _read(self, limit: int, max_bytes: int) -> None:
        newest = self._newest
        taken, messages = 0, []
        try:
            rows, complete = await self._store.dispatchable(Status.QUEUED, self._tail, limit, max_bytes)
        except Exception as error:
            logger.warning("waiting tasks cannot be read, trying again: %s", error)
            await asyncio.sleep(READ_PAUSE)
        else:
            messages = self._messages(rows, self._suspect)
            taken = self._queue.channel.offer(messages)
            if taken < len(messages):
                self._tail = messages[taken - 1].key if taken else self._tail
            elif complete:
                # What was committed before the read began has been seen; later rows may have been, too.
                self._tail = max(self._tail, newest, rows[-1][0] if rows else b"")
            else:
                self._tail = rows[-1][0]
        self._reading = None
        if taken or not messages:  # if none had room, the next ack makes some
            self.fill()

    def _messages(self, rows: Sequence[Dispatchable], suspect_to: bytes) -> list[TaskMessage]:
        """Make messages of rows. Those of an action that this application lacks stay rows: the next may know it."""
        messages = []
        unknown: set[str] = set()
        for key, name, data, attempts in rows:
            registered = self._catalog.find(name)
            if registered is None:
                unknown.add(name)
            else:
                suspect = key <= suspect_to
                messages.append(TaskMessage(key, name, registered, data, attempts=attempts, suspect=suspect))
        if unknown:
            logger.error(
                "%d tasks wait: this application has no action %s",
                len(rows) - len(messages), ", ".join(map(repr, sorted(unknown)[:10])),
            )  # fmt: skip
        return messages
