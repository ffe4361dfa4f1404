"""The writer on real SQLite: what one row's or one call's error undoes, and the settings that make it durable."""

import asyncio
from pathlib import Path
from typing import Any

import apsw
import pytest
from opened import database_entry, failures, opened

from taskmill.sql import DatabaseError, SqliteDatabase


class Table:
    """A table with a unique number and a text, and a lane into it."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database
        self.outcomes: dict[object, Exception | None] = {}
        self.lane = database.writer.lane("INSERT INTO item VALUES (?, ?)", self._settle)

    async def make(self) -> "Table":
        sql = "CREATE TABLE item (number INTEGER PRIMARY KEY, text TEXT NOT NULL)"
        await self.database.writer.run(lambda connection: connection.execute(sql) and None)
        return self

    def add(self, number: object, text: object) -> None:
        self.lane.append((number, text), number)

    async def numbers(self) -> list[int]:
        return [row[0] for row in await self.database.read(
            lambda connection: connection.execute("SELECT number FROM item ORDER BY number").fetchall()
        )]  # fmt: skip

    def _settle(self, _: list[Any], waiters: list[Any], error: Exception | None) -> None:
        self.outcomes |= dict.fromkeys(waiters, error)


@pytest.mark.parametrize(
    ("text", "error"),
    [(None, DatabaseError), (object(), TypeError), ("\ud800", UnicodeEncodeError)],
    ids=["constraint", "type", "surrogate"],
)
@pytest.mark.parametrize("count", [3, 200])  # a batch that is run on the loop, and one that the thread runs
def test_a_row_that_cannot_be_stored_fails_alone(
    tmp_path: Path, text: object, error: type[Exception], count: int
) -> None:
    async def main() -> None:
        async with opened(tmp_path) as database:
            table = await Table(database).make()
            for number in range(count):
                table.add(number, text if number == 1 else "fine")
            expected = [number for number in range(count) if number != 1]
            await database.writer.run(lambda _: None)
            assert isinstance(table.outcomes.pop(1), error)
            assert set(table.outcomes.values()) == {None}
            table.add(1000, "later")  # nothing was left open
            await database.writer.run(lambda _: None)
            assert await table.numbers() == [*expected, 1000]
            assert not failures

    asyncio.run(main())


def test_a_call_that_fails_undoes_only_itself(tmp_path: Path) -> None:
    def half(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO item VALUES (100, 'half')")
        raise LookupError("then it failed")

    def twice(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO item VALUES (200, 'once')")
        connection.execute("INSERT INTO item VALUES (200, 'again')")

    async def main() -> None:
        async with opened(tmp_path) as database:
            table = await Table(database).make()
            table.add(1, "mate")
            run = database.writer.run
            outcomes = await asyncio.gather(
                run(half), run(twice), run(lambda _: "fine"), return_exceptions=True
            )
            assert [type(outcome) for outcome in outcomes] == [LookupError, DatabaseError, str]
            assert table.outcomes == {1: None}
            assert await table.numbers() == [1]

    asyncio.run(main())


def test_every_connection_is_as_durable_as_it_says(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path, readers=3) as database:
            settings = await database.writer.run(
                lambda connection: [
                    connection.pragma(name) for name in ("synchronous", "journal_mode", "wal_autocheckpoint")
                ]
            )
            assert settings == [2, "wal", 0]  # FULL, and checkpoints by hand
            with database.reader() as one, database.reader() as two, database.reader() as three:
                for connection in (one, two, three):
                    assert connection.pragma("query_only") == 1
                    assert connection.pragma("journal_mode") == "wal"
                    with pytest.raises(apsw.ReadOnlyError):
                        connection.execute("CREATE TABLE never (id)")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("value", "warns"),
    [
        ("full", False),
        ("FULL", False),
        ("extra", False),
        (2, False),
        ("normal", True),
        ("off", True),
        (1, True),
    ],
)
def test_F6_an_option_that_risks_tasks_is_warned_of(value: object, warns: bool) -> None:
    warnings = list(SqliteDatabase.warnings(database_entry(options={"synchronous": value})))
    assert bool(warnings) == warns
    assert all("app:db" in warning and "power loss" in warning for warning in warnings)


def test_readers_do_not_wait_for_a_writer_nor_it_for_them(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path) as database:
            table = await Table(database).make()
            table.add(1, "one")
            await database.writer.run(lambda _: None)
            with database.reader() as reader:
                reader.execute("BEGIN")
                assert reader.execute("SELECT count(*) FROM item").fetchall() == [(1,)]
                table.add(2, "two")
                await database.writer.run(lambda _: None)
                assert reader.execute("SELECT count(*) FROM item").fetchall() == [(1,)]
                reader.execute("COMMIT")
                assert reader.execute("SELECT count(*) FROM item").fetchall() == [(2,)]

    asyncio.run(main())
