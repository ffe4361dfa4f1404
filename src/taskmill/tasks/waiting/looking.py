"""Looking at many tasks at once: what is read for those who wait."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import islice
from typing import Any, Final

from taskmill.sql import Database
from taskmill.tasks.model import TaskDetails, details
from taskmill.tasks.notes import statements as notes
from taskmill.tasks.rows import sharing
from taskmill.tasks.waiting import statements

AT_ONCE: Final = 64  # whole tasks in one look: each may have a result of some size


async def whole(database: Database, ids: Sequence[bytes]) -> dict[bytes, TaskDetails]:
    """Return those of some tasks that there are, with their attempts and steps; ``ids`` are 1 to AT_ONCE."""
    count, values = sharing.keys(ids)
    rows = database.bind(statements.whole(count), values)
    histories = database.bind(statements.histories(count), values)
    progress = database.bind(notes.progress(count), values)

    def call(connection: Any) -> dict[bytes, TaskDetails]:
        behind: dict[bytes, list[Any]] = {}
        found = connection.execute(*rows).fetchall()
        for one in connection.execute(*histories).fetchall():
            behind.setdefault(bytes(one[0]), []).append(one)
        noted = {bytes(id_): last for id_, *last in connection.execute(*progress).fetchall()}
        return {(id_ := bytes(row[0])): details(row, behind.get(id_, ()), noted.get(id_)) for row in found}

    return await database.read(call)


async def ended(database: Database, ids: Collection[bytes]) -> list[bytes]:
    """Return those of any number of tasks that have ended."""
    found: list[bytes] = []
    left = iter(tuple(ids))
    while some := list(islice(left, sharing.MOST)):
        count, values = sharing.keys(some)
        sql, arguments = database.bind(statements.ended(count), values)
        rows = await database.read(lambda connection: connection.execute(sql, arguments).fetchall())  # noqa: B023
        found += [bytes(id_) for (id_,) in rows]
    return found
