"""The scheduler: submits the tasks of schedules when their time has come.

The wall clock is what counts, and it may be set, so it is looked at once a second at least. What has been run
stands in rows of schedule and due time: several nodes may look, and a clock may show an hour twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import time

from taskmill.http import BadRequest
from taskmill.sql import Database, DatabaseError, Overloaded, Transaction
from taskmill.supervisor import SupervisorError
from taskmill.tasks.cluster import topics
from taskmill.tasks.schedules import firing
from taskmill.tasks.schedules.firing import Run, Stored, Tasks
from taskmill.tasks.schedules.model import Definition, Schedule
from taskmill.tasks.schedules.plan import plan
from taskmill.tasks.schedules.store import ScheduleStore

logger = logging.getLogger(__name__)

AT_ONCE = 100  # schedules, and tasks, in one transaction: some milliseconds of the writer's time
LOOK = 1.0  # seconds between looks at the clock
SINCE = 2_000  # milliseconds in which a clock that was set back may have passed a due time unseen
PAUSE = 0.5  # seconds after a failure
FULL = 500  # milliseconds until the next look where there is no room for tasks


def wall_clock() -> int:
    """Return the milliseconds since 1970."""
    return int(time() * 1000)


class Scheduler:
    """Runs schedules. ``clock`` returns the milliseconds since 1970."""

    def __init__(self, database: Database, tasks: Tasks, clock: Callable[[], int] = wall_clock) -> None:
        self.store = ScheduleStore(database)
        self.tasks = tasks
        self.clock = clock
        self._looked: int | None = None  # when all that had come by then was run
        self._latest = 0  # the time that the clock showed last
        self._sooner = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self, declared: Sequence[Definition]) -> None:
        """Take over what the registry declares, and begin to watch the clock."""
        await self.prepare(declared)
        self._task = asyncio.create_task(self._run())

    async def prepare(self, declared: Sequence[Definition]) -> None:
        """Take over what the registry declares, and see when each schedule runs next.

        Raises:
            SupervisorError: a declared schedule's action, data or queue is wrong, or two have one name.
        """
        self._latest = self.clock()
        self._check(declared)
        await self.store.sync(declared, self._latest)
        await self.store.look_again(self._latest)

    async def stop(self) -> None:
        """Run no more schedules."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def changed(self) -> None:
        """Look anew when a schedule runs next, on whichever node: one was added or changed."""
        self.soon()
        self.store.database.signals.send(topics.SCHEDULES)

    def soon(self) -> None:
        """Look anew when a schedule runs next."""
        self._sooner.set()

    async def run_now(self, schedule: Schedule) -> Stored | None:
        """Submit a schedule's task now, whatever its times; None where it cannot be made.

        Raises:
            NotUnique: its action takes no second task of this key.
        """
        now = self.clock()
        new = self.tasks.make(schedule, now).new
        if new is None:
            return None

        def then(stored: Stored) -> None:
            if stored.new is not None:
                self.tasks.stored([stored.new])

        return await self.store.database.write(
            lambda transaction: firing.run_now(transaction, self.tasks, schedule.name, new, now), then
        )

    async def look(self) -> int | None:
        """Run all that has come by now; return when the next run is.

        Where as many tasks wait as may, what has come is left until there is room. Longer than a moment is
        like a time in which nobody looked: `catch_up` says what becomes of it.
        """
        now = self.clock()
        if now < self._latest:
            logger.warning("the clock was set back by %.1f s", (self._latest - now) / 1000)
            await self.store.look_again(now - SINCE)
            self._looked = now
        self._latest = now
        while (following := await self.store.next_run_at()) is not None and following <= now:
            if self.tasks.full:
                return now + FULL
            runs = await self._plans(now)

            def call(transaction: Transaction, runs: Sequence[Run] = runs) -> None:
                for one in runs:
                    firing.run(transaction, self.tasks, one, now)

            def then(_: None, runs: Sequence[Run] = runs) -> None:
                self._tell(runs)

            await self.store.database.write(call, then)
        self._looked = now
        return following

    def _check(self, declared: Sequence[Definition]) -> None:
        names: set[str] = set()
        for definition in declared:
            if definition.name in names:
                raise SupervisorError(f"two schedules are named `{definition.name}`: rename one")
            names.add(definition.name)
            try:
                self.tasks.check(definition)
            except BadRequest as error:
                wrong = "; ".join(f"{one.path}: {one.message}" for one in error.errors) or error.detail
                raise SupervisorError(f"schedule `{definition.name}` is wrong: {wrong}") from None

    async def _plans(self, now: int) -> list[Run]:
        """Plan the first schedules whose time has come, as far as one transaction should go."""
        runs: list[Run] = []
        tasks = 0
        for row in await self.store.due(now, AT_ONCE):
            one = await self._plan(row, now)
            if one is not None:
                runs.append(one)
                tasks += len(one.made)
            if tasks >= AT_ONCE:
                break
        return runs

    async def _plan(self, row: Schedule, now: int) -> Run | None:
        try:
            planned = plan(row, row.timing(), now, self._looked)
        except (ValueError, KeyError, OverflowError) as error:  # such as a time zone that is no more
            logger.warning("schedule %s cannot run: %s", row.name, error)
            await self.store.give_up(row)
            return None
        return Run(row, planned, [self.tasks.make(row, now) for _ in planned.due])

    def _tell(self, runs: Sequence[Run]) -> None:
        self.tasks.stored([new for one in runs for new in one.stored])
        for one in runs:
            for made in one.made:
                if made.new is None:
                    logger.error("schedule %s did not run: %s", one.schedule.name, made.why)

    async def _run(self) -> None:
        while True:
            self._sooner.clear()
            try:
                following = await self.look()
            except (DatabaseError, Overloaded) as error:
                logger.warning("schedules cannot run, trying again: %s", error)
                await asyncio.sleep(PAUSE)
                continue
            except Exception:  # whatever it is, later runs are still to be looked for
                logger.exception("schedules cannot run, trying again")
                await asyncio.sleep(PAUSE)
                continue
            wait = LOOK if following is None else min(max(following - self.clock(), 0) / 1000, LOOK)
            try:
                async with asyncio.timeout(wait):
                    await self._sooner.wait()
            except TimeoutError:
                pass
