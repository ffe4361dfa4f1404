"""Two nodes on one database: what they must not do at once, and what one hears of the other."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from sqlalchemy import Update, bindparam, update
from stored import REGISTERED, Stored, now, until
from stores import Place

from taskmill.sql import Database, Transaction
from taskmill.tasks.intake.once import IdempotencyKey, Submitted, submit
from taskmill.tasks.intake.placing import NewTask
from taskmill.tasks.message import Place as TaskPlace
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows import statements
from taskmill.tasks.rows.schema import task

RENAME: Update = update(task).values(queue=bindparam("queue_")).where(task.c.id == bindparam("id_"))


@asynccontextmanager
async def two(place: Place) -> AsyncIterator[tuple[Database, Database]]:
    if not place.shared:
        pytest.skip("one process has it for itself")
    async with place.open() as one, place.open() as other:
        yield one, other


def test_tables_are_made_once_by_those_that_start_together(place: Place) -> None:
    async def main() -> None:
        if not place.shared:
            pytest.skip("one process has it for itself")

        async def start() -> None:
            async with place.open() as database:
                await Stored(database).add()

        await asyncio.gather(*(start() for _ in range(4)))

    asyncio.run(main())


def test_of_two_submissions_with_one_key_at_once_one_is_the_first(place: Place) -> None:
    async def main() -> None:
        async with two(place) as nodes:
            stores = [Stored(node) for node in nodes]

            def new(stored: Stored, key: str | None) -> NewTask:
                where = TaskPlace("tasks", 1, 3, key=key)
                message = TaskMessage(stored.ids.next(), "work", REGISTERED, "{}", place=where)
                return NewTask(message, where, None, None, [], now())

            async def ask(number: int, stored: Stored, *, unique: bool) -> Submitted:
                one = new(stored, f"key {number}" if unique else None)
                idempotency = None if unique else IdempotencyKey(f"key {number}", b"\0" * 16)
                return await stored.database.write(
                    lambda transaction: submit(transaction, one, idempotency=idempotency)
                )

            for unique in (True, False):
                asked = [ask(number, stored, unique=unique) for number in range(50) for stored in stores * 2]
                answers = await asyncio.gather(*asked)
                for number in range(50):
                    ids = {answer.id for answer in answers[4 * number : 4 * number + 4]}
                    assert len(ids) == 1, f"unique={unique}"
            assert await stores[0].reader.unended() == 100

    asyncio.run(main())


def test_those_in_each_others_way_go_on_unseen(place: Place) -> None:
    """Two lock rows in opposite orders: the database ends one, which is made again."""

    async def main() -> None:
        async with two(place) as nodes:
            stored = Stored(nodes[0])
            keys = [await stored.add_full() for _ in range(2)]
            both = threading.Barrier(2)

            def crossing(first: bytes, second: bytes, name: str) -> object:
                tries: list[str] = []

                def call(transaction: Transaction) -> int:
                    tries.append(name)
                    transaction.change(RENAME, queue_=name, id_=first)
                    if len(tries) == 1:
                        both.wait(10)
                    transaction.change(RENAME, queue_=name, id_=second)
                    return len(tries)

                return call

            tries = await asyncio.gather(
                nodes[0].write(crossing(keys[0], keys[1], "a")),  # type: ignore[arg-type]
                nodes[1].write(crossing(keys[1], keys[0], "b")),  # type: ignore[arg-type]
            )
            assert sorted(tries) == [1, 2]
            assert len({(await stored.show(key)).queue for key in keys}) == 1

    asyncio.run(main())


def test_a_name_is_held_until_the_commit(place: Place) -> None:
    async def main() -> None:
        async with two(place) as nodes:
            at_once = most = 0

            def call(transaction: Transaction) -> None:
                nonlocal at_once, most
                transaction.serialize("a name")
                at_once += 1
                most = max(most, at_once)
                time.sleep(0.01)  # as long as the work that it guards
                at_once -= 1

            await asyncio.gather(*(node.write(call) for _ in range(10) for node in nodes))
            assert most == 1

    asyncio.run(main())


def test_what_one_has_committed_the_other_reads(place: Place) -> None:
    async def main() -> None:
        async with two(place) as nodes:
            one, other = Stored(nodes[0]), Stored(nodes[1])
            for _ in range(10):
                (message,) = await one.add()
                assert await other.reader.get(message.key) is not None
            assert abs(nodes[0].clock_offset) < 1, "it is the same machine"

    asyncio.run(main())


def test_signals_come_soon_and_few(place: Place) -> None:
    async def main() -> None:
        async with two(place) as nodes:
            heard: list[float] = []
            own: list[float] = []
            nodes[0].signals.on("topic", lambda: heard.append(time.monotonic()))
            nodes[0].signals.on("another", lambda: heard.append(-1))
            nodes[1].signals.on("topic", lambda: own.append(time.monotonic()))
            if nodes[0].dialect != "postgresql":
                nodes[1].signals.send("topic")  # a hint, which may be none
                return
            await asyncio.sleep(0.2)  # both listen, and have been told so
            heard.clear()
            own.clear()
            began = time.monotonic()
            for _ in range(500):
                nodes[1].signals.send("topic")
            await until(lambda: len(heard) >= 2 and len(own) >= 2)
            assert heard[0] - began < 5
            assert heard[1] - heard[0] > 0.02, "the others are told together"
            assert len(heard) == 2
            assert -1 not in heard

    asyncio.run(main())


def test_a_name_that_no_text_can_hold_breaks_nothing(place: Place) -> None:
    """A NUL is text to JSON, and not to every database."""

    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            key = await stored.add_full(key="a\0b", tags=msgspec.json.encode(["c\0d"]).decode())
            assert (await stored.show(key)).tags == ["c\0d"]
            assert await stored.reader.read(statements.USED_KEY, {"key_": "e\0f", "since_": 0}) == []

    asyncio.run(main())
