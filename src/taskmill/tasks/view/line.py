"""The line before a task: how many go first, counted up to a bound, and when its own turn may come.

The statements stand here and not with the others, since nothing else asks for the line.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Mapping
from time import monotonic
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, case, func, literal_column, select

from taskmill.sql import Database
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.dispatch.limiter import Limiter
from taskmill.tasks.dispatch.limits import Limits
from taskmill.tasks.ids import time_in
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.rows.schema import task
from taskmill.tasks.rows.statements import code

_QUEUED = task.c.status == code(Status.QUEUED)
_BEFORE = (task.c.rank < bindparam("rank_")) | (
    (task.c.rank == bindparam("rank_")) & (task.c.id < bindparam("id_"))
)

# Ranked tasks of a queue before a place, by limit. Parameters: queue, rank, id, limit.
_ranked = (
    select(task.c.limit_key)
    .where(
        _QUEUED,
        task.c.queue == bindparam("queue_"),
        task.c.rank.is_not(None),
        task.c.rank <= bindparam("rank_"),
        _BEFORE,
    )
    .limit(bindparam("limit_"))
    .subquery()
)
RANKED_AHEAD: Select[Any] = select(_ranked.c.limit_key, func.count()).group_by(_ranked.c.limit_key)

# How many of the oldest queued tasks before an id were looked at, and how many of them are plain ones of a
# queue. Parameters: queue, id, limit.
_oldest = (
    select(task.c.rank, task.c.queue)
    .where(_QUEUED, task.c.id < bindparam("id_"))
    .order_by(task.c.id)
    .limit(bindparam("limit_"))
    .subquery()
)
_is_plain = _oldest.c.rank.is_(None) & (_oldest.c.queue == bindparam("queue_"))
PLAIN_AHEAD: Select[Any] = select(
    func.count(),
    func.coalesce(func.sum(case((_is_plain, literal_column("1")), else_=literal_column("0"))), 0),
).select_from(_oldest)

# Queued tasks under a limit before a place. Parameters: limit_key, rank, id, limit.
_limited = (
    select(task.c.id)
    .where(
        _QUEUED,
        task.c.limit_key == bindparam("limit_key_"),
        task.c.limit_key.is_not(None),
        task.c.rank <= bindparam("rank_"),
        _BEFORE,
    )
    .limit(bindparam("limit_"))
    .subquery()
)
LIMITED_AHEAD: Select[Any] = select(func.count()).select_from(_limited)


class Standing(NamedTuple):
    """Where a task stands in line.

    So many go before it, or ``more`` than were counted. ``at_least`` is how many seconds it waits by all that
    is known, and ``seconds`` how many in all, or None where that cannot be told.
    """

    ahead: int
    more: bool
    at_least: float
    seconds: float | None


class Line:
    """Tells where tasks stand, by their rows and by the pace of their queues."""

    def __init__(self, database: Database, dispatchers: Mapping[str, Dispatcher], limits: Limits) -> None:
        self._database = database
        self._dispatchers = dispatchers
        self._limits = limits

    async def stand(
        self, queue: str, id_: bytes, rank: int | None, limit_key: str | None, bound: int
    ) -> Standing:
        """Return where a task stands that is queued, or would be; count no further than ``bound``.

        A plain task has no ``rank``.
        """
        dispatcher = self._dispatchers[queue]
        limiter = None if limit_key is None else self._limits.get(limit_key)
        ahead, held_with_it, under_limit = await self._count(queue, id_, rank, limit_key, bound)
        more = ahead > bound
        ahead = min(ahead, bound)
        moving = ahead - held_with_it
        pace = dispatcher.pace.rate(monotonic(), dispatcher.waiting)
        in_line = None if moving > 0 and pace is None else max(0, moving) / (pace or 1.0)
        held = 0.0 if limiter is None else held_for(limiter, under_limit, get_running_loop().time())
        at_least = max(in_line or 0.0, held or 0.0)
        known = not more and in_line is not None and held is not None
        stands_still = dispatcher.paused or not dispatcher.consumers
        return Standing(ahead, more, at_least, at_least if known and not stands_still else None)

    async def _count(
        self, queue: str, id_: bytes, rank: int | None, limit_key: str | None, bound: int
    ) -> tuple[int, int, int]:
        """Return how many come before a task in its queue, and of those, how many its limit holds up as well; and
        how many come before it under its limit, whatever their queue.
        """
        place = time_in(id_) if rank is None else rank
        # A plain task stands by the time in its id, before ranked ones of that time.
        ranked = {"queue_": queue, "rank_": place, "id_": b"" if rank is None else id_, "limit_": bound + 1}
        until = id_ if rank is None else max(0, min(place + 1, 2**48 - 1)).to_bytes(6) + bytes(10)
        plain = {"queue_": queue, "id_": until, "limit_": bound + 1}
        limited = {**ranked, "limit_key_": limit_key}
        bind = self._database.bind
        queries = [bind(RANKED_AHEAD, ranked), bind(PLAIN_AHEAD, plain), bind(LIMITED_AHEAD, limited)]

        def call(connection: Any) -> list[list[Any]]:
            return [connection.execute(*query).fetchall() for query in queries[: 2 + (limit_key is not None)]]

        by_limit, ((scanned, plain_ahead),), *under = await self._database.read(call)
        # What is over its own limit holds nobody up.
        held = {key: count for key, count in by_limit if key is not None and self._held(key)}
        held_with_it = 0 if limit_key is None else held.get(limit_key, 0)
        ahead = sum([count for _, count in by_limit]) - sum(held.values()) + held_with_it
        if scanned > bound:
            ahead += bound + 1
        return ahead + plain_ahead, held_with_it, under[0][0][0] if under else 0

    def _held(self, limit_key: str) -> bool:
        limiter = self._limits.get(limit_key)
        return limiter is not None and bool(limiter.parked)


def held_for(limiter: Limiter, before: int, now: float) -> float | None:
    """Return for how many seconds a limit holds a task up that has so many before it, or None if nobody knows.

    That is known of a rate alone. Each start makes way for another ``seconds`` later, so the starts of the
    last ``count`` tell all that come after them, if nothing else delays those.
    """
    if limiter.concurrency is not None and len(limiter.running) + before >= limiter.concurrency:
        return None
    if limiter.rate is None:
        return 0.0
    starts = [at for at in limiter.starts if at > now - limiter.rate.seconds]
    rounds, place = divmod(len(starts) + before, limiter.rate.count)
    since = starts[place] if place < len(starts) else now
    return max(0.0, since + rounds * limiter.rate.seconds - now)
