"""The feed: how the leader learns of tasks that other nodes have stored.

A signal says that there are some; polling finds them all the same. Rows become visible in the order of their commits
and not of their ids, so each look goes back a little, and now and then a good deal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final

from taskmill.sql import Database, DatabaseError, Overloaded
from taskmill.tasks.cluster import topics
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.ids import least_id, time_in
from taskmill.tasks.rows.reader import Reader

logger = logging.getLogger(__name__)

POLL: Final = 0.1  # seconds between looks that nobody asked for
REST: Final = 0.02  # seconds between looks at least
AT_ONCE: Final = 1_000  # rows in one read
BACK: Final = 500  # milliseconds that a look goes back,
FAR_BACK: Final = 10_000  # and once in a while,
FAR_EVERY: Final = 2.0  # seconds
ALL_EVERY: Final = 10.0  # seconds between looks at everything that waits
FAILED: Final = 0.5  # seconds after a look that failed


class Feed:
    """Reads fresh rows into dispatchers, while this node leads. ``alone`` tells whether no other node is alive."""

    def __init__(
        self,
        database: Database,
        reader: Reader,
        dispatchers: Iterable[Dispatcher],
        now: Callable[[], float],
        alone: Callable[[], bool],
    ) -> None:
        self._database = database
        self._reader = reader
        self._dispatchers = dispatchers
        self._now = now
        self._alone = alone
        self._wake = asyncio.Event()
        self._newest = 0  # the time in the newest id that was seen
        self._far = self._all = 0.0  # when those looks were made
        self._task: asyncio.Task[None] | None = None
        database.signals.on(topics.PLAIN, self._wake.set)
        database.signals.on(topics.QUEUED, self._look_at_all)

    async def start(self) -> None:
        """Begin to look."""
        self._newest = int(self._now() * 1000)
        self._far = self._all = monotonic()
        self._task = asyncio.create_task(self._run(), name="feed")

    async def stop(self) -> None:
        """Look no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def look(self) -> None:
        """Look once."""
        now = monotonic()
        back = BACK
        if now - self._far > FAR_EVERY:
            self._far, back = now, FAR_BACK
        after = least_id(self._newest - back)
        for dispatcher in self._dispatchers:
            await self._read(dispatcher, after)
        if now - self._all > ALL_EVERY:
            self._look_at_all()

    async def _read(self, dispatcher: Dispatcher, after: bytes) -> None:
        while True:
            rows = await self._reader.fresh(dispatcher.name, after, dispatcher.edge, AT_ONCE)
            dispatcher.fresh(rows)
            if rows:
                after = rows[-1][0]
                self._newest = max(self._newest, time_in(after))
            if len(rows) < AT_ONCE:
                return

    def _look_at_all(self) -> None:
        if self._task is not None:
            self._all = monotonic()
            for dispatcher in self._dispatchers:
                dispatcher.look_again()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(1.0 if self._alone() else POLL):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            rest = REST
            try:
                await self.look()
            except (DatabaseError, Overloaded):  # others say so
                rest = FAILED
            except Exception:
                logger.exception("tasks of other nodes cannot be read, trying again")
                rest = FAILED
            await asyncio.sleep(rest)
