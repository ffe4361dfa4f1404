"""The databases that every store's tests run on. Another joins the suite with one more function in `STORES`."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from servers.mariadb import MariadbServer
from servers.postgres import PostgresServer

from taskmill.registry import Entry, EntryConfig
from taskmill.sql import Database, MysqlDatabase, PostgresDatabase, SqliteDatabase
from taskmill.sql.mysql import MysqlConfig
from taskmill.sql.postgres import PostgresConfig
from taskmill.sql.sqlite import SqliteConfig
from taskmill.supervisor import Context
from taskmill.tasks.api import apply_migrations

Make = Callable[[], Database]


class Place:
    """One database, which may be opened again and again; at once only where it is ``shared``."""

    def __init__(self, make: Make) -> None:
        self.make = make
        self.shared = make().shared

    @asynccontextmanager
    async def open(self, *, tables: bool = True) -> AsyncIterator[Database]:
        """Start the database, with all tables unless that is not wanted; stop it at the end."""
        database = self.make()
        try:
            await database.start()
            if tables:
                await apply_migrations(database=database)
            yield database
        finally:
            await database.stop()


def _entry(config: EntryConfig) -> Entry[Any]:
    return Entry(f"app:{config.name}", config.kind, config, Path("_index.yaml"), 1, Path())


def _context(directory: Path) -> Context:
    return Context({}, lambda *failure: None, data_dir=directory, app_dir=directory)


@contextmanager
def _sqlite(directory: Path, _: pytest.FixtureRequest) -> Iterator[Make]:
    entry = _entry(SqliteConfig(name="db", kind=SqliteDatabase.kind, file="tasks.db"))
    yield lambda: SqliteDatabase(entry, _context(directory))


@contextmanager
def _postgres(directory: Path, request: pytest.FixtureRequest) -> Iterator[Make]:
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create()
    entry = _entry(PostgresConfig(name="db", kind=PostgresDatabase.kind, url=url))
    yield lambda: PostgresDatabase(entry, _context(directory))
    server.drop(url)


@contextmanager
def _mysql(directory: Path, request: pytest.FixtureRequest) -> Iterator[Make]:
    server: MariadbServer = request.getfixturevalue("mariadb")
    url = server.create()
    entry = _entry(MysqlConfig(name="db", kind=MysqlDatabase.kind, url=url))
    yield lambda: MysqlDatabase(entry, _context(directory))
    server.drop(url)


STORES: Mapping[str, Callable[[Path, pytest.FixtureRequest], AbstractContextManager[Make]]] = {
    "mysql": _mysql,
    "postgres": _postgres,
    "sqlite": _sqlite,
}
