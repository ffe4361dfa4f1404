"""The space that a database's file takes, and giving back what of it is free."""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

import apsw

from taskmill.sql.sqlite import SqliteDatabase
from taskmill.sql.sqlite_file import INCREMENTAL


class Space(NamedTuple):
    """A database in pages of ``page_size`` bytes."""

    page_size: int
    pages: int
    free: int  # of them hold nothing
    can_shrink: bool  # a file that was made without `auto_vacuum` does not, and uses its free pages again

    @property
    def used(self) -> int:
        """The bytes that hold something."""
        return (self.pages - self.free) * self.page_size


async def measure(database: SqliteDatabase) -> Space:
    """Return what a database takes by its last commit."""

    def call(connection: apsw.Connection) -> Space:
        names = ("page_size", "page_count", "freelist_count", "auto_vacuum")
        page_size, pages, free, vacuum = (connection.pragma(name) for name in names)
        return Space(page_size, pages, free, vacuum == INCREMENTAL)

    return await database.read(call)


async def give_back(database: SqliteDatabase, pages: int) -> float:
    """Cut so many free pages off the database; return the seconds for which that kept the writer busy.

    What is in use at the file's end is moved. The file is cut by the checkpoint after it.
    """

    def call(connection: apsw.Connection) -> float:
        began = perf_counter()
        # It frees a page with each step of its cursor, so it is done only when all are fetched.
        connection.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()
        return perf_counter() - began

    return await database.writer.run(call)
