"""Looking at tasks for those who watch: their rows, and what they have said lately."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from sqlalchemy import LargeBinary, Select, bindparam, literal_column, null, select

from taskmill.sql import Database
from taskmill.tasks.events.event import Seen
from taskmill.tasks.model import from_row
from taskmill.tasks.notes import statements as notes
from taskmill.tasks.rows import sharing
from taskmill.tasks.rows.schema import task

AT_ONCE: Final = 64  # tasks in one look: one may have a log of some size

_ABSENT: Final = {"data": literal_column("'null'"), "result": null()}  # nobody wants it at each change


@cache
def _rows(count: int) -> Select[Any]:
    """Tasks without their data and results. Parameters: those of ``sharing.keys``."""
    keys: list[Any] = [bindparam(f"key{number}_", LargeBinary) for number in range(count)]
    return select(*(_ABSENT.get(column.name, column) for column in task.c)).where(task.c.id.in_(keys))


async def look(database: Database, since: Mapping[bytes, int], recent: int) -> dict[bytes, Seen]:
    """Return those of 1 to AT_ONCE tasks that there are, with their notes from the number on that is given for each.

    Those of numbers up to ``recent`` are read together, and may have more notes than that.
    """
    ids = list(since)
    count, values = sharing.keys(ids)
    rows = database.bind(_rows(count), values)
    together = [key for key in ids if since[key] >= recent]
    joint = None
    if together:
        count, values = sharing.keys(together)
        first = min(since[key] for key in together)
        joint = database.bind(notes.since(count), {**values, "number_": first})
    single = {
        key: database.bind(notes.SINCE, {"id_": key, "number_": number})
        for key, number in since.items()
        if number < recent
    }

    def call(connection: Any) -> dict[bytes, Seen]:
        # The rows first: what a task has said before its end is there once that is.
        found = [from_row(row) for row in connection.execute(*rows).fetchall()]
        said: dict[bytes, list[Any]] = {}
        if joint is not None:
            for key, *note in connection.execute(*joint).fetchall():
                said.setdefault(bytes(key), []).append(note)
        for key, statement in single.items():
            said[key] = connection.execute(*statement).fetchall()
        return {(key := _key(one.id)): Seen(one, said.get(key, ())) for one in found}

    return await database.read(call)


def _key(id_: str) -> bytes:
    return bytes.fromhex(id_.replace("-", ""))
