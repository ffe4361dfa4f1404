"""Health means progress: a node that is connected, has room, and yet gets nothing of what waits is not well.

Consumers have fallen silent after a reconnect in many a queue, with every check green. So what is watched is whether
messages arrive; where they do not, the node says so, and begins anew with its engine.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Final

logger = logging.getLogger(__name__)

PATIENCE: Final = 10.0  # seconds without a message, though there is room and some wait
LOOK: Final = 1.0  # seconds between looks


class Progress:
    """Watches one queue.

    ``credit`` is how many more messages its consumers here want, ``arrived`` a number that grows with each that
    comes, ``waiting`` how many wait at the engine, or an exception where that cannot be told. ``mend`` begins anew.
    """

    def __init__(
        self,
        queue: str,
        credit: Callable[[], int],
        arrived: Callable[[], int],
        waiting: Callable[[], Awaitable[int]],
        mend: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.problem: str | None = None  # what is wrong, and that it is being mended
        self._queue = queue
        self._credit = credit
        self._arrived = arrived
        self._waiting = waiting
        self._mend = mend
        self._clock = clock
        self._count = -1
        self._since = clock()  # when something arrived last, or need not have
        self._mended = float("-inf")

    async def look(self) -> None:
        """See whether there is progress, and mend where there is none."""
        now = self._clock()
        count, credit = self._arrived(), self._credit()
        if count != self._count or credit <= 0:
            self._is_well(count, now)
            return
        waiting = await self._waiting()
        if not waiting:
            self._is_well(count, now)
            return
        idle = now - self._since
        if idle < PATIENCE:
            return
        if self.problem is None:
            logger.error(
                "queue %s gives this node nothing, though %d messages wait there", self._queue, waiting
            )
        self.problem = (
            f"queue {self._queue} has given this node nothing for {idle:.0f} s, though {waiting} messages wait and "
            f"there is room for {credit}; it is subscribed anew"
        )
        if now - self._mended >= PATIENCE:
            self._mended = now
            self._mend()

    def _is_well(self, count: int, now: float) -> None:
        if self.problem is not None:
            logger.warning("queue %s gives this node messages again", self._queue)
        self.problem = None
        self._count, self._since = count, now


class Health:
    """Watches all queues that an engine carries. ``problems`` says what is wrong now."""

    def __init__(self, progresses: Sequence[Progress]) -> None:
        self._progresses = progresses
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch, if there is anything to."""
        if self._progresses:
            self._task = asyncio.create_task(self._run(), name="watch progress")

    async def stop(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def problems(self) -> list[str]:
        """Return what keeps this node from working, a sentence each."""
        return [progress.problem for progress in self._progresses if progress.problem is not None]

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            for progress in self._progresses:
                try:
                    await progress.look()
                except Exception as error:  # the engine is away, and says so itself
                    logger.debug("how much waits cannot be told: %s", error)
