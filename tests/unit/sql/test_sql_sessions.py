"""`sql.get(id)`: from a thread and from the loop, forgotten, exhausted, and where it would block."""

import asyncio
from pathlib import Path

import pytest
from opened import opened
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, func, insert, select, update
from sqlalchemy.schema import CreateTable

from taskmill import sql
from taskmill.sql import access

NOTE = Table(
    "note",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("text", Text),
    Column("raw", LargeBinary),
)


@pytest.mark.parametrize("file", ["test.db", ":memory:"])
def test_a_thread_queries_and_executes(tmp_path: Path, file: str) -> None:
    def work() -> tuple[int, list[dict[str, object]], int]:
        with sql.get("app:db") as db:
            db.execute(CreateTable(NOTE))
            added = db.execute(
                insert(NOTE).values([{"text": "one", "raw": b"\x00\xff"}, {"text": "two", "raw": None}])
            )
            changed = db.execute(
                update(NOTE).where(NOTE.c.text == "two").values(text="second"),
                insert(NOTE).values(text="three"),
            )
            rows = db.query(select(NOTE.c.text, NOTE.c.raw).where(NOTE.c.id.in_([1, 2])).order_by(NOTE.c.id))
            return added, rows, changed

    async def main() -> None:
        async with opened(tmp_path, file):
            added, rows, changed = await asyncio.to_thread(work)
            assert (added, changed) == (2, 2)
            assert rows == [{"text": "one", "raw": b"\x00\xff"}, {"text": "second", "raw": None}]

    asyncio.run(main())


def test_the_loop_queries_and_executes(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path), sql.get("app:db") as db:
            await db.execute(CreateTable(NOTE))
            assert await db.execute(insert(NOTE).values(text="one")) == 1
            assert await db.query(select(func.count().label("n")).select_from(NOTE)) == [{"n": 1}]

    asyncio.run(main())


def test_a_transaction_is_all_or_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path), sql.get("app:db") as db:
            await db.execute(CreateTable(NOTE))
            with pytest.raises(sql.DatabaseError):
                await db.execute(insert(NOTE).values(id=1), insert(NOTE).values(id=1))
            assert await db.query(select(NOTE.c.id)) == []

    asyncio.run(main())


def test_a_query_cannot_write(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path), sql.get("app:db") as db:
            await db.execute(CreateTable(NOTE))
            with pytest.raises(sql.DatabaseError, match="to change rows, use `execute`"):
                await db.query(insert(NOTE).values(id=1))

    asyncio.run(main())


def test_a_forgotten_connection_is_given_back_with_a_warning(tmp_path: Path) -> None:
    def forget() -> None:
        session = sql.get("app:db").acquire()
        session.query(select(func.sqlite_version()))
        held = [session]
        del session
        with pytest.warns(ResourceWarning, match="app:db was never released: use `with sql.get"):
            held.clear()

    async def main() -> None:
        async with opened(tmp_path, readers=1) as database:
            for _ in range(3):  # it is the only one, and there is one each time
                await asyncio.to_thread(forget)
            assert await database.read(lambda connection: connection.pragma("query_only")) == 1

    asyncio.run(main())


def test_releasing_twice_gives_back_once(tmp_path: Path) -> None:
    def work() -> None:
        lease = sql.get("app:db")
        lease.acquire()
        lease.release()
        lease.release()

    async def main() -> None:
        async with opened(tmp_path, readers=2) as database:
            await asyncio.to_thread(work)
            with database.reader(0.1) as one, database.reader(0.1) as two:
                assert one is not two

    asyncio.run(main())


def test_a_connection_is_given_back_when_its_block_fails(tmp_path: Path) -> None:
    def work() -> None:
        with sql.get("app:db"):
            raise LookupError

    async def main() -> None:
        async with opened(tmp_path, readers=1) as database:
            for _ in range(3):
                with pytest.raises(LookupError):
                    await asyncio.to_thread(work)
            with database.reader(0.1):
                pass

    asyncio.run(main())


def test_when_none_comes_free_the_message_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "LEASE_TIMEOUT", 0.01)

    def work() -> None:
        with sql.get("app:db"), sql.get("app:db"):
            raise AssertionError("there was only one")

    async def main() -> None:
        async with opened(tmp_path, readers=1):
            with pytest.raises(sql.DatabaseError, match="release them sooner, or raise its `readers`"):
                await asyncio.to_thread(work)

    asyncio.run(main())


def test_blocking_the_loop_is_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path):
            with pytest.raises(sql.DatabaseError, match="would block the event loop: write `async with"):
                sql.get("app:db").__enter__()

    asyncio.run(main())


def test_an_unknown_database_names_the_nearest(tmp_path: Path) -> None:
    async def main() -> None:
        async with opened(tmp_path):
            with pytest.raises(
                sql.DatabaseError, match="no database `app:bd` has started; did you mean `app:db`"
            ):
                sql.get("app:bd")
        with pytest.raises(sql.DatabaseError, match="no database `app:db` has started"):
            sql.get("app:db")

    asyncio.run(main())
