"""Migrations: in order, once, also from two places at once, all or nothing, never backwards."""

import asyncio
from pathlib import Path

import apsw
import pytest
from opened import opened
from sqlalchemy import LargeBinary, Table

from taskmill.sql import DatabaseError, Migration, SqliteDatabase, migrate
from taskmill.tasks.rows.schema import (
    MIGRATIONS,
    attempt,
    happened,
    idempotency,
    lease,
    node,
    note,
    pause,
    step,
    task,
)

ONE = Migration(1, "one", {"sqlite": "CREATE TABLE one (id); INSERT INTO one VALUES (1)"})
TWO = Migration(2, "two", {"sqlite": "CREATE TABLE two (id); INSERT INTO two VALUES (2)"})
BROKEN = Migration(3, "broken", {"sqlite": "CREATE TABLE three (id); INSERT INTO nowhere VALUES (3)"})


async def _tables(database: SqliteDatabase) -> set[str]:
    sql = "SELECT name FROM sqlite_schema WHERE type = 'table'"
    return {row[0] for row in await database.read(lambda connection: connection.execute(sql).fetchall())}


def test_what_is_missing_is_applied_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as database:
            assert await migrate(database, "app", [ONE]) == 1
            assert await migrate(database, "app", [ONE]) == 0
            assert await migrate(database, "app", [ONE, TWO]) == 1
            assert (
                await migrate(
                    database, "other", [Migration(1, "its own", {"sqlite": "CREATE TABLE other (id)"})]
                )
                == 1
            )
            assert {"one", "two", "other"} <= await _tables(database)

    asyncio.run(main())


def test_two_at_once_apply_each_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as database:
            counts = await asyncio.gather(*(migrate(database, "app", [ONE, TWO]) for _ in range(5)))
            assert sorted(counts) == [0, 0, 0, 0, 2]

    asyncio.run(main())


def test_one_that_fails_leaves_nothing_half_done(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as database:
            with pytest.raises(DatabaseError, match="nowhere"):
                await migrate(database, "app", [ONE, TWO, BROKEN])
            assert not {"one", "two", "three"} & await _tables(database)
            assert await migrate(database, "app", [ONE, TWO]) == 2

    asyncio.run(main())


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as database:
            await migrate(database, "app", [ONE, TWO])
            with pytest.raises(DatabaseError) as refused:
                await migrate(database, "app", [ONE])
            assert str(refused.value) == (
                f"{database.path} was written by a newer version (app is at migration 2); "
                "start that version, or restore a backup from before"
            )

    asyncio.run(main())


@pytest.mark.parametrize(
    "table",
    [task, attempt, idempotency, pause, node, lease, note, happened, step],
    ids=lambda table: table.name,
)
def test_a_table_is_the_sum_of_its_migrations(table: Table) -> None:
    """The statements know the same columns, in the same order, as the migrations make."""
    connection = apsw.Connection(":memory:")
    for migration in MIGRATIONS:
        connection.execute(migration.sql["sqlite"])
    made = [
        (name, kind, bool(not_null), bool(key))
        for _, name, kind, not_null, _, key in connection.execute(f"PRAGMA table_info({table.name})")
    ]
    declared = [
        (
            column.name,
            "BLOB" if isinstance(column.type, LargeBinary) else str(column.type).replace("BIGINT", "INTEGER"),
            not column.nullable,
            column.primary_key,
        )
        for column in table.columns
    ]
    assert made == declared


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [migration.number for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))
