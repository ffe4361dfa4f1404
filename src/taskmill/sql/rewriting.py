"""Writing a file anew: SQLite leaves what was overwritten or deleted in pages that it will use again."""

from __future__ import annotations

import apsw

from taskmill.sql.database import Database
from taskmill.sql.errors import DatabaseError
from taskmill.sql.sqlite import SqliteDatabase
from taskmill.sql.sqlite_file import BUSY_MS


def write_anew(database: Database) -> None:
    """Have nothing in a database's file but what it holds now; the database is stopped, or not SQLite's.

    It takes the space of the file once more while it lasts.

    Raises:
        DatabaseError: it cannot be done now, such as on a full disk; the file is as it was.
    """
    if not isinstance(database, SqliteDatabase) or database.in_memory:
        return
    try:
        connection = apsw.Connection(database.path)
        try:
            connection.set_busy_timeout(BUSY_MS)
            connection.execute("VACUUM")
        finally:
            connection.close()
    except apsw.Error as error:
        raise DatabaseError(
            f"{database.path} still has what was overwritten in free pages: {error}"
        ) from None
