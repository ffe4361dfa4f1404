"""Building the index for tasks that were stored before their action declared it, the newest first, beside all else.

Nothing waits for it: neither the start nor a submission. Until it is done, to filter by such a path is refused: half
an answer would be worse, above all where tasks are cancelled by it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple

from taskmill.sql import Database, DatabaseError, Overloaded, Transaction
from taskmill.tasks.actions.action import ANY
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.finding import statements
from taskmill.tasks.finding.values import entries
from taskmill.tasks.ids import from_text
from taskmill.tasks.model import Task
from taskmill.tasks.view.filters import Selection
from taskmill.tasks.view.listing import Listing

logger = logging.getLogger(__name__)

BATCH = 200  # tasks in one transaction
RESTS = 2  # times as long as a part took, for others
PAUSE = 1.0  # seconds after a failure
LOOK = 15.0  # seconds between looks where several nodes share the database

DONE = b""
NEWEST = b"\xff" * 16


class Indexed(NamedTuple):
    """A path that an action has indexed, and down to which id older tasks are in the index."""

    action: str
    path: str
    reached: bytes


async def end_undeclared(database: Database, catalog: Catalog) -> None:
    """At a node's start, end the indexes that its actions do not declare: what it stores will not be in them."""
    declared = _declared(catalog)

    def call(transaction: Transaction) -> None:
        for one in map(Indexed._make, transaction.fetch(statements.INDEXED)):
            if (one.action, one.path) not in declared:
                transaction.change(statements.END, action_=one.action, path_=one.path)

    await database.write(call)


class Building:
    """Brings the index up to what actions declare, in the process that leads."""

    def __init__(self, database: Database, catalog: Catalog, listing: Listing) -> None:
        self._database = database
        self._catalog = catalog
        self._listing = listing
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to build what is not indexed yet. Where tasks are few, it is done at once."""
        left = []
        for one in await self._begin():
            reached = await self._part(one, one.reached)
            if reached != DONE:
                left.append(one._replace(reached=reached))
        declared = bool(_declared(self._catalog))
        if left or (declared and self._database.shared):
            self._task = asyncio.create_task(self._go_on(left), name="index of data")

    async def _begin(self) -> list[Indexed]:
        """Note what is declared, and return what is still to be indexed of it."""
        declared = _declared(self._catalog)

        def call(transaction: Transaction) -> list[Indexed]:
            indexed = list(map(Indexed._make, transaction.fetch(statements.INDEXED)))
            known = {(one.action, one.path): one for one in indexed}
            for action, path in declared - known.keys():
                transaction.change(statements.BEGIN, action_=action, path_=path, reached_=NEWEST)
                known[action, path] = Indexed(action, path, NEWEST)
            return sorted(known[one] for one in declared if known[one].reached != DONE)

        return await self._database.write(call)

    async def _go_on(self, wanted: Sequence[Indexed]) -> None:
        """Build, and look now and then whether a node that does not declare an index has ended it."""
        await self._build(wanted)
        while self._database.shared:
            await asyncio.sleep(LOOK)
            try:
                wanted = await self._begin()
            except (DatabaseError, Overloaded) as error:
                logger.warning("cannot look for what is to be indexed, trying again: %s", error)
            else:
                await self._build(wanted)

    async def stop(self) -> None:
        """Build no further; the next start goes on."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _build(self, wanted: Sequence[Indexed]) -> None:
        for one in wanted:
            reached = one.reached
            while reached != DONE:
                began = perf_counter()
                try:
                    reached = await self._part(one, reached)
                except (DatabaseError, Overloaded) as error:
                    logger.warning(
                        "%s of %s is not indexed yet, trying again: %s", one.path, one.action, error
                    )
                    await asyncio.sleep(PAUSE)
                await asyncio.sleep((perf_counter() - began) * RESTS)
            logger.info("%s of %s is indexed", one.path, one.action)

    async def _part(self, one: Indexed, reached: bytes) -> bytes:
        """Index the tasks before an id, some of them; return down to which one they are indexed now."""
        selection = Selection(action=None if one.action == ANY else one.action)
        cursor = None if reached == NEWEST else reached
        tasks, following = await self._listing.page(selection, cursor, BATCH)
        following = following or DONE
        rows = [
            (from_text(task.id), entry)
            for task in tasks
            if self._is_of(task, one.action)
            for entry in entries([one.path], task.data)
        ]

        def call(transaction: Transaction) -> None:
            for id_, entry in rows:
                transaction.change(statements.ADD_LATER, path_=entry.path, value_=entry.value, id_=id_)
            transaction.change(statements.REACH, reached_=following, action_=one.action, path_=one.path)

        await self._database.write(call)
        return following

    def _is_of(self, task: Task, action: str) -> bool:
        found = self._catalog.find(task.action)
        return found is not None and found.action.name == action


def _declared(catalog: Catalog) -> set[tuple[str, str]]:
    return {(action.name, path) for action in catalog.actions() for path in action.options.index}
