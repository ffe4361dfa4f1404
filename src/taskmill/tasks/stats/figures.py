"""What ``GET /stats`` answers: counts from the rows, and what the meter of this process has seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from time import time
from typing import Annotated, Any

import msgspec
from sqlalchemy import Select, func, select

from taskmill.http import means
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.model import Time, timestamp
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.rows.schema import task
from taskmill.tasks.stats.histogram import percentiles
from taskmill.tasks.stats.looking import Looking
from taskmill.tasks.stats.meter import Meter, Minute
from taskmill.tasks.view.kept import Kept
from taskmill.tasks.view.queues import Depth, Overview

# Answered by the index of the lists alone.
_COUNTS: Select[Any] = select(task.c.status, func.count()).group_by(task.c.status)


class Percentiles(msgspec.Struct):
    """Of durations, in seconds, to within an eighth."""

    p50: float
    p95: float
    p99: float


class Moment(msgspec.Struct):
    """A minute of a queue.

    ``queued`` is how many waited in it, as somebody looked; null where nobody has. ``waiting`` and ``running`` are
    null where no attempt ended.
    """

    at: Time
    queued: int | None
    completed: int
    failed: int
    retried: int
    waiting: Percentiles | None
    running: Percentiles | None


class QueueStats(msgspec.Struct):
    """A queue: what waits and runs now, and what has ended in the last hour on this node.

    ``throughput`` is how many tasks ended in a second of the last one to two minutes. ``waiting`` is from when a task
    could begin until it did, ``running`` from there to its end. ``retried`` counts attempts that another follows.
    """

    name: str
    depth: Depth
    throughput: float
    completed: int
    failed: int
    retried: int
    waiting: Percentiles | None
    running: Percentiles | None
    history: Annotated[list[Moment], means("The last hour, the oldest minute first; not those without news.")]


class StatusCounts(msgspec.Struct):
    """How many tasks there are of each status, those that were pruned left out."""

    queued: int = 0
    scheduled: int = 0
    running: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0


class Stats(msgspec.Struct):
    """The figures. Counts are of all nodes, what has ended of the ``node`` that answers, ``since`` a time."""

    node: str
    since: Time
    counts: StatusCounts
    counted_at: Time
    throughput: float
    queues: list[QueueStats]


class Figures:
    """Makes the figures of what rows and ``meter`` tell; ``node`` is this one's name."""

    def __init__(self, reader: Reader, overview: Overview, meter: Meter, node: str) -> None:
        self.meter = meter
        self._reader = reader
        self._overview = overview
        self._node = node
        self._counts = Kept(self._count)
        self._looking = Looking(overview, meter)
        self.start = self._looking.start
        self.stop = self._looking.stop

    async def stats(self) -> Stats:
        """Return the figures as they are now; counts may be some times as old as it takes to count."""
        counts, at = await self._counts.get()
        states = await self._overview.states()
        minutes, since = self.meter.last(), self.meter.since
        now = time() * 1000
        queues = [_queue(state.name, state.depth, minutes, now, since) for state in states]
        throughput = round(sum(queue.throughput for queue in queues), 3)
        return Stats(self._node, timestamp(since), counts, timestamp(at), throughput, queues)

    async def _count(self) -> tuple[StatusCounts, int]:
        at = int(time() * 1000)
        rows = await self._reader.read(_COUNTS, {})
        return StatusCounts(**{Status(status).word: count for status, count in rows}), at


def _queue(
    name: str, depth: Depth, minutes: Mapping[int, Mapping[str, Minute]], now: float, since: int
) -> QueueStats:
    own = {number: queues[name] for number, queues in minutes.items() if name in queues}
    found = list(own.values())
    newest = max(minutes)
    ended = sum(
        own[number].completed + own[number].failed for number in (newest - 1, newest) if number in own
    )
    seconds = (now - max((newest - 1) * 60_000, since)) / 1000
    return QueueStats(
        name,
        depth,
        round(ended / max(1.0, seconds), 3),
        sum(minute.completed for minute in found),
        sum(minute.failed for minute in found),
        sum(minute.retried for minute in found),
        _percentiles(found, "waiting"),
        _percentiles(found, "running"),
        [_moment(number, minute) for number, minute in own.items()],
    )


def _moment(number: int, minute: Minute) -> Moment:
    times = _percentiles([minute], "waiting"), _percentiles([minute], "running")
    return Moment(
        timestamp(number * 60_000), minute.queued, minute.completed, minute.failed, minute.retried, *times
    )


def _percentiles(minutes: Sequence[Minute], which: str) -> Percentiles | None:
    histograms: Iterable[Any] = (getattr(minute, which) for minute in minutes)
    found = percentiles(histograms, 0.5, 0.95, 0.99)
    return None if found is None else Percentiles(*found)
