"""One move: from the first row copied to the moment when the new database is the truth."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final, Literal

import msgspec

from taskmill.process.pool import WorkerPool
from taskmill.sql import Database, DatabaseError
from taskmill.tasks.move import ends, schema
from taskmill.tasks.move.copying import CHANGES, Copy
from taskmill.tasks.move.draining import break_off, drain
from taskmill.tasks.sealing.database import stored
from taskmill.tasks.service import TaskService

logger = logging.getLogger(__name__)

SWITCH: Final = 30.0  # seconds that the switch may take; then the old database goes on
TRIES: Final = 100  # of the last commit, where others submit in transactions of their own

State = Literal["none", "copying", "following", "draining", "switching", "done", "failed", "unfinished"]


class Progress(msgspec.Struct):
    """How far a move is. ``held`` is for how many seconds nobody was served, ``entry`` what `_index.yaml` is to say."""

    state: State = "none"
    to: str | None = None
    total: int = 0
    copied: int = 0
    behind: int = 0
    error: str | None = None
    held: float | None = None
    entry: str | None = None


class Move:
    """Copies what ``tasks`` has to ``target``, and then calls ``replace``, which has :meth:`switch` called.

    ``patience`` is for how many seconds tasks that run are waited for before they are broken off.
    """

    def __init__(
        self,
        tasks: TaskService,
        pool: WorkerPool,
        target: Database,
        replace: Callable[[Move], None],
        patience: float,
    ) -> None:
        self.source = stored(tasks.store.database)
        self.target = target
        self.progress = Progress("copying", target.place)
        self._tasks = tasks
        self._pool = pool
        self._replace = replace
        self._patience = patience
        self._copy = Copy(self.source, target)
        self._task: asyncio.Task[None] | None = None

    def start(self, place: str, copied: int) -> None:
        """Copy, from a place on."""
        self._copy.copied = copied
        self._task = asyncio.create_task(self._run(place), name="move")

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return (self._task is not None and not self._task.done()) or self.progress.state == "switching"

    async def stop(self) -> None:
        """Go no further, unless it switches already. Both databases keep what there is of it."""
        if self.progress.state != "switching":
            await self._cancel()
            await self.target.stop()

    async def break_off(self) -> None:
        """Go no further, and remove what has been copied, if the new database can still be reached."""
        drained = self.progress.state == "draining"
        reachable = self.progress.state != "failed"
        await self._cancel()
        if drained:
            await self._tasks.control.follow_pauses()
        if reachable:
            try:
                await ends.forget(self.target)
            except DatabaseError as error:
                logger.warning("the unfinished copy is left in %s: %s", self.target.place, error)
            await self.target.stop()

    async def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def look(self) -> Progress:
        """Return how far it is."""
        self.progress.copied = self._copy.copied
        return self.progress

    async def _run(self, place: str) -> None:
        progress = self.progress
        try:
            progress.total = await self._copy.count()
            await self._copy.all(place)
            await self.target.writer.run(lambda connection: _analyze(self.target, connection))
            progress.state = "following"
            while await self._follow() > CHANGES // 2:
                pass
            progress.state = "draining"
            left = await drain(self._tasks, self._patience, self._follow)
            if left:
                logger.warning(
                    "%d tasks still ran after %g s; they run again after the move", left, self._patience
                )
                await break_off(self._tasks, self._pool)
            await ends.see_others_gone(self._tasks)
            progress.state = "switching"
            self._replace(self)
        except Exception as error:
            logger.warning("the move has stopped: %s: %s", type(error).__name__, error)
            await self._fail(str(error) or type(error).__name__)

    async def _follow(self) -> int:
        """Copy a round of changes; return how many there were."""
        count = await self._copy.round()
        self.progress.behind = await self._copy.behind() if count == CHANGES else 0
        return count

    async def _fail(self, why: str) -> None:
        drained = self.progress.state == "draining"
        self.progress.state, self.progress.error = "failed", why
        if drained:
            await self._tasks.control.follow_pauses()
        await self.target.stop()

    async def switch(self) -> None:
        """Copy what has changed last, and make the new database the truth. Nothing else writes any more."""
        try:
            async with asyncio.timeout(SWITCH):
                await self.source.writer.run(lambda _: None)  # what was on its way has been written
                await self._settle()
        finally:
            await self.target.stop()

    async def _settle(self) -> None:
        for attempt in range(TRIES):
            while await self._copy.round():
                pass
            await self._copy.small()
            try:
                await ends.settle(self.source, self.target)
            except ends.Late:
                if attempt == TRIES - 1:
                    raise
            else:
                return


def _analyze(database: Database, connection: Any) -> None:
    if text := schema.ANALYZE[database.dialect]:
        connection.execute(text)
