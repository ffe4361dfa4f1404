"""Load on a MySQL database, and what stands in its tables."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import pymysql
from nodes_load import Rows

from taskmill.registry import Entry
from taskmill.sql import MysqlDatabase
from taskmill.sql.mysql import MysqlConfig
from taskmill.supervisor import Context
from taskmill.tasks.api import apply_migrations

SUBMITS = """
@action(inline=True, max_attempts=100, backoff="100ms")
def inline(number: int, seconds: float = 0) -> int:
    begun(number)
    return number * 2
"""


class MysqlRows(Rows):
    """The tasks in the tables."""

    def __init__(self, url: str) -> None:
        columns = "id, status, result, attempt, data, finished_at"
        found = query(url, f"SELECT {columns} FROM task")
        self.tasks: dict[str, tuple[Any, ...]] = {str(UUID(bytes=row[0])): row[1:] for row in found}


def query(url: str, sql: str) -> tuple[Any, ...]:
    """Run a statement as Taskmill's user, and return its rows."""
    parts = urlsplit(url)
    connection = pymysql.connect(
        host=parts.hostname, port=parts.port or 0, user=parts.username, database=parts.path[1:],
        password=unquote(parts.password or "").encode(), autocommit=True,
    )  # fmt: skip
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(sql)
        return tuple(cursor.fetchall())


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[MysqlDatabase]:
    """Open a database with all tables, in this process."""
    config = MysqlConfig(name="db", kind=MysqlDatabase.kind, url=url)
    entry = Entry("app:db", config.kind, config, Path("_index.yaml"), 1, Path())
    database = MysqlDatabase(entry, Context({}, lambda *failure: None, data_dir=Path(), app_dir=Path()))
    try:
        await database.start()
        await apply_migrations(database=database)
        yield database
    finally:
        await database.stop()
