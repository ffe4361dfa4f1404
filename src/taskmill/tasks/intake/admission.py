"""Admission: a task that must start soon is refused at once where it would not, and not left to expire.

``start_by`` of ``POST /tasks`` says within how many seconds. What is refused has stored nothing, and is told
when to come again.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from time import monotonic
from typing import NamedTuple

from taskmill.http import BadRequest, FieldError
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.intake.once import REMEMBERED, IdempotencyKey
from taskmill.tasks.intake.placing import NewTask
from taskmill.tasks.intake.turns import next_rank
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.view.line import Line, Standing

BOUND = 100_000  # tasks ahead that are counted; more count as so many
REUSED = 0.25  # seconds for which a count serves others like it, so that a flood of them costs a few
KEPT = 1_000  # counts in memory
STANDING_STILL = 60  # seconds after which to look again whether a queue goes on
LONGEST = 3_600  # seconds that a client is told to wait

_Alike = tuple[str, int, str | None, str | None]


class Late(NamedTuple):
    """Why a task would start too late, and in how many seconds it may do better."""

    detail: str
    retry_after: int


class Admission:
    """Judges tasks that must start soon, before they are stored."""

    def __init__(self, line: Line, reader: Reader, dispatchers: Mapping[str, Dispatcher]) -> None:
        self._line = line
        self._reader = reader
        self._dispatchers = dispatchers
        self._known: dict[_Alike, tuple[float, Standing]] = {}

    async def judge(self, new: NewTask, start_by: float, idempotency: IdempotencyKey | None) -> Late | None:
        """Return why a task cannot start within ``start_by`` seconds, or None where it may.

        Raises:
            BadRequest: it is not to be run before a later time.
        """
        planned = 0.0 if new.run_at is None else (new.run_at - new.created_at) / 1000
        if planned > start_by:
            raise BadRequest(
                "Let it start later: its own time comes after its `start_by`.",
                [FieldError("start_by", f"sooner than `delay` or `run_at`, which is in {planned:g} s")],
            )
        if idempotency is not None and await self._reader.key_used(
            idempotency.key, new.created_at - REMEMBERED
        ):
            return None  # it has been accepted: the answer is the same again
        queue = new.place.queue
        dispatcher = self._dispatchers[queue]
        if dispatcher.paused:
            return Late(f"Queue {queue} is paused: resume it, or submit without `start_by`.", STANDING_STILL)
        if not dispatcher.consumers:
            return Late(f"Queue {queue} has no consumer: start one.", STANDING_STILL)
        standing = await self._standing(new)
        if max(standing.at_least, planned) <= start_by:
            return None
        ahead = f"{'more than ' if standing.more else ''}{standing.ahead:,}"
        return Late(
            f"It would not start within {start_by:g} s: {ahead} tasks of queue {queue} go before it, and it waits "
            f"{standing.at_least:.1f} s or more. Submit it later, or with a larger `start_by`.",
            min(LONGEST, max(1, ceil(standing.at_least - start_by))),
        )

    async def _standing(self, new: NewTask) -> Standing:
        alike = (new.place.queue, new.place.priority, new.place.limit_key, new.fair_key)
        now = monotonic()
        found = self._known.get(alike)
        if found is not None and found[0] > now - REUSED:
            return found[1]
        standing = await self._line.stand(
            new.place.queue, new.message.key, await self._rank(new), new.place.limit_key, BOUND
        )
        if len(self._known) >= KEPT:
            self._known.clear()
        self._known[alike] = (now, standing)
        return standing

    async def _rank(self, new: NewTask) -> int:
        """Return the rank that a task will have; see :mod:`taskmill.tasks.intake.turns`."""
        if new.fair_key is None:
            return new.place.rank
        first, last = await self._reader.turn(new.place.queue, new.fair_key, new.place.priority)
        return next_rank(first, last, new.place.rank)
