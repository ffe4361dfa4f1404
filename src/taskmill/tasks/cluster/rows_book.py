"""The book of nodes that share a database: who has a task stands in its row."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from taskmill.sql import Database, Lane, Transaction
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.cluster.notice import Notice
from taskmill.tasks.cluster.outstanding import Outstanding
from taskmill.tasks.message import TaskMessage, from_row
from taskmill.tasks.rows import sharing


class Stored:
    """So many rows of a lane, until all are committed. ``future`` raises why one could not be."""

    def __init__(self, count: int) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._left = count
        self._error: Exception | None = None

    def settled(self, error: Exception | None) -> None:
        """Take note of one row."""
        self._left -= 1
        self._error = self._error or error
        if self._left or self.future.done():
            return
        if self._error is not None:
            self.future.set_exception(self._error)
        else:
            self.future.set_result(None)


def _settled(_: list[Any], waiters: list[Stored], error: Exception | None) -> None:
    for stored in waiters:
        stored.settled(error)


class RowsBook:
    """Claims rows for this node, whose id ``node`` tells. ``outstanding`` is what it has handed out if it leads.

    Only what the present leader has named is claimed: one that leads no more may have had other limits in mind.
    """

    def __init__(
        self, database: Database, catalog: Catalog, node: Callable[[], bytes], outstanding: Outstanding
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._node = node
        self._outstanding = outstanding
        self._lane: Lane[Stored] = database.writer.lane(database.compile(sharing.CLAIM), _settled)

    def knows(self, action: str) -> bool:
        """Whether this node can run an action."""
        return self._catalog.find(action) is not None

    async def claim(self, notices: Mapping[bytes, Notice]) -> Mapping[bytes, TaskMessage]:
        """Claim tasks: with the next commit, beside all else that it stores, and then see which they are."""
        fence = max(named.fence for named in notices.values())
        keys = [key for key, named in notices.items() if named.fence == fence]
        node = self._node()
        stored = Stored(len(keys))
        for key in keys:
            self._lane.append((node, key, node, node, fence), stored)
        await stored.future
        count, values = sharing.keys(keys)
        sql, arguments = self._database.bind(sharing.claimed(count), {"node_": node, **values})
        rows = await self._database.read(lambda connection: connection.execute(sql, arguments).fetchall())
        claimed = {}
        for row in rows:
            key = bytes(row[0])
            claimed[key] = self._message(row, notices[key])
            entry = self._outstanding.entries.get(key)
            if entry is not None:
                self._outstanding.claim(entry)
                entry.here = True
        self._outstanding.freed()
        return claimed

    async def give_back(self, messages: Sequence[TaskMessage]) -> None:
        """Let go of tasks."""
        node = self._node()

        def call(transaction: Transaction) -> None:
            for first in range(0, len(messages), sharing.MOST):
                ids = [message.key for message in messages[first : first + sharing.MOST]]
                count, values = sharing.keys(ids)
                transaction.change(sharing.give_back(count), node_=node, **values)

        if messages:
            await self._database.write(call)
        for message in messages:
            entry = self._outstanding.entries.get(message.key)
            if entry is not None and entry.here:  # of what others give back the rows tell
                self._outstanding.unclaim(entry)

    def ended(self, message: TaskMessage) -> None:
        """Do nothing: its row says so, and whoever leads looks there."""

    def _message(self, row: Any, named: Notice) -> TaskMessage:
        registered = self._catalog.find(row[1])
        assert registered is not None  # noqa: S101 - `knows` was asked before
        return from_row(row, registered, suspect=named.suspect)
