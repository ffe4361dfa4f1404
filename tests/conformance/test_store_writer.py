"""The group commit of a database: what belongs together, what fails alone, what comes after what."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, Update, bindparam, func, insert, select, update
from sqlalchemy.schema import CreateTable
from stored import Stored, until
from stores import Place

from taskmill import sql
from taskmill.sql import DatabaseError, Migration, Transaction, migrate
from taskmill.tasks.rows import statements

NOTE = Table(
    "jotting", MetaData(), Column("id", Integer, primary_key=True, autoincrement=False), Column("text", Text)
)


def test_a_row_that_cannot_be_stored_fails_alone(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            (first,) = await stored.add()
            others = [stored.ids.next() for _ in range(5)]
            for key in (*others[:2], first.key, *others[2:]):  # the id of the third is taken
                row = (key, "work", "tasks", "{}", 0, 3, 1, 1, 0)
                stored.store.add_full(row + (None,) * (len(statements.FULL) - len(row)), key)
            await until(lambda: len(stored.settled) == 6 and stored.settled[first.key] is not None)
            assert isinstance(stored.settled[first.key], DatabaseError)
            assert await stored.states([first.key, *others]) == ["queued"] * 6

    asyncio.run(main())


def test_a_call_that_fails_undoes_only_itself(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:

            def pause(queue: str, *, fails: bool) -> Any:
                def call(transaction: Transaction) -> None:
                    transaction.change(statements.PAUSE, queue_=queue, paused_at_=1, paused_by_="me")
                    if fails:
                        raise LookupError(queue)

                return database.write(call)

            outcomes = await asyncio.gather(
                pause("a", fails=False), pause("b", fails=True), pause("c", fails=False),
                pause("a", fails=False), return_exceptions=True,
            )  # fmt: skip
            assert outcomes[0] is None
            assert isinstance(outcomes[1], LookupError)
            assert outcomes[2] is None
            assert isinstance(outcomes[3], DatabaseError), "it was paused already"
            with pytest.raises(LookupError):
                await pause("d", fails=True)  # alone in its commit
            rows = await Stored(database).reader.read(statements.PAUSED, {})
            assert sorted(rows) == [("a",), ("c",)]

    asyncio.run(main())


def test_then_hears_in_the_order_of_commits(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            heard: list[int] = []
            await asyncio.gather(
                *(database.write(lambda _, n=number: n, heard.append) for number in range(50))  # type: ignore[misc]
            )
            assert heard == list(range(50))

    asyncio.run(main())


def test_a_read_sees_what_was_committed_before_it(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            for count in range(1, 20):
                await stored.add()
                assert await stored.reader.unended() == count

    asyncio.run(main())


def test_reads_go_on_beside_each_other_and_beside_writes(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            writes = [stored.add(10) for _ in range(20)]
            counts = await asyncio.gather(*(stored.reader.unended() for _ in range(100)), *writes)
            assert max(count for count in counts if isinstance(count, int)) <= 200
            assert await stored.reader.unended() == 200

    asyncio.run(main())


def test_what_is_waiting_is_committed_before_it_stops(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            late = asyncio.create_task(database.write(_pause))
            await asyncio.sleep(0)  # it has been asked for, and nothing more
        await late
        async with place.open() as database:
            assert await Stored(database).reader.read(statements.PAUSED, {}) == [("q1",)]

    asyncio.run(main())


def _pause(transaction: Transaction) -> int:
    return transaction.change(statements.PAUSE, queue_="q1", paused_at_=1, paused_by_="me")


def test_functions_query_and_execute(place: Place) -> None:
    def work() -> tuple[int, int, list[dict[str, Any]]]:
        with sql.get("app:db") as db:
            db.execute(CreateTable(NOTE))
            added = db.execute(insert(NOTE).values([{"id": 1, "text": "one"}, {"id": 2, "text": "100 %"}]))
            changed = db.execute(
                update(NOTE).where(NOTE.c.id == 2).values(text="second"), insert(NOTE).values(id=3, text="x")
            )
            with pytest.raises(DatabaseError, match="use `execute`"):
                db.query(insert(NOTE).values(id=4, text="no").returning(NOTE.c.id))
            rows = db.query(select(NOTE).where(NOTE.c.id.in_([1, 2])).order_by(NOTE.c.id))
            return added, changed, rows

    async def main() -> None:
        async with place.open():
            added, changed, rows = await asyncio.to_thread(work)
            assert (added, changed) == (2, 2)
            assert rows == [{"id": 1, "text": "one"}, {"id": 2, "text": "second"}]
            async with sql.get("app:db") as db:
                assert await db.query(select(func.count().label("n")).select_from(NOTE)) == [{"n": 3}]

    asyncio.run(main())


def test_two_statements_of_the_same_text_are_two(place: Place) -> None:
    def renaming(other: str) -> Update:
        """Give a note its text, unless it has the text ``other`` names: which may be the same value, or one more."""
        unlike = NOTE.c.text != bindparam(other, type_=Text)
        row = NOTE.c.id == bindparam("id_", type_=Integer)
        return update(NOTE).values(text=bindparam("text_", type_=Text)).where(row, unlike)

    async def main() -> None:
        async with place.open() as database:
            async with sql.get("app:db") as db:
                notes = [{"id": number, "text": "old"} for number in range(3)]
                await db.execute(CreateTable(NOTE))
                await db.execute(insert(NOTE).values(notes))
            same, another = database.compile(renaming("text_")), database.compile(renaming("other_"))
            await database.writer.store(
                [(same, [("same", 0, "same")]), (another, [("new", 1, "no"), ("new", 2, "old")])]
            )
            rows = await Stored(database).reader.read(select(NOTE.c.text).order_by(NOTE.c.id), {})
            assert [text for (text,) in rows] == ["same", "new", "old"]

    asyncio.run(main())


def test_migrations_are_applied_once_and_a_newer_database_is_refused(place: Place) -> None:
    async def main() -> None:
        async with place.open(tables=False) as database:
            names = ["one", "two", "three", "four"]
            steps = [
                Migration(number, name, {database.dialect: f"CREATE TABLE {name} (id int)"})
                for number, name in enumerate(names, 1)
            ]
            counts = await asyncio.gather(*(migrate(database, "app", steps[:2]) for _ in range(5)))
            assert sorted(counts) == [0, 0, 0, 0, 2]
            assert await migrate(database, "app", steps) == 2
            # Of one that nodes share, a version may be a step behind while the next one takes over.
            if database.shared:
                assert await migrate(database, "app", steps[:3]) == 0
            with pytest.raises(DatabaseError, match="was written by a newer version"):
                await migrate(database, "app", steps[:2])

    asyncio.run(main())


def test_a_migration_that_came_before_a_database_is_none_of_its_own(place: Place) -> None:
    async def main() -> None:
        async with place.open(tables=False) as database:
            own = {database.dialect: "CREATE TABLE whole (id int)"}
            steps = [
                Migration(1, "old", {"another": "nonsense"}),
                Migration(2, "whole", {"another": "x", **own}),
            ]
            assert await migrate(database, "app", steps) == 1

    asyncio.run(main())
