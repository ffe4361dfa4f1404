"""Held tasks: stored, and not run before their client says so. It may drop them instead, and they end by themselves."""

from __future__ import annotations

from collections.abc import Callable
from time import time
from typing import Any

from taskmill.sql import Transaction
from taskmill.tasks.dispatch.alarm import Alarm
from taskmill.tasks.intake.placing import Placing
from taskmill.tasks.rows import steps
from taskmill.tasks.rows.due import end_held
from taskmill.tasks.rows.over import Over, over
from taskmill.tasks.rows.store import Store


class Holding:
    """Lets held tasks go, or ends them. ``ended`` hears of those that have ended, in the order of commits.

    The alarm queues a task that is let go, as it does any whose time has come: it has the one place for that.
    """

    def __init__(
        self,
        store: Store[Any, Any],
        placing: Placing,
        alarm: Alarm,
        ended: Callable[[list[Over]], None],
        clock: Callable[[], int],
    ) -> None:
        self._database = store.database
        store.lapsed = ended
        self._placing = placing
        self._alarm = alarm
        self._ended = ended
        self._clock = clock

    async def release(self, key: bytes) -> bool:
        """Let a task run, now or at its own time; tell whether it was held."""
        now = self._clock()

        def call(transaction: Transaction) -> int | None:
            for priority, own in transaction.fetch(steps.HELD, id_=key):
                at = max(int(own), now)
                values = {"run_at_": at, "rank_": self._placing.rank(at, priority or 0)}
                if transaction.change(steps.LET_GO, id_=key, **values):
                    return at
            return None

        at = await self._database.write(call)
        if at is not None:
            self._alarm.set(at)
        return at is not None

    async def drop(self, key: bytes) -> bool:
        """Cancel a task; tell whether it was held."""
        now = int(time() * 1000)

        def call(transaction: Transaction) -> list[Over]:
            dropped = end_held(transaction, key, now, "dropped", "its client took it back")
            return [over(transaction, key)] if dropped else []

        dropped: list[Over] = await self._database.write(call, self._ended)
        return bool(dropped)
