"""A database with a history for tests of retention, without a server around it."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from taskmill.registry import Entry
from taskmill.sql import SqliteDatabase
from taskmill.sql.sqlite import SqliteConfig
from taskmill.supervisor import Context
from taskmill.tasks.api import apply_migrations
from taskmill.tasks.lifecycle import Status

DAY = 86_400_000  # milliseconds
COLUMNS = (
    "id, action, queue, data, status, attempt, max_attempts, created_at, started_at, finished_at, result"
)


def now() -> int:
    return int(time.time() * 1000)


def task_id(made: int, number: int = 0) -> bytes:
    """Return the id of a task made at a time."""
    return made.to_bytes(6) + b"\x70\x00\x80\x00" + number.to_bytes(6)


def row(
    made: int,
    ended: int | None,
    status: Status = Status.COMPLETED,
    number: int = 0,
    data: str = "{}",
    action: str = "work",
) -> tuple[Any, ...]:
    """Return a task's row, for :func:`store`."""
    return (
        task_id(made, number), action, "tasks", data, int(status), 1, 3, made, ended, ended,
        '{"output":1}' if status is Status.COMPLETED else None,
    )  # fmt: skip


@asynccontextmanager
async def history(directory: Path, file: str = "tasks.db") -> AsyncIterator[SqliteDatabase]:
    """Start an empty database with all tables, and stop it at the end."""
    config = SqliteConfig(name="db", kind="db.sql.sqlite", file=file)
    entry = Entry("app:db", config.kind, config, Path("_index.yaml"), 1, Path())
    context = Context({}, lambda *failure: None, data_dir=directory, app_dir=directory)
    database = SqliteDatabase(entry, context)
    try:
        await database.start()
        await apply_migrations(database=database)
        yield database
    finally:
        await database.stop()


async def store(database: SqliteDatabase, rows: Iterable[tuple[Any, ...]]) -> None:
    """Write rows, some thousands a commit."""
    sql = f"INSERT INTO task ({COLUMNS}) VALUES ({', '.join('?' * 11)})"
    batch: list[tuple[Any, ...]] = []
    for one in rows:
        batch.append(one)
        if len(batch) == 5_000:
            await _write(database, sql, batch)
            batch = []
    await _write(database, sql, batch)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds, while the loop goes on."""
    async with asyncio.timeout(20.0):
        while not condition():  # noqa: ASYNC110 - a look now and then until the deadline
            await asyncio.sleep(0.01)


async def until_gone(database: SqliteDatabase, left: int) -> None:
    """Wait until so many tasks are left, or fewer."""
    async with asyncio.timeout(20.0):
        while len(await ids(database)) > left:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


async def _write(database: SqliteDatabase, sql: str, rows: list[tuple[Any, ...]]) -> None:
    await database.writer.run(lambda connection: connection.executemany(sql, rows) and None)


async def fetch(database: SqliteDatabase, sql: str, *values: object) -> list[Any]:
    rows: list[Any] = await database.read(lambda connection: connection.execute(sql, values).fetchall())
    return rows


async def ids(database: SqliteDatabase, table: str = "task") -> set[bytes]:
    return {id_ for (id_,) in await fetch(database, f"SELECT id FROM {table}")}


def mixed(count: int, first: int, last: int, size: int = 60) -> Iterable[tuple[Any, ...]]:
    """Make so many tasks between two times, most of them completed, that each ended a second later."""
    chance = random.Random(1)
    states = [Status.COMPLETED] * 8 + [Status.FAILED, Status.CANCELLED]
    for number in range(count):
        made = first + (last - first) * number // count
        yield row(
            made, made + 1000, chance.choice(states), number,
            '{"text":"%s"}' % ("x" * size), f"action-{number % 3}",
        )  # fmt: skip
