"""Following the others: what another node has done to tasks, queues and schedules, and this one must heed.

Signals say at once that there is something; each beat looks as well, since a signal may be lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Any

from taskmill.sql import DatabaseError, Overloaded
from taskmill.tasks.cluster import topics
from taskmill.tasks.cluster.nodes import Nodes
from taskmill.tasks.lifecycle import ENDED
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows.reader import Reader

logger = logging.getLogger(__name__)


class Following:
    """Looks, at each signal and each beat, what of this node's work is no longer its own.

    ``in_hand`` returns the tasks that this node has, begun or not; ``let_go`` gets those of them that have ended as
    rows, or are another node's. ``pauses`` takes over which queues are paused, and ``schedules`` hears that some
    schedule is another.
    """

    def __init__(
        self,
        reader: Reader,
        nodes: Nodes,
        in_hand: Callable[[], Collection[TaskMessage]],
        let_go: Callable[[Collection[TaskMessage]], None],
        pauses: Callable[[], Any],
        schedules: Callable[[], None],
    ) -> None:
        self._reader = reader
        self._nodes = nodes
        self._in_hand = in_hand
        self._let_go = let_go
        self._pauses = pauses
        self._schedules = schedules
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow, where the database has several nodes."""
        database = self._reader.database
        if not database.shared:
            return
        for topic in (topics.CANCEL, topics.PAUSE):
            database.signals.on(topic, self._wake.set)
        database.signals.on(topics.SCHEDULES, self._schedules)
        self._nodes.beaten.append(self._wake.set)
        self._task = asyncio.create_task(self._run(), name="follow the other nodes")

    async def stop(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def look(self) -> None:
        """Take over what the rows say now."""
        await self._pauses()
        mine = list(self._in_hand())
        if not mine:
            return
        states = await self._reader.states([message.key for message in mine])
        own = {bytes(row[0]) for row in states if _is_own(row[1], row[2], self._nodes.id)}
        if lost := [message for message in mine if message.key not in own]:
            self._let_go(lost)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self.look()
            except (DatabaseError, Overloaded):
                continue  # the next beat looks again, and says what is wrong
            except Exception:  # whatever it is, what comes later is to be followed
                logger.exception("what other nodes have changed cannot be looked for")


def _is_own(status: int, node: bytes | None, me: bytes) -> bool:
    """Whether a task's row leaves it to a node."""
    return status not in ENDED and (node is None or bytes(node) == me)
