"""The ends of batches: each end of a task is a hint to look, and what counts are the rows of the members."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from taskmill.sql import Database, Transaction
from taskmill.tasks.batches import statements
from taskmill.tasks.batches.model import Counts, Member, Row, Summary, counts_of, members_of, told
from taskmill.tasks.follow.verdicts import queue
from taskmill.tasks.ids import to_text
from taskmill.tasks.intake.placing import Placing
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.rows import statements as rows
from taskmill.tasks.sealing.keys import KeyMissing, refuse_sealed

logger = logging.getLogger(__name__)

AT_ONCE: Final = 100  # batches in one read
MEMBERS: Final = 10_000  # whose results the last task gets, at most,
LONGEST: Final = 2**22  # and so many bytes of them
CANCELLED: Final = 100  # members in one transaction: some milliseconds of the writer's time
KEPT: Final = 86_400_000  # milliseconds that a batch without members is kept after its end
SWEEP: Final = 3600.0  # seconds between two looks for those that are kept no longer


class Ending:
    """Ends batches whose members have ended, and has their last tasks be queued by ``queued``.

    ``cancel`` cancels tasks. ``clock`` gives the milliseconds since 1970 by the clock of all nodes.
    """

    def __init__(
        self,
        database: Database,
        placing: Placing,
        clock: Callable[[], int],
        queued: Callable[[Sequence[Dispatchable]], None],
        cancel: Callable[[Sequence[bytes]], Awaitable[object]],
    ) -> None:
        self._database = database
        self._placing = placing
        self._clock = clock
        self._queued = queued
        self._cancel = cancel
        self._swept = -SWEEP

    async def look(self) -> bool:
        """End the batches that are over; tell whether there are others that have not ended."""
        await self._sweep()
        after, left = b"", False
        while found := await self._read(statements.RUNNING, id_=after, limit_=AT_ONCE):
            batches = [Row(*row) for row in found]
            for batch in batches:
                left |= batch.closed_at is None or not await self._end(batch)
            after = batches[-1].id
        return left

    async def call_off(self, batch: bytes) -> None:
        """Cancel all members that have not ended."""
        while found := await self._read(statements.LEFT, id_=batch, limit_=CANCELLED):
            await self._cancel([id_ for (id_,) in found])

    async def _end(self, batch: Row) -> bool:
        """End a batch if all its members have; tell whether it has ended."""
        if (
            batch.cancelled_at is not None
        ):  # by a process that was killed since, perhaps, before it had cancelled all
            await self.call_off(batch.id)
            await self._cancel([] if batch.on_complete is None else [batch.on_complete])
        elif await self._read(statements.LEFT, id_=batch.id, limit_=1):
            return False
        counts = counts_of(await self._read(statements.COUNTS, id_=batch.id), batch.total)
        try:
            data = None if batch.on_complete is None else await self._data(batch, batch.on_complete, counts)
        except KeyMissing as error:
            logger.warning("batch %s waits to be ended: %s", to_text(batch.id), error)
            return False
        now = self._clock()
        end = {"id_": batch.id, "ended_at_": now, "counts_": msgspec.json.encode(counts).decode()}

        def call(transaction: Transaction) -> list[Dispatchable]:
            if transaction.change(statements.END, **end) and batch.on_complete is not None:
                return queue(transaction, batch.on_complete, self._placing, now, data)
            return []

        await self._database.write(call, self._queued)
        return True

    async def _data(self, batch: Row, on_complete: bytes, counts: Counts) -> str | None:
        """Return the data of a batch's last task, told of its end; None where there is no such task any more."""
        found = await self._read(rows.DATA, id_=on_complete)
        if not found:
            return None
        ended = counts.completed, counts.failed, counts.cancelled
        results = await self._results(batch)
        refuse_sealed(found[0][0])
        return told(found[0][0], Summary(to_text(batch.id), batch.name, batch.total, *ended, results))

    async def _results(self, batch: Row) -> list[Member] | None:
        if batch.total > MEMBERS:
            return None
        values = {"id_": batch.id, "after_": b"", "limit_": MEMBERS}
        sql, arguments = self._database.bind(statements.RESULTS, values)

        def call(connection: Any) -> list[Any] | None:
            found, left = [], LONGEST
            with_rows = self._database.iterate(connection, sql, arguments)
            try:
                for row in with_rows:
                    found.append(row)
                    left -= sum(len(text or "") for text in (row[1], row[3], row[4])) + 100
                    if left < 0:
                        return None
            finally:
                with_rows.close()
            return found

        found = await self._database.read(call)
        for row in found or ():
            refuse_sealed(row[3])
        return None if found is None else members_of(found)

    async def _sweep(self) -> None:
        """Forget batches of which nothing is left, now and then."""
        now = asyncio.get_running_loop().time()
        if now - self._swept >= SWEEP:
            self._swept = now
            before = self._clock() - KEPT
            await self._database.write(
                lambda transaction: transaction.change(statements.PRUNE, before_=before)
            )

    async def _read(self, statement: Any, **values: Any) -> list[Any]:
        sql, arguments = self._database.bind(statement, values)
        return await self._database.read(lambda connection: connection.execute(sql, arguments).fetchall())
