"""The relay: hands the tasks that a dispatcher draws to an engine's queue, each as a message that only names it.

Rows are the truth, so a message may be lost: what has been published, is not claimed, and waits nowhere is published
again. Few are on their way at a time, as many as are claimed in a moment, so that the order is decided late.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from uuid import uuid4

from taskmill.queue import Message, QueueError
from taskmill.queue.drivers.base import Channel, Room
from taskmill.tasks.cluster import notice
from taskmill.tasks.cluster.front import Front
from taskmill.tasks.cluster.notice import Notice
from taskmill.tasks.cluster.outstanding import Entry, Outstanding
from taskmill.tasks.cluster.tempo import Ahead
from taskmill.tasks.message import TaskMessage

logger = logging.getLogger(__name__)

WINDOW = Room(10_000, 2**26)  # what a dispatcher keeps in memory
LEAST = 16  # messages that are on their way at least
PAUSE = 0.5  # seconds after a publication that failed, at first
PAUSE_MOST = 1.0
LOOK = 0.05  # seconds between looks at how much is on its way,
REPAIR = 0.5  # and for messages that are lost


class Relay:
    """One queue's way out: a dispatcher draws into it as into a channel. ``front`` is that of this node's consumers."""

    capacity = WINDOW

    def __init__(self, name: str, channel: Channel, front: Front, outstanding: Outstanding) -> None:
        self.outstanding = outstanding
        outstanding.freed = self.pump
        self._ahead = Ahead(outstanding.tempo)
        self._name = name
        self._channel = channel
        self._front = front
        self._loop = asyncio.get_running_loop()
        self._source: Callable[[int], Sequence[TaskMessage]] = lambda _: ()
        self._again: list[Entry] = []
        self._limited = False  # more could be on their way
        self._publishing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._fence = 0
        self._run = uuid4().hex[:12]

    def start(self, fence: int = 0) -> None:
        """Begin to publish, under the lead of a number."""
        self._fence = fence
        self._watching = self._loop.create_task(self._watch())
        self.pump()

    def rest(self) -> None:
        """Publish no more, and forget what is on its way, until the next start."""
        for task in (self._watching, self._publishing):
            if task is not None:
                task.cancel()
        self._watching = self._publishing = None
        self._again.clear()
        self.outstanding.clear()

    def publish_again(self, message: TaskMessage) -> bool:
        """Publish a task anew that a node had, and has no more; tell whether it was on its way from here."""
        entry = self.outstanding.entries.get(message.key)
        if entry is None:
            return False
        self.outstanding.unclaim(entry)
        entry.message.attempts = message.attempts
        entry.message.suspect = message.suspect
        self._again.append(entry)
        self.pump()
        return True

    # What a dispatcher asks of its channel.

    def draw_from(self, source: Callable[[int], Sequence[TaskMessage]]) -> None:
        """Take tasks from a source, as many as may be on their way."""
        self._source = source

    def pump(self) -> None:
        """Publish what may be on its way, and see that consumers have what is theirs."""
        self._front.pump()
        if self._publishing is not None or self._watching is None:
            return
        again, self._again = self._again, []
        room = LEAST + self._ahead.count(self._loop.time()) - self.outstanding.unclaimed
        if self.outstanding.bytes > WINDOW.bytes:
            room = 0
        messages = self._source(room) if room > 0 else ()
        self._limited = len(messages) == max(0, room)
        if messages or again:
            now = self._loop.time()
            again = [entry for entry in again if self._is_out(entry)]
            for entry in again:
                entry.number = self.outstanding.next_number()
            entries = again + [self.outstanding.add(message, now) for message in messages]
            self._publishing = self._loop.create_task(self._publish(entries))

    def receivers(self) -> int:
        """How many consumers of this node take the queue's tasks."""
        return self._front.receivers()

    def _is_out(self, entry: Entry) -> bool:
        return not entry.claimed and self.outstanding.entries.get(entry.message.key) is entry

    async def _publish(self, entries: Sequence[Entry]) -> None:
        """Publish tasks, however long that takes: the engine may be away."""
        messages = [self._message(entry) for entry in entries]
        pause = PAUSE
        while True:
            try:
                await self._channel.publish(messages)
                break
            except QueueError as error:
                if pause == PAUSE:
                    logger.warning("tasks of queue %s wait for its engine: %s", self._name, error)
            await asyncio.sleep(pause)
            pause = min(PAUSE_MOST, 2 * pause)
        self._ahead.came(len(entries))
        now = self._loop.time()
        for entry in entries:
            entry.at = now
        self._publishing = None
        self.pump()

    def _message(self, entry: Entry) -> Message:
        """Make a message, with an id of its own: a task is published anew for each attempt."""
        task = entry.message
        body = notice.write(Notice(task.id(), task.name, task.suspect, self._fence))
        return Message(f"{task.id()}.{self._run}.{entry.number:x}", body)

    async def _watch(self) -> None:
        repaired = self._loop.time()
        while True:
            await asyncio.sleep(LOOK)
            try:
                if self._limited:
                    self._judge(await self._channel.depth())
                now = self._loop.time()
                if now - repaired > REPAIR:
                    repaired = now
                    await self._repair(now)
            except QueueError:  # it says so itself, and mends itself
                continue
            except Exception:
                logger.exception("lost messages of queue %s cannot be looked for", self._name)

    def _judge(self, waiting: int) -> None:
        """See whether enough is on its way: something should wait at the engine, whenever a node wants it."""
        now = self._loop.time()
        if waiting > self._ahead.count(now) // 2:
            self._ahead.was_plenty(now)
        elif not waiting:
            self._ahead.ran_dry(now)
            self.pump()

    async def _repair(self, now: float) -> None:
        """Publish again what must be lost."""
        if self._publishing is not None or not self.outstanding.overdue(now):
            return
        nothing_waits = not await self._channel.depth()
        lost = list(self.outstanding.lost(now, nothing_waits=nothing_waits))
        if not lost or self._publishing is not None:
            return
        logger.info("%d messages of queue %s seem to be lost: published again", len(lost), self._name)
        for entry in lost:
            entry.times += 1
        self._again += lost
        self.pump()
