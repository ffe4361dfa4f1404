"""The alarm: queues scheduled tasks when their time has come, and ends those that nobody started in time.

Only the next time is kept in memory, so a million scheduled tasks cost none. The wall clock is what counts, and
it may be set: it is looked at once a second at least.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import time
from typing import Any

from taskmill.sql import Overloaded
from taskmill.sql.errors import DatabaseError
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.rows.over import Over
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.rows.store import Store

logger = logging.getLogger(__name__)

AT_ONCE = 500  # tasks in one transaction: some milliseconds of the writer's time
LOOK = 1.0  # seconds between looks at the clock
PAUSE = 0.5  # seconds after a failure


class Alarm:
    """Rings for scheduled and for expiring tasks.

    ``due`` gets the rows of tasks that are queued now, ``expired`` those that have ended, both in
    the order of commits; ``started`` tells which are no longer waiting though their row does not say so yet.
    ``elsewhere`` is told of new times while the alarm is another node's, and ``ahead`` tells by how many seconds
    the clock of all nodes is before this one's.
    """

    def __init__(
        self,
        store: Store[Any, Any],
        reader: Reader,
        due: Callable[[Sequence[Dispatchable]], None],
        expired: Callable[[Sequence[Over]], None],
        started: Callable[[bytes], bool],
        *,
        ahead: Callable[[], float] = lambda: 0.0,
        elsewhere: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._reader = reader
        self._due = due
        self._expired = expired
        self._started = started
        self._ahead = ahead
        self._elsewhere = elsewhere
        self._next: int | None = None  # milliseconds since 1970
        self._sooner = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to watch the clock."""
        self._next = await self._reader.next_alarm()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Ring no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def set(self, at: int) -> None:
        """Ring at a time, too: milliseconds since 1970."""
        if self._task is None:
            self._elsewhere()
        elif self._next is None or at < self._next:
            self._next = at
            self._sooner.set()

    def look(self) -> None:
        """Look at the rows now: another node has put a task off."""
        self.set(0)

    async def _run(self) -> None:
        while True:
            self._sooner.clear()
            now = int((time() + self._ahead()) * 1000)
            if self._next is not None and self._next <= now:
                try:
                    await self._ring(now)
                except Exception as error:  # of any kind: without the alarm nothing is retried any more
                    expected = isinstance(error, DatabaseError | Overloaded)
                    logger.warning(
                        "scheduled tasks cannot be queued, trying again: %s", error, exc_info=not expected
                    )
                    self._next = now
                    await asyncio.sleep(PAUSE)
                continue
            wait = LOOK if self._next is None else min((self._next - now) / 1000, LOOK)
            try:
                async with asyncio.timeout(wait):
                    await self._sooner.wait()
            except TimeoutError:
                pass

    async def _ring(self, now: int) -> None:
        self._next = None  # what is submitted from here on sets it
        rows = await self._store.due(now, AT_ONCE, self._due)
        late = [key for key in await self._reader.expired(now, AT_ONCE) if not self._started(key)]
        ended = await self._store.expire(late, self._expired) if late else []
        following = now if len(rows) == AT_ONCE or len(ended) == AT_ONCE else await self._reader.next_alarm()
        if following is not None:
            # An expired task that has begun already stands in the way until its row says so.
            self.set(following if following > now or rows or ended else now + 100)
