"""The dispatcher of a queue: a window over its rows, in the order in which they are to run.

A task is a row before it is a message. A committed task waits here, in memory, until a consumer wants one;
where more wait than the window holds, the rest stay rows and cost no memory. So ten million waiting tasks cost
disk, and each place in a consumer goes to the best of those that wait when it comes free.

There are two streams. Plain tasks are in the order of their ids: what follows ``_tail`` up to ``_newest`` waits
to be read. All others have a rank, see :mod:`taskmill.tasks.dispatch.ranked`. A plain task's rank is the time in
its id, so the two merge into one order.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from time import time
from typing import Any

from taskmill.queue import Queue
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.dispatch.limits import Limits
from taskmill.tasks.dispatch.pace import Pace
from taskmill.tasks.dispatch.ranked import Ranked
from taskmill.tasks.dispatch.strays import Strays
from taskmill.tasks.ids import time_in
from taskmill.tasks.message import FIRST, Dispatchable, TaskMessage, from_row
from taskmill.tasks.rows.reader import Reader

logger = logging.getLogger(__name__)

READ_AT_ONCE = 2_000  # rows
READ_PAUSE = 0.5  # seconds after a read that failed
EVER = 2**63  # milliseconds since 1970


class Dispatcher:
    """Hands a queue's tasks to its consumers, each once, as they want more.

    ``dropped`` holds the keys of tasks that have ended as rows, such as by being cancelled, and are still in
    memory; ``let_go`` hears of each such task that is left out. ``strays`` takes in what was stored without the
    limit that its action has now.
    """

    def __init__(
        self,
        reader: Reader,
        queue: Queue,
        catalog: Catalog,
        limits: Limits,
        *,
        dropped: set[bytes],
        let_go: Callable[[bytes], None] = lambda _: None,
        strays: Strays | None = None,
    ) -> None:
        self.name = queue.name
        self.paused = False
        self.pace = Pace()
        self._reader = reader
        self._channel = queue.channel
        self._capacity = queue.channel.capacity
        self._catalog = catalog
        self._limits = limits
        self._dropped = dropped
        self._let_go = let_go
        self._strays = strays
        self._plain: deque[TaskMessage] = deque()
        self._plain_bytes = 0  # of the bodies that wait
        self._tail = b""
        self._newest = b""
        self._ranked = Ranked(self._capacity, self.forget)
        self._last = b""  # the newest of the tasks that were there at the start
        self._suspect_plain = 0  # so many of those that are read first may have killed the last run,
        self._suspect_ranked = 0  # and so many of those that start first
        self._reading: asyncio.Task[None] | None = None
        self._ranked_turn = True  # where both streams are to be read
        self._stopped = False
        self._channel.draw_from(self.draw)

    async def start(self, newest: bytes, running: Sequence[Dispatchable], killed: bool) -> None:
        """Take up where the last run ended: the tasks that were ``running`` come first, then the queued ones.

        If the last run was ``killed``, any task that it had dispatched may be what killed it. Those are
        marked, so that each attempt is on disk before it begins, and a poison task runs out of attempts.
        """
        self._newest = self._last = newest
        if killed:
            self._suspect_plain = self._suspect_ranked = self._capacity.messages
        for message in self._messages(running, suspect=True, first=True):
            self._ranked.push(message)
        self.feed()

    def committed(self, messages: Sequence[TaskMessage]) -> None:
        """Take plain tasks that have just been committed, or leave them rows where there is no room."""
        behind = self._tail < self._newest
        self._newest = max(self._newest, messages[-1].key)
        if not behind:
            if messages[0].key <= self._tail:  # a read has seen some of them already
                messages = [message for message in messages if message.key > self._tail]
            messages = messages[: max(0, self._capacity.messages - len(self._plain))]
            if messages and self._plain_bytes <= self._capacity.bytes:
                self._plain.extend(messages)
                self._plain_bytes += sum([len(message.body) for message in messages])
                self._tail = messages[-1].key
        self.feed()

    def committed_ranked(self, messages: Sequence[TaskMessage]) -> None:
        """Take other tasks that have just been committed, or leave them rows where better ones fill the window."""
        self._ranked.committed(messages)
        self.feed()

    def settled(self, message: TaskMessage) -> None:
        """Forget a ranked task that was handed out: its attempt's end is stored."""
        self.pace.ended += 1
        self._reader.changes.note(message.key)
        self._ranked.known.discard(message.key)
        self._limits.release(message)

    def feed(self) -> None:
        """Hand out what the consumers want now, and read more if few are left."""
        self._channel.pump()
        self.fill()

    def draw(self, limit: int) -> Sequence[TaskMessage]:
        """Take the best tasks that may start now, as many as are wanted at most."""
        if self.paused or self._stopped:
            return ()
        plain = self._plain
        ranked = self._ranked
        if not ranked.waiting and ranked.edge.at is None and not self._dropped:  # as it mostly is
            batch = [plain.popleft() for _ in range(min(limit, len(plain)))]
            self._plain_bytes -= sum([len(message.body) for message in batch])
            return batch
        batch = []
        while len(batch) < limit and (message := self._pop()) is not None:
            if self._may_start(message):
                batch.append(message)
        if len(batch) < limit:
            self.fill()
        return batch

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

    async def stop(self) -> None:
        """Dispatch no more."""
        self._stopped = True
        if self._reading is not None:
            await asyncio.wait([self._reading])

    def take_back(self, message: TaskMessage) -> None:
        """Take a task back that was handed out and has not begun: the queue was paused meanwhile."""
        message.ack()
        if message.place is None:
            insort(self._plain, message, key=lambda waiting: waiting.key)
            self._plain_bytes += len(message.body)
        else:
            self._limits.release(message)
            self._ranked.put_back(message)

    # What Limits asks of a task's home.

    def readmit(self, messages: Sequence[TaskMessage]) -> None:
        """Take tasks back that were parked and have a place now."""
        for message in messages:
            self._ranked.put_back(message)
        self.feed()

    def forget(self, message: TaskMessage) -> None:
        """Leave a task a row, or let go of one that has ended."""
        self._ranked.known.discard(message.key)
        if self._dropped and message.key in self._dropped:
            self._dropped.discard(message.key)
            self._let_go(message.key)

    def adopt(self, rows: Sequence[Dispatchable]) -> list[TaskMessage]:
        """Make messages of rows, except of those that are in memory already, if only to be dropped."""
        known, dropped = self._ranked.known, self._dropped
        messages = self._messages([row for row in rows if row[0] not in known and row[0] not in dropped])
        known.update([message.key for message in messages])
        return messages

    def has(self, key: bytes, ranked: bool) -> bool:
        """Whether a task of this queue that is queued by its row is in memory."""
        return key in self._ranked.known or (not ranked and key <= self._tail)

    @property
    def waiting(self) -> bool:
        """Whether tasks wait that may start, and could only be faster if consumers were."""
        rows = self._ranked.edge.at is not None or self._tail < self._newest
        return not self.paused and (rows or bool(self._plain or self._ranked.waiting))

    @property
    def consumers(self) -> int:
        """How many consumers take this queue's tasks."""
        return self._channel.receivers()

    def _pop(self) -> TaskMessage | None:
        """Take the best task of both streams, of those whose betters are all in memory."""
        plain = time_in(self._plain[0].key) if self._plain else None
        ranked = self._ranked.waiting[0][0] if self._ranked.waiting else None
        if plain is None:  # a plain task that is still a row may be better
            unread = self._tail < self._newest
            return None if ranked is None or (unread and ranked > time_in(self._tail)) else self._ranked.pop()
        if ranked is None:
            edge = self._ranked.edge.at
            return None if edge is not None and edge[0] < plain else self._pop_plain()
        return self._pop_plain() if plain <= ranked else self._ranked.pop()

    def _pop_plain(self) -> TaskMessage:
        message = self._plain.popleft()
        self._plain_bytes -= len(message.body)
        return message

    def _may_start(self, message: TaskMessage) -> bool:
        place = message.place
        dropped = bool(self._dropped) and message.key in self._dropped
        # The alarm ends what has expired, unless it had begun in time.
        if dropped or (place and place.rank != FIRST and (place.expires_at or EVER) <= time() * 1000):
            self.forget(message)
            self._limits.pass_over(message)
            return False
        if place is None:
            return True
        if not self._limits.admit(message):
            return False
        if self._suspect_ranked and message.key <= self._last:
            self._suspect_ranked -= 1
            message.suspect = True
        return True

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
        for message in self._messages(rows):
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

    def _messages(
        self, rows: Sequence[Dispatchable], *, suspect: bool = False, first: bool = False
    ) -> list[TaskMessage]:
        """Make messages of rows. Those of an action that this application lacks stay rows: the next may know it."""
        messages = []
        unknown: set[str] = set()
        for row in rows:
            registered = self._catalog.find(row[1])
            if registered is None:
                unknown.add(row[1])
            else:
                messages.append(from_row(row, registered, suspect=suspect, first=first))
        if unknown:
            logger.error(
                "%d tasks wait: this application has no action %s",
                len(rows) - len(messages), ", ".join(map(repr, sorted(unknown)[:10])),
            )  # fmt: skip
        return messages
