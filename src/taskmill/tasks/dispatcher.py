"""The dispatcher of a queue: a window over its rows, in the order in which they are to run.

A task is a row before it is a message. A committed task waits here, in memory, until a consumer wants one;
where more wait than the window holds, the rest stay rows and cost no memory. So ten million waiting tasks cost
disk, and each place in a consumer goes to the best of those that wait when it comes free.

There are two streams. Plain tasks are in the order of their ids: what follows ``_tail`` up to ``_newest`` waits
to be read. All others have a rank: what follows ``_reach`` waits to be read. A plain task's rank is the time in
its id, so the two merge into one order.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Callable, Sequence
from time import time
from typing import Any

from taskmill.queue import Queue
from taskmill.tasks.catalog import Catalog
from taskmill.tasks.ids import time_in
from taskmill.tasks.limits import Limits, Position, place_of
from taskmill.tasks.message import FIRST, Dispatchable, TaskMessage, from_row
from taskmill.tasks.reader import Reader

logger = logging.getLogger(__name__)

READ_AT_ONCE = 2_000  # rows
READ_PAUSE = 0.5  # seconds after a read that failed
GONE = 10_000  # ended tasks that are remembered: more than can end while a read is under way


class Dispatcher:
    """Hands a queue's tasks to its consumers, each once, as they want more.

    ``ageing_off`` is what a priority takes off a rank; ``dropped`` holds the keys of tasks that have ended as
    rows, such as by being cancelled, and are still in memory.
    """

    def __init__(
        self,
        reader: Reader,
        queue: Queue,
        catalog: Catalog,
        limits: Limits,
        *,
        ageing_off: Callable[[int], int],
        dropped: set[bytes],
    ) -> None:
        self.name = queue.name
        self.paused = False
        self._reader = reader
        self._channel = queue.channel
        self._catalog = catalog
        self._limits = limits
        self._ageing_off = ageing_off
        self._dropped = dropped
        self._plain: deque[TaskMessage] = deque()
        self._tail = b""
        self._newest = b""
        self._ranked: list[tuple[int, bytes, TaskMessage]] = []  # a heap
        self._known: set[bytes] = set()  # the ranked tasks in memory: waiting here, parked, or handed out
        self._reach: Position | None = (2 * FIRST, b"")  # None once no ranked task is a row alone
        self._arrived: list[TaskMessage] | None = None  # ranked ones committed during a read of such
        self._gone: dict[
            bytes, None
        ] = {}  # ranked ones whose end was stored a moment ago: a read may be older
        self._plain_bytes = 0  # of the bodies that wait here
        self._ranked_bytes = 0
        self._virtual = 0
        self._suspect = b""  # plain tasks up to this id may have killed the last run,
        self._suspects = 0  # and so many of the ranked ones that are read first
        self._reading: asyncio.Task[None] | None = None
        self._stopped = False
        self._channel.draw_from(self.draw)

    async def start(self, newest: bytes, running: Sequence[Dispatchable], killed: bool) -> None:
        """Take up where the last run ended: the tasks that were ``running`` come first, then the queued ones.

        If the last run was ``killed``, any task that it had dispatched may be what killed it. Those are
        marked, so that each attempt is on disk before it begins, and a poison task runs out of attempts.
        """
        self._newest = newest
        if killed:
            self._suspects = self._channel.capacity.messages
            self._suspect = await self._reader.nth_queued(self._suspects)
        for message in self._messages(running, suspect=True, first=True):
            self._push(message)
        self.feed()

    def committed(self, messages: Sequence[TaskMessage]) -> None:
        """Take plain tasks that have just been committed, or leave them rows where there is no room."""
        behind = self._tail < self._newest
        self._newest = max(self._newest, messages[-1].key)
        if not behind:
            if messages[0].key <= self._tail:  # a read has seen some of them already
                messages = [message for message in messages if message.key > self._tail]
            messages = messages[: self._channel.capacity.messages - len(self._plain)]
            if messages and self._plain_bytes <= self._channel.capacity.bytes:
                self._plain.extend(messages)
                self._plain_bytes += sum([len(message.body) for message in messages])
                self._tail = messages[-1].key
        self.feed()

    def committed_ranked(self, messages: Sequence[TaskMessage]) -> None:
        """Take other tasks that have just been committed, or leave them rows where better ones fill the window."""
        for message in messages:
            if self._reach is not None and place_of(message) > self._reach:
                if self._arrived is not None:
                    self._arrived.append(message)
            elif message.key not in self._known:
                self._gone.pop(message.key, None)
                self._push(message)
        self._trim()
        self.feed()

    def settled(self, message: TaskMessage) -> None:
        """Forget a task that was handed out: its attempt's end is stored."""
        if message.place is not None:
            self._known.discard(message.key)
            self._gone[message.key] = None
            if len(self._gone) > 2 * GONE:
                self._gone = dict.fromkeys(list(self._gone)[GONE:])
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
        if not self._ranked and self._reach is None and not self._dropped:  # as it mostly is
            batch = [plain.popleft() for _ in range(min(limit, len(plain)))]
            self._plain_bytes -= sum([len(message.body) for message in batch])
            return batch
        batch = []
        while len(batch) < limit and (message := self._pop()) is not None:
            if self._may_start(message):
                batch.append(message)
        return batch

    def fill(self) -> None:
        """Begin to read rows into the window if there are any to read, and room for a good many."""
        if self._reading is not None or self._stopped:
            return
        capacity = self._channel.capacity
        enough = min(READ_AT_ONCE, max(1, capacity.messages // 2))
        room = capacity.messages - len(self._ranked)
        if self._reach is not None and room >= enough and self._ranked_bytes * 2 <= capacity.bytes:
            self._reading = asyncio.create_task(self._read(self._read_ranked, room))
            return
        room = capacity.messages - len(self._plain)
        if self._tail < self._newest and room >= enough and self._plain_bytes * 2 <= capacity.bytes:
            self._reading = asyncio.create_task(self._read(self._read_plain, room))

    async def stop(self) -> None:
        """Dispatch no more."""
        self._stopped = True
        if self._reading is not None:
            await asyncio.wait([self._reading])

    # What Limits asks of a task's home.

    def readmit(self, message: TaskMessage) -> None:
        """Take a task back that was parked and has a place now."""
        self._push(message)
        self.feed()

    def forget(self, message: TaskMessage) -> None:
        """Leave a task a row."""
        self._known.discard(message.key)

    def adopt(self, rows: Sequence[Dispatchable]) -> list[TaskMessage]:
        """Make messages of rows, except of those that are in memory already."""
        messages = self._messages(
            [row for row in rows if row[0] not in self._known and row[0] not in self._gone]
        )
        self._known.update(message.key for message in messages)
        return messages

    def has(self, key: bytes, ranked: bool) -> bool:
        """Whether a task of this queue that is queued by its row is in memory."""
        return key in self._known if ranked else key <= self._tail

    def virtual_now(self) -> int:
        """Return the rank, less what priority takes off, of what is handed out now: where a new tenant begins.

        This is the virtual time of start-time fair queueing (Goyal, Vin and Cheng, 1996): a tenant's tasks are
        ranked one after the other from here on, however many others have sent.
        """
        return self._virtual if self._ranked else int(time() * 1000)

    def _pop(self) -> TaskMessage | None:
        """Take the best task of both streams, of those whose betters are all in memory."""
        plain = time_in(self._plain[0].key) if self._plain else None
        ranked = self._ranked[0][0] if self._ranked else None
        if plain is None:  # a plain task that is still a row may be better
            unread = self._tail < self._newest
            return None if ranked is None or (unread and ranked > time_in(self._tail)) else self._pop_ranked()
        if ranked is None:
            better = self._reach is not None and self._reach[0] < plain
            return None if better else self._pop_plain()
        return self._pop_plain() if plain <= ranked else self._pop_ranked()

    def _pop_plain(self) -> TaskMessage:
        message = self._plain.popleft()
        self._plain_bytes -= len(message.body)
        return message

    def _pop_ranked(self) -> TaskMessage:
        rank, _, message = heapq.heappop(self._ranked)
        self._ranked_bytes -= len(message.body)
        if message.place is not None:
            self._virtual = rank + self._ageing_off(message.place.priority)
        return message

    def _may_start(self, message: TaskMessage) -> bool:
        if self._dropped and message.key in self._dropped:
            self._dropped.discard(message.key)
            self.forget(message)
            return False
        place = message.place
        if place is None:
            return True
        if place.expires_at is not None and place.expires_at <= time() * 1000:
            self.forget(message)  # the alarm ends it
            return False
        return self._limits.admit(message)

    def _push(self, message: TaskMessage) -> None:
        heapq.heappush(self._ranked, (*place_of(message), message))
        self._known.add(message.key)
        self._ranked_bytes += len(message.body)

    def _trim(self) -> None:
        """Leave the last ones rows where far more wait than the window holds."""
        capacity = self._channel.capacity
        if len(self._ranked) <= 2 * capacity.messages and self._ranked_bytes <= 2 * capacity.bytes:
            return
        self._ranked.sort()
        while len(self._ranked) > capacity.messages or self._ranked_bytes > capacity.bytes:
            if len(self._ranked) == 1:
                break
            message = self._ranked.pop()[2]
            self._ranked_bytes -= len(message.body)
            self.forget(message)
        self._reach = self._ranked[-1][:2]

    async def _read(self, read: Callable[[int], Any], room: int) -> None:
        try:
            await read(min(room, READ_AT_ONCE))
        except Exception as error:
            logger.warning("waiting tasks cannot be read, trying again: %s", error)
            await asyncio.sleep(READ_PAUSE)
        self._reading = None
        self.feed()

    async def _read_plain(self, limit: int) -> None:
        newest = self._newest
        max_bytes = max(1, self._channel.capacity.bytes - self._plain_bytes)
        rows, complete = await self._reader.plain(self.name, self._tail, limit, max_bytes)
        for message in self._messages(rows):
            if message.place is None:
                message.suspect = message.key <= self._suspect
                self._plain.append(message)
                self._plain_bytes += len(message.body)
            else:
                self._push(message)
        if complete:
            # What was committed before the read began has been seen; later rows may have been, too.
            self._tail = max(self._tail, newest, rows[-1][0] if rows else b"")
        else:
            self._tail = rows[-1][0]

    async def _read_ranked(self, limit: int) -> None:
        after = self._reach
        if after is None:
            return
        self._arrived = []
        try:
            max_bytes = max(1, self._channel.capacity.bytes - self._ranked_bytes)
            rows, complete = await self._reader.ranked(self.name, after, limit, max_bytes)
        finally:
            arrived, self._arrived = self._arrived, None
        if self._reach != after:  # it was trimmed meanwhile: what was read is still a row
            return
        for message in self.adopt(rows):
            if self._suspects:
                self._suspects -= 1
                message.suspect = True
            self._push(message)
        self._reach = None if complete else (rows[-1][6] or 0, rows[-1][0])
        self.committed_ranked(arrived)

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
