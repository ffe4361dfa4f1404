"""The expiry of leases: tasks whose worker has let its lease run out are given back, as attempts that crashed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from taskmill.sql import Database, DatabaseError, Overloaded, Transaction
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.external import statements
from taskmill.tasks.external.leases import Ended, Leases

logger = logging.getLogger(__name__)

LOOK: Final = 1.0  # seconds between two looks at most, while there are claims: heartbeats put their ends off
SHARED_LOOK: Final = 1.0  # and while there are none here, where other nodes may give some out
AT_ONCE: Final = 100  # claims in one look
AGAIN: Final = 0.5  # seconds after a look that failed


class Expiry:
    """Looks for claims that have run out, by the clock of the database, while this node leads."""

    def __init__(self, database: Database, leases: Leases, ended: Callable[[Sequence[Ended]], None]) -> None:
        self._database = database
        self._leases = leases
        self._ended = ended
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="leases that run out")

    async def stop(self) -> None:
        """Look no more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def soon(self) -> None:
        """Look: there is a claim that may run out."""
        self._wake.set()

    async def once(self) -> None:
        """Give back what has run out."""
        for lease, worker, term, timed_out in await self._read(statements.RUN_OUT, {"limit_": AT_ONCE}):
            failure = _why(worker, term, bool(timed_out))

            def call(
                transaction: Transaction, lease: bytes = bytes(lease), failure: Failure = failure
            ) -> Sequence[Ended]:
                return self._leases.run_out(transaction, lease, failure)

            ended = await self._database.write(call, self._ended)
            if ended:
                logger.warning(
                    "%d tasks of worker %r are given back: %s", len(ended), worker, failure.message
                )

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                await self.once()
                wait = await self._rest()
            except (DatabaseError, Overloaded) as error:
                logger.warning("leases that run out cannot be looked for, trying again: %s", error)
                wait = AGAIN
            except Exception:  # whatever it is, later ones are still to be looked for
                logger.exception("leases that run out cannot be looked for, trying again")
                wait = AGAIN
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _rest(self) -> float | None:
        """Return the seconds to the next look; None where there is nothing to look for until a claim is made."""
        ((left,),) = await self._read(statements.NEXT, {})
        if left is None:
            return SHARED_LOOK if self._database.shared else None
        return max(0.01, min(LOOK, float(left) / 1000 + 0.001))

    async def _read(self, statement: Any, values: dict[str, Any]) -> list[Any]:
        sql, arguments = self._database.bind(statement, values)
        return await self._database.read(lambda connection: connection.execute(sql, arguments).fetchall())


def _why(worker: str, term: int, timed_out: bool) -> Failure:
    if timed_out:
        return Failure("timeout", f"worker {worker!r} took longer than the timeout of the task")
    return Failure("lease_expired", f"worker {worker!r} let its lease of {term / 1000:g} s run out")
