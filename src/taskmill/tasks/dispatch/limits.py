"""Limits: how many tasks of an action, or of one key of it, run at once, and how often they start.

A task that is over its limit is parked, so that it holds nobody up: what is behind it in its queue goes on.
Only the first few of each limit are kept in memory; the others stay rows, and are read as places come free.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import Protocol

from taskmill.tasks.dispatch.edge import Position, place_of
from taskmill.tasks.dispatch.limiter import Limiter
from taskmill.tasks.message import FIRST, Dispatchable, TaskMessage

PARKED = 100  # tasks of one limit that wait in memory,
PARKED_IN_ALL = 20_000  # fewer of each where there are many limits,
PARKED_BYTES = 2**26  # and one of each where their bodies make as much as this
READ_PAUSE = 0.5  # seconds after a read that failed


class Home(Protocol):
    """Where a parked task came from: the dispatcher of its queue."""

    def readmit(self, messages: Sequence[TaskMessage]) -> None:
        """Take tasks back that have a place now."""

    def forget(self, message: TaskMessage) -> None:
        """Leave a task a row: it will be read again."""

    def adopt(self, rows: Sequence[Dispatchable]) -> list[TaskMessage]:
        """Make messages of rows, except of those that are in memory already."""


class Rows(Protocol):
    """Where the tasks of a limit are read."""

    async def limited(
        self, limit_key: str, after: Position, limit: int, max_bytes: int
    ) -> tuple[list[Dispatchable], Position | None]:
        """Return queued tasks of a limit after a place, first in line first, and up to where: None if those are all."""

    async def starts(self, limit_key: str, since: int, limit: int) -> list[int]:
        """Return when the last tasks of a limit started, since a time: milliseconds since 1970."""


class Limits:
    """All limits. ``homes`` are the dispatchers by queue; ``cancel`` ends a task, waiting or running, and says why."""

    def __init__(
        self, rows: Rows, homes: Mapping[str, Home], cancel: Callable[[TaskMessage, str], None]
    ) -> None:
        self._rows = rows
        self._homes = homes
        self._cancel = cancel
        self._loop = asyncio.get_running_loop()
        self._limiters: dict[str, Limiter] = {}
        self._bytes = 0  # of the bodies of all that are parked

    def get(self, key: str) -> Limiter | None:
        """Return a limit that something is known of."""
        return self._limiters.get(key)

    def admit(self, message: TaskMessage) -> bool:
        """Give a task its place under its limit, or keep it until there is one."""
        key = message.place.limit_key if message.place else None
        if key is None:
            return True
        limiter = self._limiter(key, message)
        now = self._loop.time()
        free = not limiter.recalling and limiter.free(now) > 0
        if free and not limiter.others_before(place_of(message)):
            limiter.give(message, now)
            return True
        full = not limiter.recalling and not free
        if full and limiter.policy == "drop_newest":
            self._drop(message)
            return False
        self._park(limiter, message)
        if full and limiter.policy == "cancel_running":
            self._make_way(limiter)
        if free:  # those before it have not been woken yet
            self._wake(limiter)
        self._wake_later(limiter)
        return False

    def occupy(self, message: TaskMessage) -> None:
        """Count a task that has its place already: it runs, or is about to, on another node."""
        key = message.place.limit_key if message.place else None
        if key is not None:
            self._limiter(key, message).running[message] = None

    def release(self, message: TaskMessage) -> None:
        """Take back the place of a task whose attempt has ended."""
        key = message.place.limit_key if message.place else None
        limiter = self._limiters.get(key) if key is not None else None
        if limiter is not None and message in limiter.running:
            limiter.take_back(message, self._loop.time())
            self._wake(limiter)

    def pass_over(self, message: TaskMessage) -> None:
        """Give the place that a task was about to take to the next: it has ended meanwhile."""
        key = message.place.limit_key if message.place else None
        limiter = self._limiters.get(key) if key is not None else None
        if limiter is not None:
            self._wake(limiter)

    def stop(self) -> None:
        """Wake nobody any more."""
        for limiter in self._limiters.values():
            if limiter.timer is not None:
                limiter.timer.cancel()
            if limiter.loading is not None:
                limiter.loading.cancel()

    def clear(self) -> None:
        """Forget all: another node hands tasks out."""
        self.stop()
        self._limiters.clear()
        self._bytes = 0

    def _limiter(self, key: str, message: TaskMessage) -> Limiter:
        limiter = self._limiters.get(key)
        if limiter is None:
            limiter = self._limiters[key] = Limiter(key, message.registered.action.options)
            if limiter.rate is not None:  # tasks may have started before this run, or since it was forgotten
                limiter.recalling = True
                limiter.loading = self._loop.create_task(self._recall(limiter))
        return limiter

    def _park(self, limiter: Limiter, message: TaskMessage) -> None:
        position = place_of(message)
        if limiter.edge.beyond(position):
            limiter.edge.leave(position)
            self._forget(message)
            return
        self._keep(limiter, message)
        if len(limiter.parked) > self._most():
            limiter.parked.sort()
            rank, key, last = limiter.parked[-1]
            if rank != FIRST:  # that runs by its row, so that no read would find it again
                limiter.parked.pop()
                self._bytes -= len(last.body)
                limiter.edge.leave((rank, key))
                self._forget(last)

    def _keep(self, limiter: Limiter, message: TaskMessage) -> None:
        heapq.heappush(limiter.parked, (*place_of(message), message))
        self._bytes += len(message.body)

    def _most(self) -> int:
        """Return how many tasks of one limit may be parked."""
        if self._bytes > PARKED_BYTES:
            return 1
        return max(1, min(PARKED, PARKED_IN_ALL // max(1, len(self._limiters))))

    def _forget(self, message: TaskMessage) -> None:
        assert message.place is not None  # noqa: S101 - a limited task is never plain
        self._homes[message.place.queue].forget(message)

    def _drop(self, message: TaskMessage) -> None:
        self._forget(message)
        self._cancel(message, "its action was at its limit, which drops the newest")

    def _make_way(self, limiter: Limiter) -> None:
        """Have the newest replace what runs, and what waited before it."""
        newest = max(limiter.parked, key=lambda parked: parked[1])
        for _, _, message in limiter.parked:
            if message is not newest[2]:
                self._bytes -= len(message.body)
                self._forget(message)
                self._cancel(message, "a newer task of its limit took its place")
        limiter.parked = [newest]
        for message in list(limiter.running):
            self._cancel(message, "a newer task of its limit took its place")

    def _wake(self, limiter: Limiter) -> None:
        """Let as many go on as have a place, and see to those that are still rows."""
        ready: dict[str, list[TaskMessage]] = {}
        free = 0 if limiter.recalling else limiter.free(self._loop.time())
        for _ in range(min(free, len(limiter.parked))):
            message = heapq.heappop(limiter.parked)[2]
            self._bytes -= len(message.body)
            assert message.place is not None  # noqa: S101 - as above
            ready.setdefault(message.place.queue, []).append(message)
        for queue, messages in ready.items():
            self._homes[queue].readmit(messages)
        few = len(limiter.parked) < max(1, self._most() // 2)
        if limiter.edge.at is not None and few and limiter.loading is None:
            limiter.loading = self._loop.create_task(self._refill(limiter))
        if limiter.parked or limiter.starts or limiter.pending:
            self._wake_later(limiter)
        elif (
            limiter.idle() and self._limiters.get(limiter.key) is limiter
        ):  # one that woke may have begun anew
            del self._limiters[limiter.key]

    def _wake_later(self, limiter: Limiter) -> None:
        if limiter.timer is None and limiter.rate is not None and (limiter.starts or limiter.pending):
            now = self._loop.time()
            at = limiter.next_start(now) or now + limiter.rate.seconds

            def ring() -> None:
                limiter.timer = None
                self._wake(limiter)

            limiter.timer = self._loop.call_at(at + 0.001, ring)

    async def _recall(self, limiter: Limiter) -> None:
        """Look up what has started under a rate before."""
        rate = limiter.rate
        assert rate is not None  # noqa: S101 - it has one, or nobody asks
        started: list[int] = []
        now = time() * 1000
        try:
            started = await self._rows.starts(limiter.key, int(now - rate.seconds * 1000), rate.count)
        except Exception:  # said by others; the rate is counted from here on
            await asyncio.sleep(READ_PAUSE)
        loop_now = self._loop.time()
        limiter.starts.extend(sorted(loop_now - max(0.0, now - at) / 1000 for at in started))
        limiter.loading = None
        limiter.recalling = False
        self._judge(limiter)
        self._wake(limiter)

    def _judge(self, limiter: Limiter) -> None:
        """Do to those that came during a recall what is done to any that is over its limit."""
        over = len(limiter.parked) - limiter.free(self._loop.time())
        if over > 0 and limiter.policy == "cancel_running":
            self._make_way(limiter)
        elif over > 0 and limiter.policy == "drop_newest":
            limiter.parked.sort()
            for _, _, message in limiter.parked[-over:]:
                self._bytes -= len(message.body)
                self._drop(message)
            del limiter.parked[-over:]

    async def _refill(self, limiter: Limiter) -> None:
        """Read tasks of the limit that are still rows."""
        after = limiter.edge.begin()
        left = max(1, PARKED_BYTES - self._bytes)
        try:
            rows, end = await self._rows.limited(limiter.key, after, self._most(), left)
        except Exception:  # said by others
            await asyncio.sleep(READ_PAUSE)
        else:
            limiter.edge.end(end)
            for row in rows:
                home = self._homes.get(row[5])
                for message in home.adopt([row]) if home else ():
                    if limiter.edge.beyond(place_of(message)):  # a better one was left a row meanwhile
                        self._forget(message)
                    else:
                        self._keep(limiter, message)
        limiter.loading = None
        self._wake(limiter)
