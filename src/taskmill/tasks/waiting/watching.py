"""Watching the rows for ends that were not seen here: of tasks that other nodes run, or by a way that tells nobody."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable
from typing import Final

from taskmill.sql import Database, DatabaseError, Overloaded
from taskmill.tasks.cluster import topics
from taskmill.tasks.waiting import looking

logger = logging.getLogger(__name__)

LOOK: Final = 1.0  # seconds between looks at the rows, all at once, of the tasks that are waited for
FIRST: Final = (
    0.05  # to the first, and twice as many each time: nodes may not have heard yet that somebody waits
)
HEARD: Final = 3 * LOOK  # for how long a node tells of its ends after another has asked for that
SHARE: Final = 9  # looks rest so many times as long as they take


class Watching:
    """Looks for tasks that have ended while somebody waits; nothing happens while nobody does.

    Where several nodes share the rows, one with waiters says so by a signal, and for some seconds the others send
    one when tasks of theirs have ended. ``alone`` tells that there are no others.
    """

    def __init__(self, database: Database, alone: Callable[[], bool]) -> None:
        self._database = database
        self._alone = alone
        self._keys: Collection[bytes] = ()
        self._found: Callable[[Iterable[bytes]], None] = lambda _: None
        self._asked_until = 0.0  # by the loop's clock, as is this:
        self._ask_again = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        if database.shared:
            database.signals.on(topics.AWAITED, self._heed)
            for topic in (topics.ENDED, topics.CANCEL):
                database.signals.on(topic, self._wake.set)

    def connect(self, keys: Collection[bytes], found: Callable[[Iterable[bytes]], None]) -> None:
        """Take the ids of those tasks that are waited for, and what gets those that have ended."""
        self._keys = keys
        self._found = found

    def begin(self) -> None:
        """Look from now on until nobody waits: somebody does."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="look for the ends of tasks")

    def tell(self) -> None:
        """Tell other nodes that tasks have ended here, if one of them asked for that."""
        if self._asked_until and self._asked_until > asyncio.get_running_loop().time():
            self._database.signals.send(topics.ENDED)

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _heed(self) -> None:
        if not self._alone():
            self._asked_until = asyncio.get_running_loop().time() + HEARD

    def _ask(self) -> None:
        """Ask the other nodes, if it is time to, to tell when tasks have ended."""
        now = asyncio.get_running_loop().time()
        if now >= self._ask_again and not self._alone():
            self._ask_again = now + LOOK
            self._database.signals.send(topics.AWAITED)

    async def _run(self) -> None:
        rest = FIRST if self._database.shared else LOOK
        self._wake.clear()
        try:
            while self._keys:
                self._ask()
                try:
                    async with asyncio.timeout(rest):
                        await self._wake.wait()
                except TimeoutError:
                    pass
                self._wake.clear()
                await asyncio.sleep(SHARE * await self._look())
                rest = min(LOOK, 2 * rest)
        finally:
            self._task = None

    async def _look(self) -> float:
        """Find which tasks have ended; return how many seconds that took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            self._found(await looking.ended(self._database, self._keys))
        except (DatabaseError, Overloaded):
            pass  # the next look finds them; who reads or writes meanwhile says what is wrong
        except Exception:  # whatever it is, later ones are still to be looked for
            logger.exception("the ends of tasks cannot be looked for")
        return loop.time() - began
