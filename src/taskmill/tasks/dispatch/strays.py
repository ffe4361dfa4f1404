"""Tasks that were stored before their action had a limit: they get their limit, and their place, by their rows.

A limit leaves tasks rows and finds them again by their `limit_key`, so it must stand there before they wait in
memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from taskmill.sql import Database, Transaction
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.ids import time_in
from taskmill.tasks.intake.placing import limit_key_of
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.rows import statements

AT_ONCE = 500  # rows in one transaction


class Strays:
    """Finds such tasks among those that are read, and dispatches them by ``queued`` when they have their limit."""

    def __init__(
        self, database: Database, catalog: Catalog, queued: Callable[[Sequence[Dispatchable]], None]
    ) -> None:
        self._database = database
        self._catalog = catalog
        self._queued = queued

    def limit_of(self, row: Dispatchable) -> str | None:
        """Return the limit that a task's row lacks."""
        registered = self._catalog.find(row[1])
        if row[11] is not None or registered is None or not registered.action.options.limited:
            return None
        return limit_key_of(registered, msgspec.Raw(row[2].encode()))

    def with_limit(self, row: Dispatchable) -> Dispatchable:
        """Return a row with the limit that it lacks: for one that is never left alone again, since it runs."""
        limit = self.limit_of(row)
        return row if limit is None else (*row[:11], limit, *row[12:])

    async def take_in(self, rows: Sequence[Dispatchable]) -> bool:
        """Take in the strays among queued rows, and tell whether there were any; raise what the database does."""
        strays = [(row, limit) for row in rows if (limit := self.limit_of(row)) is not None]
        for first in range(0, len(strays), AT_ONCE):
            await self._mark(strays[first : first + AT_ONCE])
        return bool(strays)

    async def _mark(self, strays: Sequence[tuple[Dispatchable, str]]) -> None:
        def call(transaction: Transaction) -> list[Dispatchable]:
            found: list[Dispatchable] = []
            for row, limit in strays:
                values = {"id_": row[0], "limit_key_": limit, "rank_": time_in(row[0])}
                if transaction.change(
                    statements.LIMIT, **values
                ):  # else it was cancelled, or taken in before
                    found += transaction.fetch(statements.FOR_RETRY, id_=row[0])
            return found

        await self._database.write(call, self._queued)
