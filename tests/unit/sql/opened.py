"""A started database for tests, and what it has reported."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from taskmill.registry import Entry
from taskmill.sql import SqliteDatabase
from taskmill.sql.sqlite import SqliteConfig
from taskmill.supervisor import Context

failures: list[tuple[str, BaseException]] = []


def database_entry(file: str = "test.db", **options: object) -> Entry[SqliteConfig]:
    config = SqliteConfig(name="db", kind="db.sql.sqlite", file=file, **options)  # type: ignore[arg-type]
    return Entry("app:db", config.kind, config, Path("_index.yaml"), 1, Path())


@asynccontextmanager
async def opened(directory: Path, file: str = "test.db", **options: object) -> AsyncIterator[SqliteDatabase]:
    """Start a database in a directory, and stop it at the end."""
    failures.clear()
    context = Context({}, lambda *failure: failures.append(failure), data_dir=directory, app_dir=directory)
    database = SqliteDatabase(database_entry(file, **options), context)
    try:
        await database.start()
        yield database
    finally:
        await database.stop()
