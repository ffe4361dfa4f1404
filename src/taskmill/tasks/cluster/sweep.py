"""The sweep: the leader gives the tasks of dead nodes back, so that others run them.

What tells is the owner's heartbeat, never how long a task has been running. Its one criterion is that the node which
has a task is not among the nodes: one that is declared dead is taken out, and so is one that leaves. A node that
comes back to life finds its row gone, and each of its late writes names a node that no longer has the task.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from time import time
from typing import Any, Final

import msgspec

from taskmill.sql import Database, DatabaseError, Overloaded, Transaction
from taskmill.tasks.cluster import statements as nodes_statements
from taskmill.tasks.cluster import sweep_statements as statements
from taskmill.tasks.cluster.nodes import Nodes
from taskmill.tasks.control.dead_letter import DeadLetters
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.model import TaskError, timestamp
from taskmill.tasks.rows.over import Over
from taskmill.tasks.rows.sharing import FREE
from taskmill.tasks.rows.steps import FORGET, KEPT_ATTEMPTS

logger = logging.getLogger(__name__)

AT_ONCE: Final = 100  # tasks in one transaction: some milliseconds of the writer's time
ROUND: Final = 10.0  # seconds between looks for tasks whose node has gone unseen
AGAIN: Final = 0.5  # seconds after one that failed

Held = tuple[Any, ...]  # a row of `statements.HELD`


class Swept:
    """What came of some tasks of a dead node: those that wait again, and those that have failed."""

    def __init__(self) -> None:
        self.returned: list[Dispatchable] = []
        self.ended: list[Over] = []
        self.last: bytes | None = None  # the id that the next look begins after; None at the end


class Sweep:
    """Looks for tasks of nodes that are no more, while this node leads.

    ``returned`` gets the rows of those that are queued again, ``ended`` those that have failed since
    no attempt was left; both in the order of commits. ``letters`` hears of the latter, where failed tasks are
    published.
    """

    def __init__(
        self,
        database: Database,
        nodes: Nodes,
        returned: Callable[[Sequence[Dispatchable]], None],
        ended: Callable[[Sequence[Over]], None],
        letters: DeadLetters | None = None,
    ) -> None:
        self._database = database
        self._nodes = nodes
        self._returned = returned
        self._ended = ended
        self._letters = letters
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look, where the database has several nodes."""
        if self._database.shared:
            self._nodes.buried.append(self._wake.set)
            self._task = asyncio.create_task(self._run(), name="sweep")

    def soon(self) -> None:
        """Look now: this node has begun to lead, say."""
        self._wake.set()

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def once(self) -> int:
        """Give back all that nodes have which are no more; return how many tasks that were."""
        missing = await self._read(statements.MISSING, {})
        return sum([await self._give_back(bytes(id_)) for (id_,) in missing])

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            wait = ROUND
            if self._nodes.leadership.is_leader:
                try:
                    await self.once()
                except (DatabaseError, Overloaded) as error:
                    logger.warning("tasks of dead nodes cannot be given back, trying again: %s", error)
                    wait = AGAIN
                except Exception:  # whatever it is, later ones are still to be looked for
                    logger.exception("tasks of dead nodes cannot be given back, trying again")
                    wait = AGAIN
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def _give_back(self, node: bytes) -> int:
        returned = ended = 0
        after: bytes | None = b""
        while after is not None:
            swept = await self._database.write(self._call(node, after), self._tell)
            returned += len(swept.returned)
            ended += len(swept.ended)
            after = swept.last
        if self._letters is not None and ended:
            self._letters.committed()
        if returned or ended:
            logger.warning("%d tasks of a dead node wait again, %d had no attempt left", returned, ended)
        return returned + ended

    def _call(self, node: bytes, after: bytes) -> Callable[[Transaction], Swept]:
        nodes = self._nodes
        fenced = {"holder_": nodes.id, "fence_": nodes.leadership.fence}

        def call(transaction: Transaction) -> Swept:
            swept = Swept()
            if not transaction.fetch(nodes_statements.FENCED, **fenced):
                return swept
            rows = transaction.fetch(statements.HELD, node_=node, id_=after, limit_=AT_ONCE)
            for row in rows:
                self._settle(transaction, node, row, swept)
            if len(rows) == AT_ONCE:
                swept.last = bytes(rows[-1][0])
            return swept

        return call

    def _settle(self, transaction: Transaction, node: bytes, row: Held, swept: Swept) -> None:
        *dispatchable, status, started_at = row
        key, number, most = row[0], row[3], row[4]
        own = {"id_": key, "node_": node}
        if status == Status.QUEUED:
            changed = transaction.change(FREE, **own)
        elif number < most:
            changed = transaction.change(statements.RECLAIM, attempt_=number, **own)
        else:
            self._lose(transaction, row, own, started_at, swept)
            return
        if changed:
            swept.returned.append(tuple(dispatchable))

    def _lose(
        self, transaction: Transaction, row: Held, own: dict[str, Any], started_at: int | None, swept: Swept
    ) -> None:
        """End a task whose last attempt its node did not survive."""
        now = int(time() * 1000)
        key, number = row[0], row[3]
        lost = TaskError("worker_lost", f"the server died in the last of {number} attempts", timestamp(now))
        error = msgspec.json.encode(lost).decode()
        if not transaction.change(statements.LOSE, finished_at_=now, error_=error, attempt_=number, **own):
            return
        values = {"started_at_": started_at, "ended_at_": now, "error_": error}
        transaction.change(statements.RECORD, task_id_=key, attempt_=number, **values)
        if number > KEPT_ATTEMPTS:
            transaction.change(FORGET, id_=key, attempt_=number - KEPT_ATTEMPTS)
        if self._letters is not None:
            self._letters.expired(transaction, key, now)
        swept.ended.append(Over(key, row[5], row[1], Status.FAILED))

    def _tell(self, swept: Swept) -> None:
        if swept.returned:
            self._returned(swept.returned)
        if swept.ended:
            self._ended(swept.ended)

    async def _read(self, statement: Any, values: dict[str, Any]) -> list[Any]:
        sql, arguments = self._database.bind(statement, values)
        return await self._database.read(lambda connection: connection.execute(sql, arguments).fetchall())
