"""The queues as people see them: how much waits, how long, who works, who has paused them."""

from __future__ import annotations

from collections.abc import Mapping
from time import time
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Select, bindparam, func, select

from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.intake.placing import Placing
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.model import Time, timestamp
from taskmill.tasks.rows.portable import first_id
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.rows.schema import pause, task
from taskmill.tasks.rows.statements import code
from taskmill.tasks.view.kept import Kept

LOOKED_AT = 10_000  # of the oldest queued tasks, to find a plain one

_QUEUED = task.c.status == code(Status.QUEUED)

# All of these are answered by an index alone, except for the few rows that run.
_QUEUED_IN_ALL: Select[int] = select(func.count()).select_from(task).where(_QUEUED)

# Queued tasks of a queue that are not plain, and the first one's id. Parameter: queue.
_counted: list[Any] = [func.count(), first_id(task.c.id)]
_RANKED: Select[Any] = select(*_counted).where(
    _QUEUED, task.c.queue == bindparam("queue_"), task.c.rank.is_not(None)
)

_oldest = (
    select(task.c.id, task.c.rank).where(_QUEUED).order_by(task.c.id).limit(bindparam("limit_")).subquery()
)

# The first plain task among the oldest queued ones. Parameter: limit.
_PLAIN: Select[Any] = select(first_id(_oldest.c.id)).where(_oldest.c.rank.is_(None))

_SCHEDULED: Select[Any] = (
    select(task.c.queue, func.count()).where(task.c.status == code(Status.SCHEDULED)).group_by(task.c.queue)
)

_RUNNING: Select[Any] = (
    select(task.c.queue, func.count()).where(task.c.status == code(Status.RUNNING)).group_by(task.c.queue)
)

# What tells since when a task waits. Parameter: id.
_SINCE: Select[Any] = select(
    task.c.created_at, task.c.run_at, task.c.rank, task.c.priority, task.c.fair_key
).where(task.c.id == bindparam("id_"))

_PAUSES: Select[Any] = select(pause.c.queue, pause.c.paused_at, pause.c.paused_by)


class Pause(msgspec.Struct):
    """When a queue was paused, and by whom."""

    at: Time
    by: str


class Depth(msgspec.Struct):
    """How many tasks of a queue are in each state that is not an end."""

    queued: int
    scheduled: int
    running: int


class QueueState(msgspec.Struct):
    """A queue, as ``GET /queues`` shows it. ``oldest`` is for how many seconds the first of those queued waits."""

    name: str
    depth: Depth
    oldest: float | None
    running: int
    consumers: int
    paused: Pause | None
    counted_at: Time


class _Counts(NamedTuple):
    queued: dict[str, int]
    scheduled: dict[str, int]
    running: dict[str, int]
    since: dict[str, int]  # milliseconds since 1970: when the oldest queued one could have begun
    at: int


class Overview:
    """Tells the state of queues.

    Counting ten million takes about a second, so one count serves all who ask until it is a few times as old.
    """

    def __init__(
        self, reader: Reader, dispatchers: Mapping[str, Dispatcher], placing: Placing, own: str
    ) -> None:
        self._reader = reader
        self._dispatchers = dispatchers
        self._placing = placing
        self._own = own  # the queue of plain tasks
        self._counts = Kept(self._count)

    async def states(self) -> list[QueueState]:
        """Return the state of every queue, in the order of their names."""
        counts = await self._counts.get()
        pauses = {queue: Pause(timestamp(at), by) for queue, at, by in await self._reader.read(_PAUSES, {})}
        now = int(time() * 1000)
        return [
            QueueState(
                name,
                Depth(counts.queued.get(name, 0), counts.scheduled.get(name, 0), counts.running.get(name, 0)),
                max(0, now - counts.since[name]) / 1000 if name in counts.since else None,
                counts.running.get(name, 0),
                dispatcher.consumers,
                pauses.get(name),
                timestamp(counts.at),
            )
            for name, dispatcher in sorted(self._dispatchers.items())
        ]

    async def _count(self) -> _Counts:
        at = int(time() * 1000)
        ranked = {name: (await self._reader.read(_RANKED, {"queue_": name}))[0] for name in self._dispatchers}
        ((in_all,),) = await self._reader.read(_QUEUED_IN_ALL, {})
        queued = {name: count for name, (count, _) in ranked.items()}
        queued[self._own] += max(0, in_all - sum(queued.values()))
        oldest = {name: first for name, (_, first) in ranked.items() if first is not None}
        ((plain,),) = await self._reader.read(_PLAIN, {"limit_": LOOKED_AT})
        if plain is not None:
            oldest[self._own] = min(plain, oldest.get(self._own, plain))
        since = {name: since for name, id_ in oldest.items() if (since := await self._since(id_)) is not None}
        scheduled = dict(await self._reader.read(_SCHEDULED, {}))
        running = dict(await self._reader.read(_RUNNING, {}))
        return _Counts(queued, scheduled, running, since, at)

    async def _since(self, id_: bytes) -> int | None:
        """Return when a queued task could first have begun; None where it is gone already."""
        for created_at, run_at, rank, priority, fair_key in await self._reader.read(_SINCE, {"id_": id_}):
            queued_at = 0
            if rank is not None and fair_key is None:  # also for one that was run again long after
                queued_at = rank + self._placing.ageing_off(priority or 0)
            return max(int(created_at), run_at or 0, queued_at)
        return None
