"""What people and programs do to tasks and queues that are there: cancel, run again, pause, resume."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import time
from typing import NamedTuple

import msgspec

from taskmill.sql import Database, Transaction
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.callback.again import Again
from taskmill.tasks.cluster import topics
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.intake.placing import Placing
from taskmill.tasks.intake.turns import fair_rank
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.model import TaskError, timestamp
from taskmill.tasks.rows import statements, steps


class Cancelled(NamedTuple):
    """A task that has been cancelled, as its row was before."""

    key: bytes
    status: Status
    rank: int | None
    queue: str
    action: str


class Control:
    """Changes rows first, then what is in memory of them.

    ``cancelled`` gets the tasks that were cancelled; it stops them in memory. ``queued`` dispatches rows. Both
    hear of it in the order of commits. ``paused`` holds the names of the queues that are. ``again`` is there where
    ends of tasks are told.
    """

    again: Again | None = None

    def __init__(
        self,
        database: Database,
        catalog: Catalog,
        dispatchers: Mapping[str, Dispatcher],
        placing: Placing,
        cancelled: Callable[[Sequence[Cancelled]], None],
        queued: Callable[[Sequence[Dispatchable]], None],
        paused: set[str],
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._dispatchers = dispatchers
        self._placing = placing
        self._cancelled = cancelled
        self._queued = queued
        self._paused = paused

    async def cancel(self, keys: Sequence[bytes], why: TaskError | None = None) -> list[bytes]:
        """Cancel tasks; return those that had not ended. What runs is stopped."""
        values = {
            "finished_at_": int(time() * 1000),
            "error_": None if why is None else msgspec.json.encode(why).decode(),
        }

        def call(transaction: Transaction) -> list[Cancelled]:
            found = [
                Cancelled(key, *state)
                for key in keys
                for state in transaction.fetch(statements.STATE, id_=key)
            ]
            return [one for one in found if transaction.change(steps.CANCEL, id_=one.key, **values)]

        cancelled = [one.key for one in await self._database.write(call, self._cancelled)]
        if cancelled:
            self._database.signals.send(topics.CANCEL)
        return cancelled

    async def cancel_for_limit(self, key: bytes, why: str) -> None:
        """Cancel a task that its action's limit has no place for."""
        await self.cancel([key], TaskError("limit", why, timestamp(int(time() * 1000))))

    async def retry(self, keys: Sequence[bytes]) -> list[bytes]:
        """Run failed or cancelled tasks again, with as many attempts as a new one; return those that will be."""
        now = int(time() * 1000)

        def call(transaction: Transaction) -> list[Dispatchable]:
            return [row for key in keys for row in self._redrive(transaction, key, now)]

        again, queued = self.again, self._queued
        if again is None:
            return [row[0] for row in await self._database.write(call, queued)]
        return [row[0] for row in await again.beside(self._database, call, queued, now)]

    async def pause(self, queue: str, by: str) -> None:
        """Start no more tasks of a queue until it is resumed, also after a restart. What runs is finished."""
        values = {"queue_": queue, "paused_at_": int(time() * 1000), "paused_by_": by}

        def call(transaction: Transaction) -> None:
            transaction.change(statements.RESUME, queue_=queue)
            transaction.change(statements.PAUSE, **values)

        await self._database.write(call, lambda _: self._hold(queue))
        self._database.signals.send(topics.PAUSE)

    async def resume(self, queue: str) -> None:
        """Start tasks of a queue again."""
        await self._database.write(
            lambda transaction: transaction.change(statements.RESUME, queue_=queue),
            lambda _: self._let_go_on(queue),
        )
        self._database.signals.send(topics.PAUSE)

    async def follow_pauses(self) -> None:
        """Take over which queues are paused by their rows: since the last run, or by another node."""
        await self._database.write(lambda transaction: transaction.fetch(statements.PAUSED), self._mirror)

    def _mirror(self, rows: Sequence[tuple[str]]) -> None:
        paused = {queue for (queue,) in rows} & self._dispatchers.keys()
        for queue in paused - self._paused:
            self._hold(queue)
        for queue in self._paused - paused:
            self._let_go_on(queue)

    def _hold(self, queue: str) -> None:
        self._paused.add(queue)
        self._dispatchers[queue].paused = True

    def _let_go_on(self, queue: str) -> None:
        self._paused.discard(queue)
        self._dispatchers[queue].paused = False
        self._dispatchers[queue].feed()

    def _redrive(self, transaction: Transaction, key: bytes, now: int) -> list[Dispatchable]:
        for row in transaction.fetch(statements.FOR_RETRY, id_=key):
            _, action, _, attempt, max_attempts, queue, _, priority, *_ = row
            registered = self._catalog.find(action)
            more = registered.action.options.max_attempts if registered else max_attempts
            rank = self._placing.rank(now, priority or 0)
            ((fair_key,),) = transaction.fetch(statements.FAIR_KEY, id_=key)
            if fair_key is not None:
                rank = fair_rank(transaction, queue, fair_key, priority or 0, alone=rank)
            values = {"max_attempts_": attempt + more, "rank_": rank}
            if transaction.change(steps.REDRIVE, id_=key, **values):
                rows: list[Dispatchable] = transaction.fetch(statements.FOR_RETRY, id_=key)
                return rows
        return []
