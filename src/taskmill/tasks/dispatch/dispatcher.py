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
from bisect import insort
from collections.abc import Callable, Sequence
from time import time

from taskmill.queue import Queue
from taskmill.tasks.actions.catalog import Catalog, Registered
from taskmill.tasks.dispatch.limits import Limits
from taskmill.tasks.dispatch.making import Making
from taskmill.tasks.dispatch.outlet import Outlet
from taskmill.tasks.dispatch.pace import Pace
from taskmill.tasks.dispatch.strays import Strays
from taskmill.tasks.dispatch.window import Window
from taskmill.tasks.ids import time_in
from taskmill.tasks.message import FIRST, Dispatchable, TaskMessage
from taskmill.tasks.rows.reader import Reader

EVER = 2**63  # milliseconds since 1970


class Dispatcher(Window):
    """Hands a queue's tasks to its consumers, each once, as they want more.

    ``dropped`` holds the keys of tasks that have ended as rows, such as by being cancelled, and are still in
    memory; ``let_go`` hears of each such task that is left out. ``strays`` takes in what was stored without the
    limit that its action has now. ``outlet`` is where tasks go if not straight to this process's consumers.
    ``elsewhere`` is told of new tasks while another node hands them out. ``ahead`` tells by how many seconds
    the clock of all nodes is before this one's, and ``others`` stands in for actions that this one lacks.
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
        outlet: Outlet | None = None,
        elsewhere: Callable[[], None] = lambda: None,
        ahead: Callable[[], float] = lambda: 0.0,
        others: Registered | None = None,
    ) -> None:
        self._channel = outlet or queue.window
        super().__init__(
            queue.name,
            reader,
            self._channel.capacity,
            Making(catalog, others),
            dropped=dropped,
            let_go=let_go,
            strays=strays,
        )
        self.paused = False
        self.pace = Pace()
        self._limits = limits
        self._elsewhere = elsewhere
        self._ahead = ahead
        self._channel.draw_from(self.draw)

    async def start(self, newest: bytes, running: Sequence[Dispatchable], killed: bool) -> None:
        """Take up where the last run ended: the tasks that were ``running`` come first, then the queued ones.

        If the last run was ``killed``, any task that it had dispatched may be what killed it. Those are
        marked, so that each attempt is on disk before it begins, and a poison task runs out of attempts.
        """
        self._stopped = False
        self._newest = self._last = newest
        if killed:
            self._suspect_plain = self._suspect_ranked = self._capacity.messages
        for message in self._making.messages(running, suspect=True, first=True):
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

    def left(self, newest: bytes) -> None:
        """Note plain tasks up to an id that have just been committed, and stay rows until they are read."""
        self._newest = max(self._newest, newest)
        self.feed()

    def committed_ranked(self, messages: Sequence[TaskMessage]) -> None:
        """Take other tasks that have just been committed, or leave them rows where better ones fill the window."""
        if self._stopped:
            self._elsewhere()
            return
        self._ranked.committed(messages)
        self.feed()

    def fresh(self, rows: Sequence[Dispatchable]) -> None:
        """Take rows that other nodes have stored."""
        messages = self.adopt(rows)
        self._ranked.known.difference_update([message.key for message in messages])
        if messages:
            self.committed_ranked(messages)

    def look_again(self) -> None:
        """Read all that waits again, from the best on: other nodes may have queued tasks anywhere."""
        if not self._stopped:
            self._ranked.edge.reset()
            self.fill()

    def rest(self) -> list[bytes]:
        """Hand out nothing more, and forget all, until the next start; return what had been handed out."""
        waiting = {message.key for _, _, message in self._ranked.waiting}
        out = [key for key in self._ranked.known if key not in waiting]
        self.clear()
        return out

    def hold(self, row: Dispatchable) -> TaskMessage | None:
        """Take note of a task that a node has already; return it, unless it is known, or nobody knows its action."""
        messages = self.adopt([row])
        for message in messages:
            self._limits.occupy(message)
        return messages[0] if messages else None

    @property
    def edge(self) -> int:
        """The rank up to which tasks are in memory, or read before long."""
        at = self._ranked.edge.at
        return EVER - 1 if at is None else at[0]

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

    def draw_of(self, actions: frozenset[str], limit: int) -> tuple[Sequence[TaskMessage], int]:
        """Take the best tasks of some actions, as :meth:`draw` does; tell how many others were passed over.

        They are looked for among what is in memory.
        """
        batch: list[TaskMessage] = []
        others = []
        while not self.paused and not self._stopped and len(batch) < limit:
            message = self._pop()
            if message is None:
                break
            if message.name not in actions:
                others.append(message)
            elif self._may_start(message):
                batch.append(message)
        for message in reversed(others):
            if message.place is None:
                self._plain.appendleft(message)
                self._plain_bytes += len(message.body)
            else:
                self._ranked.push(message)
        if len(batch) < limit:
            self.fill()
        return batch, len(others)

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
        if dropped or (
            place and place.rank != FIRST and (place.expires_at or EVER) <= (time() + self._ahead()) * 1000
        ):
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
