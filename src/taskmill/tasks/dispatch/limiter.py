"""One limit: who runs under it, when the last ones started, and who waits."""

from __future__ import annotations

import asyncio
from bisect import insort
from time import time

from taskmill.tasks.actions.options import Options
from taskmill.tasks.dispatch.edge import Edge, Position
from taskmill.tasks.message import TaskMessage

LOOK = 0.05  # seconds, at least, between looks at whether what was handed out has started


class Limiter:
    """The state of one limit. Times are those of the event loop, in seconds.

    A task has its place from when it is handed out to a consumer. A rate is one of starts, and a consumer may hold
    a task for long before it starts it: until it has, it takes up a start that does not run out.
    """

    def __init__(self, key: str, options: Options) -> None:
        self.key = key
        self.concurrency = options.concurrency
        self.rate = options.rate
        self.policy = options.over_limit
        self.running: dict[TaskMessage, None] = {}  # the oldest first
        self.pending: dict[TaskMessage, float] = {}  # those of a rate that have not started, and since when
        self.starts: list[float] = []  # of a rate, the oldest first
        self.parked: list[tuple[int, bytes, TaskMessage]] = []
        self.edge = Edge(None)  # of what is in memory: parked, on its way, or behind the edge of its queue
        self.timer: asyncio.TimerHandle | None = None
        self.loading: asyncio.Task[None] | None = None
        self.recalling = False  # nobody knows yet what has started before

    def free(self, now: float) -> int:
        """Return how many may start now."""
        places = 2**31 if self.concurrency is None else self.concurrency - len(self.running)
        if self.rate is not None:
            self._look(now, self.rate.seconds)
            places = min(places, self.rate.count - len(self.starts) - len(self.pending))
        return max(places, 0)

    def others_before(self, position: Position) -> bool:
        """Whether tasks that wait, parked or as rows, come before one."""
        return self.edge.beyond(position) or (bool(self.parked) and self.parked[0][:2] < position)

    def give(self, message: TaskMessage, now: float) -> None:
        """Give a task a place."""
        self.running[message] = None
        if self.rate is not None:
            message.started_at = 0  # of an attempt before
            self.pending[message] = now

    def take_back(self, message: TaskMessage, now: float) -> None:
        """Take a place back: its task has ended, or will not start."""
        del self.running[message]
        since = self.pending.pop(message, None)
        if since is not None and message.started_at:
            self._started(message, since, now)

    def next_start(self, now: float) -> float | None:
        """Return when the rate may let the next one start; None where it does not hold anybody up."""
        if self.rate is None or len(self.starts) + len(self.pending) < self.rate.count:
            return None
        if self.starts:
            return max(self.starts[0] + self.rate.seconds, now)
        return now + max(LOOK, self.rate.seconds / 100)

    def idle(self) -> bool:
        """Whether nothing is left to remember."""
        return not (self.running or self.starts or self.parked or self.edge.at or self.loading)

    def _look(self, now: float, seconds: float) -> None:
        """See who has started, and forget starts that no longer count."""
        for message in [message for message in self.pending if message.started_at]:
            self._started(message, self.pending.pop(message), now)
        gone = 0
        while gone < len(self.starts) and self.starts[gone] <= now - seconds:
            gone += 1
        del self.starts[:gone]

    def _started(self, message: TaskMessage, since: float, now: float) -> None:
        ago = time() - message.started_at / 1000  # by a clock that may have been set
        insort(self.starts, min(now, max(since, now - ago)))
