"""The backlog: how many tasks have not ended, and whether those are as many as may be.

It is a number in memory, changed once a batch, so that a submission pays one comparison for it. It is counted
from the rows when the service starts, and now and then from there on, since an end that raced with a
cancellation may have been counted twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

logger = logging.getLogger(__name__)

RECOUNT = 600.0  # seconds between counts,
RECOUNT_SHARED = 30.0  # where other nodes add and end tasks, too
RECOUNT_FULL = 10.0  # while submissions are refused
LONGEST = 60  # seconds that a client is told to wait
SHARE = 0.01  # of the limit, that should be free when a client comes again


class Backlog:
    """Counts tasks that wait or run. ``full`` says that submissions are to be refused.

    ``limit`` of None is no limit. ``count`` reads the number from the rows,
    which other nodes change as well where they are ``shared``.
    """

    def __init__(
        self, limit: int | None, count: Callable[[], Awaitable[int]], *, shared: bool = False
    ) -> None:
        self.tasks = 0
        self.full = False
        self.limit = limit
        self._count = count
        self._shared = shared
        self._reached = asyncio.Event()
        self._counting: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to count."""
        if self.limit is not None:
            self._counting = asyncio.create_task(self._recount())

    async def stop(self) -> None:
        """Count no more."""
        if self._counting is not None:
            self._counting.cancel()
            await asyncio.wait([self._counting])

    def changed(self, by: int) -> None:
        """Note that so many tasks have been stored, or, below 0, have ended."""
        self.tasks += by
        if self.limit is not None:
            self.full = self.tasks >= self.limit
            if self.full:
                self._reached.set()

    def retry_after(self, rate: float | None) -> int:
        """Return how many seconds a refused client should wait: until a good many places are free.

        ``rate`` is how many tasks end in a second, None if nobody knows.
        """
        limit = self.limit or 0
        above = self.tasks - limit + max(1, int(limit * SHARE))
        return min(LONGEST, max(1, round(above / rate))) if rate else LONGEST

    async def _recount(self) -> None:
        while True:
            self._reached.clear()
            before = self.tasks
            try:
                counted = await self._count()
            except Exception as error:
                logger.warning("waiting tasks cannot be counted, trying again: %s", error)
            else:
                self.changed(counted - before)  # what has changed meanwhile stays
            await self._rest()

    async def _rest(self) -> None:
        if self.full:
            await asyncio.sleep(RECOUNT_FULL)
            return
        try:
            async with asyncio.timeout(RECOUNT_SHARED if self._shared else RECOUNT):
                await self._reached.wait()
        except TimeoutError:
            pass
