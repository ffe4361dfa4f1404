"""What people and programs do to tasks and queues that are there: cancel, run again, pause, resume."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import time

import msgspec

from taskmill.sql import SqliteDatabase, Transaction
from taskmill.tasks import statements, steps
from taskmill.tasks.catalog import Catalog
from taskmill.tasks.dispatcher import Dispatcher
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.model import TaskError, timestamp
from taskmill.tasks.placing import Placing

Queued = tuple[bytes, bool]  # the key of a task that was queued, and whether it is ranked


class Control:
    """Changes rows first, then what is in memory of them.

    ``cancelled`` gets the keys of tasks that were cancelled, and those that were queued by their rows; it stops
    them in memory. ``queued`` dispatches rows.
    """

    def __init__(
        self,
        database: SqliteDatabase,
        catalog: Catalog,
        dispatchers: Mapping[str, Dispatcher],
        placing: Placing,
        cancelled: Callable[[Sequence[bytes], Sequence[Queued]], None],
        queued: Callable[[Sequence[Dispatchable]], None],
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._dispatchers = dispatchers
        self._placing = placing
        self._cancelled = cancelled
        self._queued = queued

    async def cancel(self, keys: Sequence[bytes], why: TaskError | None = None) -> list[bytes]:
        """Cancel tasks; return those that had not ended. What runs is stopped."""
        values = {
            "finished_at_": int(time() * 1000),
            "error_": None if why is None else msgspec.json.encode(why).decode(),
        }

        def call(transaction: Transaction) -> list[tuple[bytes, int, int | None]]:
            found = [(key, *state) for key in keys for state in transaction.fetch(statements.STATE, id_=key)]
            return [one for one in found if transaction.change(steps.CANCEL, id_=one[0], **values)]

        found = await self._database.write(call)
        cancelled = [key for key, _, _ in found]
        queued = [(key, rank is not None) for key, status, rank in found if status == Status.QUEUED]
        if cancelled:
            self._cancelled(cancelled, queued)
        return cancelled

    async def cancel_for_limit(self, key: bytes, why: str) -> None:
        """Cancel a task that its action's limit has no place for."""
        await self.cancel([key], TaskError("limit", why, timestamp(int(time() * 1000))))

    async def retry(self, keys: Sequence[bytes]) -> list[bytes]:
        """Run failed or cancelled tasks again, with as many attempts as a new one; return those that will be."""
        now = int(time() * 1000)

        def call(transaction: Transaction) -> list[Dispatchable]:
            return [row for key in keys for row in self._redrive(transaction, key, now)]

        rows = await self._database.write(call)
        self._queued(rows)
        return [row[0] for row in rows]

    async def pause(self, queue: str, by: str) -> None:
        """Start no more tasks of a queue until it is resumed, also after a restart. What runs is finished."""
        values = {"queue_": queue, "paused_at_": int(time() * 1000), "paused_by_": by}

        def call(transaction: Transaction) -> None:
            transaction.change(statements.RESUME, queue_=queue)
            transaction.change(statements.PAUSE, **values)

        self._dispatchers[queue].paused = True
        await self._database.write(call)

    async def resume(self, queue: str) -> None:
        """Start tasks of a queue again."""
        await self._database.write(lambda transaction: transaction.change(statements.RESUME, queue_=queue))
        dispatcher = self._dispatchers[queue]
        dispatcher.paused = False
        dispatcher.feed()

    async def restore_pauses(self) -> None:
        """Keep those queues paused that were when the last run ended."""
        rows = await self._database.write(lambda transaction: transaction.fetch(statements.PAUSED))
        for (queue,) in rows:
            if queue in self._dispatchers:
                self._dispatchers[queue].paused = True

    def _redrive(self, transaction: Transaction, key: bytes, now: int) -> list[Dispatchable]:
        for row in transaction.fetch(statements.FOR_RETRY, id_=key):
            _, action, _, attempt, max_attempts, _, _, priority, *_ = row
            registered = self._catalog.find(action)
            more = registered.action.options.max_attempts if registered else max_attempts
            changed = transaction.change(
                steps.REDRIVE,
                id_=key,
                max_attempts_=attempt + more,
                rank_=self._placing.rank(now, priority or 0),
            )
            if changed:
                rows: list[Dispatchable] = transaction.fetch(statements.FOR_RETRY, id_=key)
                return rows
        return []
