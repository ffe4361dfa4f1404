"""Migrations: numbered, forward only, recorded in a table, safe to run from several places at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import apsw

from taskmill.sql.errors import DatabaseNewer
from taskmill.sql.sqlite import SqliteDatabase

logger = logging.getLogger(__name__)

# Which migrations of which component have been applied, and when (milliseconds since 1970).
_RECORD = """
CREATE TABLE IF NOT EXISTS taskmill_migration (
    component TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, applied_at INTEGER NOT NULL,
    PRIMARY KEY (component, number)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One step forward: a number, a name and the SQL that makes it."""

    number: int
    name: str
    sql: str


async def migrate(database: SqliteDatabase, component: str, migrations: Sequence[Migration]) -> int:
    """Apply what is missing, in order; return how many that was.

    All of it is one transaction under the writer's lock: a crash half-way leaves nothing half-done, and of
    two that start at once the second finds the work done.

    Raises:
        DatabaseNewer: the database was written by a newer version than this one.
    """

    def apply(connection: apsw.Connection) -> int:
        connection.execute(_RECORD)
        applied: list[Any] = connection.execute(
            "SELECT number FROM taskmill_migration WHERE component = ?", (component,)
        ).fetchall()
        newest = max((number for (number,) in applied), default=0)
        if newest > max(migration.number for migration in migrations):
            raise DatabaseNewer(
                f"{database.path} was written by a newer version ({component} is at migration {newest}); "
                "start that version, or restore a backup from before"
            )
        missing = [migration for migration in migrations if migration.number > newest]
        for migration in missing:
            connection.execute(migration.sql)
            connection.execute(
                "INSERT INTO taskmill_migration VALUES (?, ?, ?, ?)",
                (component, migration.number, migration.name, int(time.time() * 1000)),
            )
        return len(missing)

    count = await database.writer.run(apply)
    if count:
        logger.info("%s: %d migrations applied", component, count)
    return count
