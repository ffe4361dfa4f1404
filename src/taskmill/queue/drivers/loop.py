"""A loop that is never silently dead: each round has a limit, and what fails, hangs or dies is begun again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from taskmill.queue.drivers.outage import Backoff, Outage

logger = logging.getLogger(__name__)


class Loop:
    """Runs ``round`` again and again until stopped. A round is done within ``limit`` seconds, or counts as failed.

    ``part`` is what it is called in the ``outage``, which hears of its failures; ``failed`` is called after each,
    to let go of what may be broken. A round that does not even let itself be broken off is left behind.
    """

    def __init__(
        self,
        part: str,
        outage: Outage,
        round: Callable[[], Awaitable[None]],  # noqa: A002 - it is what it is
        *,
        limit: float,
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        self.part = part
        self._outage = outage
        self._round = round
        self._limit = limit
        self._failed = failed
        self._task: asyncio.Task[None] | None = None
        self._guard: asyncio.TimerHandle | None = None
        self._progress = 0.0  # when a round ended last
        self._stopping = False

    def start(self) -> None:
        """Begin."""
        self._begin()
        self._look()

    async def stop(self) -> None:
        """Break off the round under way; return once it has ended, or after two seconds."""
        self._stopping = True
        if self._guard is not None:
            self._guard.cancel()
        for _ in range(20):
            if self._task is None or self._task.done():
                return
            self._task.cancel()  # again, as there are libraries that swallow a cancellation
            await asyncio.wait([self._task], timeout=0.1)

    def problem(self) -> str | None:
        """What is wrong: an outage, or a loop that gets nowhere and has not noticed."""
        if known := self._outage.problem(self.part):
            return known
        if self._task is None or self._stopping:
            return f"{self._outage.what}: {self.part} does not run"
        idle = asyncio.get_running_loop().time() - self._progress
        if idle > 2 * self._limit:
            return f"{self._outage.what}: {self.part} has got nowhere for {idle:.0f} s"
        return None

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._progress = loop.time()
        self._task = loop.create_task(self._run(), name=self.part)
        self._task.add_done_callback(self._ended)

    async def _run(self) -> None:
        backoff = Backoff()
        me = asyncio.current_task()
        while not self._stopping and self._task is me:
            try:
                async with asyncio.timeout(self._limit):
                    await self._round()
            except TimeoutError as error:
                why = str(error) or f"{self.part} has got nowhere for {self._limit:g} s"
            except Exception as error:
                why = str(error) or type(error).__name__
            else:
                self._progress = asyncio.get_running_loop().time()
                self._outage.ends(self.part)
                backoff.reset()
                continue
            self._progress = asyncio.get_running_loop().time()
            self._outage.begins(self.part, why)
            self._failed()
            await backoff.rest()

    def _look(self) -> None:
        """Leave behind a round that has not ended although it was broken off, and begin anew."""
        loop = asyncio.get_running_loop()
        self._guard = loop.call_later(self._limit, self._look)
        if loop.time() - self._progress > 4 * self._limit and self._task is not None:
            logger.error("%s: %s hangs, and is begun again", self._outage.what, self.part)
            left, self._task = self._task, None
            left.cancel()
            self._failed()
            self._begin()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Begin anew where the loop has ended although nobody stopped it."""
        if self._stopping or task is not self._task:
            return
        error = None if task.cancelled() else task.exception()
        logger.error("%s: %s ended by itself and is begun again: %r", self._outage.what, self.part, error)
        self._failed()
        self._begin()
