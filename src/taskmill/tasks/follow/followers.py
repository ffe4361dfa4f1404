"""Followers: tasks that wait for others to end. Each end is a hint to look; what counts are the rows.

How many a task still waits for is not a number that is kept: it is counted in the rows of those that it follows, so
it goes down in the very commit that stores an end, whichever part of the program that was. What is left to do is to
look, and to queue the task by a guarded step. A look too many does no harm, and one that was missed, since a process
was killed in between, is made up for by whoever leads next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from taskmill.sql import Database, DatabaseError, Overloaded
from taskmill.tasks.batches.ending import Ending
from taskmill.tasks.cluster import topics
from taskmill.tasks.cluster.duties import Duty
from taskmill.tasks.control.dead_letter import DeadLetters
from taskmill.tasks.follow import statements, verdicts
from taskmill.tasks.follow.verdicts import Settled
from taskmill.tasks.intake.placing import NewTask, Placing
from taskmill.tasks.message import Dispatchable, TaskMessage
from taskmill.tasks.rows import sharing
from taskmill.tasks.rows.over import Over

logger = logging.getLogger(__name__)

LOOKED_AT: Final = 64  # followers in one look and one transaction: each may wait for a thousand tasks
POLL: Final = 2.0  # seconds between looks for what other nodes know of, where there are such
SHARE: Final = 9  # looks at all rest so many times as long as they take
AGAIN: Final = 0.5  # seconds after a look that failed


class Followers:
    """Queues tasks once those that they follow have ended, or fails them with those.

    ``queued`` gets the rows of tasks that are queued, ``failed`` those that have failed; both in the order of
    commits. ``batches`` are looked at as well. ``clock`` gives the milliseconds since 1970 by the clock of all nodes.
    """

    letters: DeadLetters | None = None
    batches: Ending

    def __init__(
        self,
        database: Database,
        placing: Placing,
        clock: Callable[[], int],
        queued: Callable[[Sequence[Dispatchable]], None],
        failed: Callable[[Sequence[Over]], None],
    ) -> None:
        self._database = database
        self._placing = placing
        self.clock = clock
        self.queued = queued
        self._failed = failed
        self._any = False  # whether a task follows another or is in a batch, as far as this node knows
        self._batching = False  # whether there is a batch that has not ended
        self._next_batches = 0.0  # when those may be looked at again,
        self._put_off = False  # and somebody wants to
        self._additions = 0
        self._ended: dict[bytes, None] = {}  # tasks that have ended and were not looked at since
        self._added: dict[bytes, None] = {}  # followers that nobody has looked at
        self._leads = False
        self._all = False  # look at all that wait
        self._next_all = 0.0  # when that is due by itself, where there are several nodes
        self._wake = asyncio.Event()
        self._looking = False
        self._task: asyncio.Task[None] | None = None
        self.duty = Duty(self._lead, self._rest)
        if database.shared:
            database.signals.on(topics.FOLLOW, self._heed_others)

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="tasks that follow tasks")

    async def stop(self) -> None:
        """Look no more; what waits is looked at by the next start."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    @property
    def quiet(self) -> bool:
        """Whether nothing that was heard of is still to be looked at."""
        return not (self._looking or self._wake.is_set() or self._put_off)

    def added(self, tasks: Iterable[NewTask]) -> None:
        """Hear of tasks that have been stored and wait. What they follow may have ended already."""
        self._added.update((new.message.key, None) for new in tasks if new.after)
        self._heed()
        self._wake.set()
        if self._database.shared:
            self._database.signals.send(topics.FOLLOW)

    def batch_stored(self) -> None:
        """Hear of a batch that has been made, given tasks, or closed. All of its tasks may have ended already."""
        self._batching = True
        self.added(())

    def finished(self, messages: Sequence[TaskMessage]) -> None:
        """Hear of tasks that have ended. Nothing follows any, mostly."""
        if self._any:
            self._ended.update((message.key, None) for message in messages)
            self._wake.set()

    def ended(self, keys: Iterable[bytes]) -> None:
        """Hear of tasks that have ended, and may have waited themselves until then."""
        if self._any:
            ended = dict.fromkeys(keys)
            self._ended.update(ended)
            self._added.update(ended)
            self._wake.set()

    def _heed(self) -> None:
        """Something has been stored that waits for the ends of tasks, here or by another node."""
        self._any = True
        self._additions += 1

    def _heed_others(self) -> None:
        self._batching = True  # perhaps: the next look tells
        self._heed()

    def _lead(self) -> None:
        self._leads = self._all = True
        self._wake.set()

    async def _rest(self) -> None:
        self._leads = False

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            self._looking = True
            began = loop.time()
            wait = POLL if self._database.shared else None
            try:
                await self._look()
            except (DatabaseError, Overloaded) as error:
                logger.warning("tasks that follow others cannot be looked for, trying again: %s", error)
                wait, self._all = AGAIN, True
            except Exception:  # whatever it is, later ones are still to be looked for
                logger.exception("tasks that follow others cannot be looked for, trying again")
                wait, self._all = AGAIN, True
            self._looking = False
            took = loop.time() - began
            await asyncio.sleep(min(took, AGAIN))  # meanwhile more of them end, and one look is for all
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass
            if self._database.shared and loop.time() >= self._next_all:
                self._all = True

    async def _look(self) -> None:
        """Look at what may wait no longer: for what has ended here, what is new, or, if that is due, at all."""
        if self._all:
            self._all = False
            await self._look_at_all()
        ended, self._ended = list(self._ended), {}
        added, self._added = self._added, {}
        for first in range(0, len(ended), sharing.MOST):
            count, values = sharing.keys(ended[first : first + sharing.MOST])
            added.update(
                (bytes(row[0]), None) for row in await self._read(statements.followers(count), values)
            )
        settled = bool(added) and await self._settle(list(added))
        if settled | await self._look_at_batches():
            additions = self._additions
            if not self._batching and not await self._read(statements.WAITING, {"id_": b"", "limit_": 1}):
                self._none(additions)

    async def _look_at_batches(self) -> bool:
        """End batches that are over; tell whether none is left. Others have the database most of the time."""
        loop = asyncio.get_running_loop()
        self._put_off = False
        if not self._batching:
            return False
        if (began := loop.time()) < self._next_batches:
            self._put_off = True
            loop.call_at(self._next_batches, self._wake.set)
            return False
        additions = self._additions
        left = await self.batches.look()
        if additions == self._additions:
            self._batching = left
        now = loop.time()
        self._next_batches = now + SHARE * (now - began)
        return not self._batching

    async def _look_at_all(self) -> None:
        """Look at all that wait, if this node leads; else only whether there are any."""
        loop = asyncio.get_running_loop()
        began, additions = loop.time(), self._additions
        after, found = b"", False
        while rows := await self._read(statements.WAITING, {"id_": after, "limit_": sharing.MOST}):
            found = self._any = True
            if not self._leads:
                break
            keys = [bytes(row[0]) for row in rows]
            await self._settle(keys)
            after = keys[-1]
        self._batching = self._leads or self._batching  # perhaps: the look that follows tells
        if not found and not self._batching:
            self._none(additions)
        now = loop.time()
        self._next_all = now + max(POLL, SHARE * (now - began))

    def _none(self, additions: int) -> None:
        """Heed no more ends: nothing waits, unless it has come since there were so many additions."""
        if additions == self._additions:
            self._any = False

    async def _settle(self, followers: Sequence[bytes]) -> bool:
        """Look at tasks, and do what is due; tell whether any of them waits no longer."""
        settled = False
        for first in range(0, len(followers), LOOKED_AT):
            found = await verdicts.judge(self._database, followers[first : first + LOOKED_AT])
            if found:
                settled = True
                call = verdicts.carry_out(found, self._placing, self.clock(), self.letters)
                await self._database.write(call, self._tell)
        return settled

    def _tell(self, settled: Settled) -> None:
        if settled.queued:
            self.queued(settled.queued)
        if settled.failed:
            self._failed(settled.failed)
            if self.letters is not None:
                self.letters.committed()

    async def _read(self, statement: Any, values: dict[str, Any]) -> list[Any]:
        sql, arguments = self._database.bind(statement, values)
        return await self._database.read(lambda connection: connection.execute(sql, arguments).fetchall())
