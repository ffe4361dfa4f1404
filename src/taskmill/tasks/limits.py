"""Limits: how many tasks of an action, or of one key of it, run at once, and how often they start.

A task that is over its limit is parked, so that it holds nobody up: what is behind it in its queue goes on.
Only the first few of each limit are kept in memory; the others stay rows, and are read as places come free.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import Protocol

from taskmill.tasks.message import Dispatchable, TaskMessage
from taskmill.tasks.options import Options

PARKED = 100  # tasks of one limit that wait in memory
READ_PAUSE = 0.5  # seconds after a read that failed

Position = tuple[int, bytes]  # rank and id: a place in a queue


class Home(Protocol):
    """Where a parked task came from: the dispatcher of its queue."""

    def readmit(self, message: TaskMessage) -> None:
        """Take a task back that has a place now."""

    def forget(self, message: TaskMessage) -> None:
        """Leave a task a row: it will be read again."""

    def adopt(self, rows: Sequence[Dispatchable]) -> list[TaskMessage]:
        """Make messages of rows, except of those that are in memory already."""


class Rows(Protocol):
    """Where the tasks of a limit are read."""

    async def limited(self, limit_key: str, after: Position, limit: int) -> list[Dispatchable]:
        """Return queued tasks of a limit after a place, first in line first."""

    async def starts(self, limit_key: str, since: int, limit: int) -> list[int]:
        """Return when the last tasks of a limit started, since a time: milliseconds since 1970."""


class Limiter:
    """One limit: who runs under it, when the last ones started, and who waits."""

    def __init__(self, key: str, options: Options) -> None:
        self.key = key
        self.concurrency = options.concurrency
        self.rate = options.rate
        self.policy = options.over_limit
        self.running: dict[TaskMessage, None] = {}  # the oldest first
        self.starts: deque[float] = deque(maxlen=self.rate.count if self.rate else 0)  # loop times
        self.parked: list[tuple[int, bytes, TaskMessage]] = []
        self.reach: Position | None = None  # up to here all are in memory; all of them if None
        self.timer: asyncio.TimerHandle | None = None
        self.loading: asyncio.Task[None] | None = None

    def free(self, now: float) -> int:
        """Return how many may start now."""
        places = 2**31 if self.concurrency is None else self.concurrency - len(self.running)
        if self.rate is not None:
            while self.starts and self.starts[0] <= now - self.rate.seconds:
                self.starts.popleft()
            places = min(places, self.rate.count - len(self.starts))
        return max(places, 0)

    def next_start(self, now: float) -> float | None:
        """Return when the rate lets the next one start; None where it does not hold anybody up."""
        if self.rate is None or len(self.starts) < self.rate.count:
            return None
        return max(self.starts[0] + self.rate.seconds, now)

    def idle(self) -> bool:
        """Whether nothing is left to remember."""
        return not (self.running or self.starts or self.parked or self.reach or self.loading)


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

    def get(self, key: str) -> Limiter | None:
        """Return a limit that something is known of."""
        return self._limiters.get(key)

    def admit(self, message: TaskMessage) -> bool:
        """Give a task its place under its limit, or keep it until there is one."""
        key = message.place.limit_key if message.place else None
        if key is None:
            return True
        limiter = self._limiters.get(key)
        if limiter is None:
            limiter = self._limiters[key] = Limiter(key, message.registered.action.options)
            if limiter.rate is not None:  # tasks may have started before this run, or since it was forgotten
                limiter.loading = self._loop.create_task(self._recall(limiter))
        if limiter.loading is None and limiter.free(now := self._loop.time()):
            limiter.running[message] = None
            if limiter.rate is not None:
                limiter.starts.append(now)
            return True
        if limiter.loading is None and limiter.policy == "drop_newest":
            self._forget(message)
            self._cancel(message, "its action was at its limit, which drops the newest")
            return False
        self._park(limiter, message)
        if limiter.loading is None:
            if limiter.policy == "cancel_running":
                self._make_way(limiter)
            self._wake_later(limiter)
        return False

    def release(self, message: TaskMessage) -> None:
        """Take back the place of a task whose attempt has ended."""
        key = message.place.limit_key if message.place else None
        limiter = self._limiters.get(key) if key is not None else None
        if limiter is not None and message in limiter.running:
            del limiter.running[message]
            self._wake(limiter)

    def stop(self) -> None:
        """Wake nobody any more."""
        for limiter in self._limiters.values():
            if limiter.timer is not None:
                limiter.timer.cancel()
            if limiter.loading is not None:
                limiter.loading.cancel()

    def _park(self, limiter: Limiter, message: TaskMessage) -> None:
        position = place_of(message)
        if limiter.reach is not None and position > limiter.reach:
            self._forget(message)
            return
        heapq.heappush(limiter.parked, (*position, message))
        if len(limiter.parked) > PARKED:
            limiter.parked.sort()
            self._forget(limiter.parked.pop()[2])
            limiter.reach = limiter.parked[-1][:2]

    def _forget(self, message: TaskMessage) -> None:
        assert message.place is not None  # noqa: S101 - a limited task is never plain
        self._homes[message.place.queue].forget(message)

    def _make_way(self, limiter: Limiter) -> None:
        """Have the newest replace what runs, and what waited before it."""
        newest = max(limiter.parked, key=lambda parked: parked[1])
        for _, _, message in limiter.parked:
            if message is not newest[2]:
                self._forget(message)
                self._cancel(message, "a newer task of its limit took its place")
        limiter.parked = [newest]
        for message in list(limiter.running):
            self._cancel(message, "a newer task of its limit took its place")

    def _wake(self, limiter: Limiter) -> None:
        """Let as many go on as have a place, and see to those that are still rows."""
        for _ in range(min(limiter.free(self._loop.time()), len(limiter.parked))):
            message = heapq.heappop(limiter.parked)[2]
            assert message.place is not None  # noqa: S101 - as above
            self._homes[message.place.queue].readmit(message)
        if limiter.reach is not None and len(limiter.parked) < PARKED // 2 and limiter.loading is None:
            limiter.loading = self._loop.create_task(self._refill(limiter))
        if limiter.parked or limiter.starts:
            self._wake_later(limiter)
        elif limiter.idle():
            self._limiters.pop(limiter.key, None)

    def _wake_later(self, limiter: Limiter) -> None:
        if limiter.timer is None and limiter.rate is not None and limiter.starts:
            now = self._loop.time()
            at = limiter.next_start(now) or limiter.starts[-1] + limiter.rate.seconds

            def ring() -> None:
                limiter.timer = None
                self._wake(limiter)

            limiter.timer = self._loop.call_at(at + 0.001, ring)

    async def _recall(self, limiter: Limiter) -> None:
        """Look up what has started under a rate before."""
        rate = limiter.rate
        assert rate is not None  # noqa: S101
        started: list[int] = []
        now = time() * 1000
        try:
            started = await self._rows.starts(limiter.key, int(now - rate.seconds * 1000), rate.count)
        except Exception:  # said by others; the rate is counted from here on
            await asyncio.sleep(READ_PAUSE)
        loop_now = self._loop.time()
        limiter.starts.extend(sorted(loop_now - max(0.0, now - at) / 1000 for at in started))
        limiter.loading = None
        self._wake(limiter)

    async def _refill(self, limiter: Limiter) -> None:
        """Read tasks of the limit that are still rows."""
        after = limiter.reach
        assert after is not None  # noqa: S101
        try:
            rows = await self._rows.limited(limiter.key, after, PARKED)
        except Exception:  # said by others
            await asyncio.sleep(READ_PAUSE)
        else:
            limiter.reach = None if len(rows) < PARKED else (rows[-1][6] or 0, rows[-1][0])
            for row in rows:
                home = self._homes.get(row[5])
                for message in home.adopt([row]) if home else ():
                    heapq.heappush(limiter.parked, (*place_of(message), message))
        limiter.loading = None
        self._wake(limiter)


def place_of(message: TaskMessage) -> Position:
    """Return where a task that is not plain stands in its queue."""
    return (message.place.rank if message.place else 0, message.key)
