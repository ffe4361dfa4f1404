"""Migrations: numbered, forward only, recorded in a table, safe to run from several places at once."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData, Table, Text, bindparam, func, insert, select

from taskmill.sql.database import Database
from taskmill.sql.errors import DatabaseNewer

logger = logging.getLogger(__name__)

# How a table of MySQL or MariaDB is made: texts compare by their bytes, by the collation that either server has for it.
MYSQL_TABLE = (
    "ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 "
    "/*!80017 COLLATE=utf8mb4_0900_bin */ /*M!100600 COLLATE=utf8mb4_nopad_bin */"
)

# Which migrations of which component have been applied, and when (milliseconds since 1970).
_record = Table(
    "taskmill_migration",
    MetaData(),
    Column("component", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("applied_at", BigInteger, nullable=False),
)

_RECORD = {
    "sqlite": """
        CREATE TABLE IF NOT EXISTS taskmill_migration (
            component TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, applied_at INTEGER NOT NULL,
            PRIMARY KEY (component, number)
        ) WITHOUT ROWID
        """,
    "postgresql": """
        CREATE TABLE IF NOT EXISTS taskmill_migration (
            component text NOT NULL, number integer NOT NULL, name text NOT NULL, applied_at bigint NOT NULL,
            PRIMARY KEY (component, number)
        )
        """,
    "mysql": f"""
        CREATE TABLE IF NOT EXISTS taskmill_migration (
            component VARCHAR(200) NOT NULL, number INT NOT NULL, name TEXT NOT NULL, applied_at BIGINT NOT NULL,
            PRIMARY KEY (component, number)
        ) {MYSQL_TABLE}
        """,
}

# Parameter: component.
_NEWEST = select(func.max(_record.c.number)).where(_record.c.component == bindparam("component_"))

# Parameters: component, number, name, applied_at.
_APPLIED = insert(_record).values({column.name: bindparam(f"{column.name}_") for column in _record.c})


# An index of a large table takes longer than statements may otherwise.
_PATIENT = {"postgresql": "SET LOCAL statement_timeout = 0"}


@dataclass(frozen=True, slots=True)
class Migration:
    """One step forward: a number, a name, and the SQL that makes it on each database.

    A database that came later lacks the first steps: its own first one makes what they had come to.
    """

    number: int
    name: str
    sql: Mapping[str, str]  # by dialect


async def migrate(database: Database, component: str, migrations: Sequence[Migration]) -> int:
    """Apply what is missing, in order; return how many that was.

    All of it is one transaction that no other of its kind runs beside: of two that start at once the second finds
    the work done, and a crash half-way leaves nothing half-done where the database can undo such changes.

    A database that several nodes share may be one migration ahead of this version, while a newer one takes over.

    Raises:
        DatabaseNewer: the database was written by a version that is too new for this one.
    """

    def apply(connection: Any) -> int:
        if database.dialect in _PATIENT:
            connection.execute(_PATIENT[database.dialect])
        database.serialize(connection, "taskmill migrations")
        connection.execute(_RECORD[database.dialect])
        ((newest,),) = connection.execute(*database.bind(_NEWEST, {"component_": component})).fetchall()
        newest = newest or 0
        if newest > max(migration.number for migration in migrations) + database.shared:
            raise DatabaseNewer(
                f"{database.place} was written by a newer version ({component} is at migration {newest}); "
                "start that version, or restore a backup from before"
            )
        missing = [one for one in _own(migrations, database.dialect) if one.number > newest]
        for migration in missing:
            connection.execute(migration.sql[database.dialect])
            values = {
                "component_": component,
                "number_": migration.number,
                "name_": migration.name,
                "applied_at_": int(time.time() * 1000),
            }
            database.change(connection, *database.bind(_APPLIED, values))
        return len(missing)

    count = await database.writer.run(apply)
    if count:
        logger.info("%s: %d migrations applied", component, count)
    return count


def _own(migrations: Sequence[Migration], dialect: str) -> Iterator[Migration]:
    """Give the migrations of a database, from its first on."""
    begun = False
    for migration in migrations:
        begun = begun or dialect in migration.sql
        if begun:
            yield migration
