"""Claims: from the messages of an engine to tasks in the hands of this node's consumers.

A message only says that a task may start. Before anybody runs it, it is claimed, for this node alone, where the truth
about it stands (:class:`Book`). So messages may come twice, late, or in any order: what cannot be claimed has ended or
is somebody else's, and its message is acknowledged and forgotten. That of a claimed task is acknowledged once the
attempt's end is stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from taskmill.queue import Message
from taskmill.queue.drivers.base import Channel
from taskmill.sql import DatabaseError, Overloaded
from taskmill.tasks.cluster import notice
from taskmill.tasks.cluster.front import Front, Rests
from taskmill.tasks.cluster.notice import Notice
from taskmill.tasks.cluster.tempo import Ahead, Tempo
from taskmill.tasks.insist import insist
from taskmill.tasks.message import TaskMessage

logger = logging.getLogger(__name__)

AT_ONCE = 500  # tasks in one claim,
CLAIMS = 2  # of which so many may be under way
PAUSE = 0.5  # seconds after a claim that the database did not take
GIVEN_UP = 5  # deliveries of a message of an unknown action; the leader publishes it anew later
SHY = 0.3  # seconds for which a node wants nothing as such a message comes again, so that others have it


class Book(Protocol):
    """Where it stands who has a task in hand."""

    def knows(self, action: str) -> bool:
        """Whether this node can run an action."""

    async def claim(self, notices: Mapping[bytes, Notice]) -> Mapping[bytes, TaskMessage]:
        """Claim tasks for this node, none of which it has; return those that are now its own.

        Raises:
            DatabaseError: it is not known which; the same may be claimed again.
            Overloaded: none has been claimed.
        """

    async def give_back(self, messages: Sequence[TaskMessage]) -> None:
        """Let go of tasks that this node has claimed and will not run. Raises as :meth:`claim` does."""

    def ended(self, message: TaskMessage) -> None:
        """Hear that the end of a claimed task's attempt is stored."""


class Claims:
    """Claims the tasks of one queue, as its consumers have room; ``front`` is where those take them from.

    ``redelivery`` is how many seconds a task rests that could not be begun, by how often it has been tried.
    ``may_begin`` tells whether this node may begin tasks of the queue now. ``now`` gives the seconds since 1970 where
    a claimed task that expires is for this node to leave alone.
    """

    def __init__(
        self,
        channel: Channel,
        book: Book,
        redelivery: Callable[[int], float],
        may_begin: Callable[[], bool] = lambda: True,
        now: Callable[[], float] | None = None,
    ) -> None:
        self.front = Front(channel, self)
        self.arrived = 0  # messages in all, so far
        self._channel = channel
        self._book = book
        self._redelivery = redelivery
        self._may_begin = may_begin
        self._now = now
        self._giving: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._received: list[tuple[Message, Notice]] = []
        self._asked: set[bytes] = set()  # the tasks that are being claimed
        self._claiming: set[asyncio.Task[None]] = set()
        self._ready: deque[TaskMessage] = deque()
        self._held: dict[bytes, tuple[TaskMessage, Message]] = {}  # what is claimed, wherever it is
        self._rests = Rests(self._rested)
        self._tempo = Tempo(self._loop.time())
        self._ahead = Ahead(self._tempo)
        self._stopped = False
        self._shy_until = 0.0
        self._lacking: set[str] = set()  # actions, as far as that was said

    def start(self) -> None:
        """Begin to take messages."""
        self._channel.subscribe(self)

    async def stop(self) -> None:
        """Take no more messages, and give back what was claimed and has not ended: others may have it at once."""
        if self._stopped:
            return
        self._stopped = True
        self._channel.unsubscribe(self)
        self._rests.end()
        if self._claiming:
            await asyncio.wait(self._claiming)
        held = list(self._held.values())
        self._held.clear()
        try:
            await self._book.give_back([task for task, _ in held])
        except (DatabaseError, Overloaded) as error:
            logger.warning(
                "%d tasks that were claimed go on once this node is given up: %s", len(held), error
            )
        for message in [message for message, _ in self._received] + [message for _, message in held]:
            message.deliveries -= 1  # nobody has begun it
            message.nack()

    def resubscribe(self) -> None:
        """Begin anew with the engine, which gives nothing though it should."""
        self._channel.unsubscribe(self)
        self._channel.subscribe(self)

    def doubt(self) -> None:
        """Doubt every claim: of what has not begun, none begins before its row says once more that it may."""
        for task, _ in self._held.values():
            if not task.started_at:
                task.suspect = True

    def take_back(self, task: TaskMessage) -> None:
        """Take a task back from a consumer that must not begin it now. It stays claimed."""
        self._ready.appendleft(task)

    def give_up(self, tasks: Sequence[TaskMessage]) -> None:
        """Give claimed tasks back that nobody takes here, for any node to have."""
        giving = self._loop.create_task(
            insist(lambda: self._book.give_back(tasks), "a task that was claimed")
        )
        self._giving.add(giving)
        giving.add_done_callback(self._giving.discard)
        for task in tasks:
            self._held.pop(task.key)[1].ack()

    def give_up_ready(self) -> None:
        """Give back what waits for consumers, where there are none any more."""
        if self._ready and not self.front.receivers():
            ready = list(self._ready)
            self._ready.clear()
            self.give_up(ready)

    def has(self, key: bytes) -> bool:
        """Whether a task is claimed."""
        return key in self._held

    def in_hand(self) -> list[TaskMessage]:
        """Return the tasks that are claimed."""
        return [task for task, _ in self._held.values()]

    # What the engine's channel asks of a receiver.

    def credit(self) -> int:
        """How many more messages are wanted: what consumers would take, and what goes by on the way."""
        wanted = self.front.credit()
        now = self._loop.time()
        if self._stopped or not self.front.receivers() or not self._may_begin() or now < self._shy_until:
            return 0
        ahead = self._ahead.count(now)
        return max(0, wanted + ahead - len(self._received) - len(self._asked) - len(self._ready))

    def receive(self, messages: Sequence[Message]) -> None:
        """Take messages, and claim their tasks."""
        self.arrived += len(messages)
        self._ahead.came(len(messages))
        for message in messages:
            named = notice.read(message)
            if named is None:
                logger.error(
                    "message %s is dropped: a function published it, and it is no task", message.id()
                )
                message.ack()
            elif not self._book.knows(named.action):
                self._leave(message, named)
            else:
                self._received.append((message, named))
        self._begin()

    # What the front asks of its supply.

    def draw(self, limit: int) -> Sequence[TaskMessage]:
        """Return claimed tasks that are ready for a consumer."""
        if self._stopped or not self._may_begin():
            return ()
        ready = self._ready
        drawn = [ready.popleft() for _ in range(min(limit, len(ready)))]
        if self._now is not None and any(task.place and task.place.expires_at for task in drawn):
            return self._in_time(drawn, self._now() * 1000)
        return drawn

    def settled(self, message: Message, acknowledged: bool) -> None:
        """Let go of a task whose attempt's end is stored, or have it rest that could not be begun."""
        assert isinstance(message, TaskMessage)  # noqa: S101 - nothing else is drawn
        if not acknowledged:
            if not self._stopped:
                self._rests.add(message, self._redelivery(message.deliveries))
            return
        _, carrier = self._held.pop(message.key, (None, None))
        if carrier is not None:
            carrier.ack()
        self._tempo.passed(1)
        self._book.ended(message)

    def wanted(self) -> None:
        """Have the engine give more, where there is room for it."""
        if self.credit() > 0:
            self._channel.pump()

    def _in_time(self, tasks: Sequence[TaskMessage], now: float) -> Sequence[TaskMessage]:
        """Return those that have not expired. The others are given back: the alarm of whoever leads ends them."""
        late = [task for task in tasks if task.place and (task.place.expires_at or now + 1) <= now]
        if late:
            self.give_up(late)
        return [task for task in tasks if task not in late]

    def _leave(self, message: Message, named: Notice) -> None:
        """Leave a task to nodes that know its action."""
        if message.deliveries >= GIVEN_UP:
            message.ack()
            return
        if named.action not in self._lacking:
            self._lacking.add(named.action)
            logger.warning("tasks of action %r are left to other nodes: this one lacks it", named.action)
        message.nack()
        self._loop.call_later(self._redelivery(message.deliveries), self._be_shy)

    def _be_shy(self) -> None:
        self._shy_until = self._loop.time() + SHY
        self._loop.call_later(SHY, self.wanted)

    def _begin(self) -> None:
        """Claim what has been received: in the order of its coming, and as much at once as a claim may."""
        while self._received and not self._stopped:
            under_way = len(self._claiming)
            if under_way == CLAIMS or (under_way and len(self._received) < AT_ONCE):
                return  # the next one takes these along
            batch, self._received = self._received[:AT_ONCE], self._received[AT_ONCE:]
            fresh: dict[bytes, tuple[Message, Notice]] = {}
            for message, named in batch:
                key = named.key or b""
                if key in self._held or key in self._asked:
                    message.ack()  # it came twice
                else:
                    self._asked.add(key)
                    fresh[key] = message, named
            if fresh:
                claiming = self._loop.create_task(self._claim(fresh))
                self._claiming.add(claiming)
                claiming.add_done_callback(self._claimed)

    async def _claim(self, fresh: Mapping[bytes, tuple[Message, Notice]]) -> None:
        try:
            claimed = await self._book.claim({key: named for key, (_, named) in fresh.items()})
        except Exception as error:  # of any kind: without claims nothing runs any more
            expected = isinstance(error, DatabaseError | Overloaded)
            text = "%d tasks cannot be claimed, trying again: %s"
            logger.warning(text, len(fresh), error, exc_info=not expected)
            await asyncio.sleep(PAUSE)
            self._received[:0] = fresh.values()
            self._asked.difference_update(fresh)
            return
        self._asked.difference_update(fresh)
        self._judge()
        for key, (message, _) in fresh.items():
            task = claimed.get(key)
            if task is None:  # it has ended, or is somebody else's
                message.ack()
            else:
                self._held[key] = task, message
                self._ready.append(task)

    def _claimed(self, claiming: asyncio.Task[None]) -> None:
        self._claiming.discard(claiming)
        self._begin()
        self.front.pump()

    def _judge(self) -> None:
        """See, as tasks come, whether consumers have run dry meanwhile, or have not yet taken those before."""
        if not self._ready and self.front.is_dry():
            self._ahead.ran_dry(self._loop.time())
        elif self._ready:
            self._ahead.was_plenty(self._loop.time())

    def _rested(self, message: Message) -> None:
        assert isinstance(message, TaskMessage)  # noqa: S101 - nothing else rests
        self._ready.appendleft(message)
        self.front.pump()
