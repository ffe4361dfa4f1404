"""Retention: ended tasks are kept for a while, and within a size; then they go, and the file gets shorter.

It works in the background from the start of the service on, and costs a few reads a minute where nothing is to go.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from time import monotonic, time
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from taskmill.sql import Database, DatabaseError, Overloaded, Space
from taskmill.tasks.intake.once import REMEMBERED
from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.retention import statements
from taskmill.tasks.retention.pruning import Pruner, Stride, Walk
from taskmill.units import Duration

logger = logging.getLogger(__name__)

FIRST = 1.0  # seconds after the start
ROUND = 60.0  # seconds between two rounds, at most
PASSES = 64  # a walk begins anew each such part of the time that its rows are kept for
REQUEST = 4.0  # seconds for which a request may prune: less than clients wait
SPARE = 256  # free pages that a file keeps for what comes next, or this part of it:
SPARE_PART = 20


class Keep(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """For how long ended tasks are kept, from their end on. `null` is for ever, `0s` until the next round."""

    completed: Annotated[Duration | None, Meta(description="Tasks that went well.")] = Duration(7 * 86_400)
    failed: Annotated[Duration | None, Meta(description="Tasks that failed.")] = Duration(30 * 86_400)
    cancelled: Annotated[Duration | None, Meta(description="Tasks that were cancelled.")] = Duration(
        7 * 86_400
    )

    def of(self, status: Status) -> float | None:
        """Return the seconds for which tasks of an ended state are kept, or None."""
        seconds: float | None = getattr(self, status.word)
        return seconds


class Pruned(NamedTuple):
    """How many tasks were pruned, and whether there was no time for all of them."""

    tasks: int
    more: bool


class Retention:
    """Keeps what has ended within its rules.

    ``max_size`` is in bytes, 0 for none; ``tombstones`` the seconds for which the ids of pruned tasks are known.
    """

    def __init__(self, database: Database, keep: Keep, max_size: int = 0, tombstones: float = 0) -> None:
        self.pruner = Pruner(database)
        self.vacuum = Stride(32, 256)  # pages
        self._database = database
        self._keep = keep
        self._max_size = max_size
        self._tombstones = tombstones
        self._walks: dict[Status | None, Walk] = {}
        self._wake = asyncio.Event()
        self._crowded = False  # what has not ended is over the size: said once
        self._failing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to prune, in a moment."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Prune no more; what is not done waits for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def was_pruned(self, id_: bytes) -> bool:
        """Whether there was a task of this id, and it has been pruned not too long ago."""
        sql, arguments = self._database.bind(statements.BURIED, {"id_": id_})
        found = await self._database.read(lambda connection: connection.execute(sql, arguments).fetchall())
        return bool(found)

    async def prune(
        self, states: Sequence[Status] = ENDED, before: int | None = None, seconds: float = REQUEST
    ) -> Pruned:
        """Prune ended tasks now: those that ended before a time (milliseconds since 1970), or by the rules.

        Stops after some seconds, and tells whether there is more to do.
        """
        end = monotonic() + seconds
        count = 0
        for status in states:
            limit = self._before(status) if before is None else before
            if limit is None:
                continue
            walk = Walk(statements.tasks(status))
            pruned, complete = await self.pruner.prune(walk, limit, lambda: monotonic() < end)
            count += pruned
            if not complete:
                return Pruned(count, more=True)
        self._wake.set()  # to give the space back
        return Pruned(count, more=False)

    async def round(self) -> None:
        """Do everything that is due now."""
        for status in ENDED:
            before = self._before(status)
            if before is not None:
                await self.pruner.prune(self._walk(status, self._keep.of(status) or 0), before)
        now = int(time() * 1000)
        await self.pruner.prune(self._walk(None, self._tombstones), now - int(self._tombstones * 1000))
        await self.pruner.prune_keys(now - REMEMBERED)
        if self._max_size:
            await self._fit(self._max_size)
        await self._give_back()

    def _before(self, status: Status) -> int | None:
        """Return the time before which tasks must have ended to go, or None where they are kept for ever."""
        seconds = self._keep.of(status)
        return None if seconds is None else int((time() - seconds) * 1000)

    def _walk(self, status: Status | None, seconds: float) -> Walk:
        """Return where to go on. Now and then that is the start: some that were too young may be old enough."""
        walk = self._walks.get(status)
        if walk is None or monotonic() - walk.begun > seconds / PASSES:
            shelf = statements.TOMBSTONES if status is None else statements.tasks(status)
            walk = self._walks[status] = Walk(shelf)
        return walk

    async def _fit(self, size: int) -> None:
        """Prune the oldest ended tasks until all fits, and tombstones of more than their age before them."""
        if (await self._database.measure()).used <= size:
            self._crowded = False
            return
        oldest = await self.pruner.oldest()
        await self.pruner.prune(Walk(statements.TOMBSTONES), oldest or int(time() * 1000))
        count = 0
        while (used := (await self._database.measure()).used) > size:
            pruned = await self.pruner.prune_oldest()
            count += pruned
            if not pruned:
                break
        if count:
            logger.info("%s is over `max_size`: pruned its %d oldest tasks", self._database.place, count)
        if used > size and not self._crowded:
            self._crowded = True
            logger.warning(
                "%s is over `max_size` by tasks that have not ended, and those are never pruned",
                self._database.place,
            )

    async def _give_back(self) -> None:
        """Make the file shorter where a good part of it is free."""
        space = await self._database.measure()
        if not space.can_shrink or space.free <= 2 * _spare(space):
            return
        while (too_many := space.free - _spare(space)) > 0:
            pages = min(self.vacuum.amount, too_many)
            await self.pruner.take_turn(self.vacuum, partial(self._database.give_back, pages))
            space = await self._database.measure()
        await self._database.checkpoint()

    async def _run(self) -> None:
        await asyncio.sleep(FIRST)
        while True:
            self._wake.clear()
            try:
                await self.round()
                self._failing = False
            except (DatabaseError, Overloaded) as error:
                if not self._failing:
                    logger.warning("ended tasks cannot be pruned, trying again: %s", error)
                self._failing = True
            try:
                async with asyncio.timeout(self._interval()):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _interval(self) -> float:
        """Return the seconds between two rounds: an eighth of what is kept shortest, within bounds."""
        return min(ROUND, max(1.0, min(self._durations(), default=ROUND) / 8))

    def _durations(self) -> Iterator[float]:
        return (seconds for status in ENDED if (seconds := self._keep.of(status)) is not None)


def _spare(space: Space) -> int:
    return max(SPARE, space.pages // SPARE_PART)
