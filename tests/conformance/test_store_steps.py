"""Steps in every database: kept once, by the attempt whose task it is, and for as long as the task."""

import asyncio

import pytest
from sqlalchemy import bindparam, select, update
from stored import Stored, now
from stores import Place

from taskmill.tasks.retention.retention import Keep, Retention
from taskmill.tasks.rows.schema import step, task
from taskmill.tasks.stepping.book import Step
from taskmill.tasks.stepping.keeping import Keeping

ONE, TWO = Step(1, "one", '{"a": 1}', 5), Step(2, "two", "[2]", 7)
HERE, ELSEWHERE = b"h" * 16, b"e" * 16
_CLAIM = update(task).values(node=bindparam("node_")).where(task.c.id == bindparam("id_"))


def test_an_attempt_keeps_its_steps_and_the_next_reads_them(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            keeping = Keeping(stored.store, stored.reader)
            (message,) = await stored.add()
            assert await keeping.steps(message.key) == []
            assert await keeping.keep(message.key, 1, ONE), "its start was not written"
            await stored.start(message)
            assert await keeping.keep(message.key, 1, TWO)
            await stored.end(message, "retry")
            assert await keeping.steps(message.key) == [ONE, TWO]
            shown = (await stored.show(message.key)).steps
            assert isinstance(shown, list)
            assert [one.name for one in shown] == ["one", "two"]

    asyncio.run(main())


def test_a_step_that_comes_twice_is_kept_once(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            keeping = Keeping(stored.store, stored.reader)
            (message,) = await stored.add()
            assert await keeping.keep(message.key, 1, ONE)
            assert await keeping.keep(message.key, 1, ONE), "as after a commit whose answer was lost"
            assert await keeping.steps(message.key) == [ONE]

    asyncio.run(main())


@pytest.mark.parametrize("how", ["retry", "fail", "complete"])
def test_an_attempt_that_has_ended_keeps_nothing(place: Place, how: str) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            keeping = Keeping(stored.store, stored.reader)
            (message,) = await stored.add()
            await stored.start(message)
            assert not await keeping.keep(message.key, 2, ONE), "there was no second yet"
            await stored.end(message, how)
            assert not await keeping.keep(message.key, 1, ONE)
            assert await keeping.steps(message.key) == []

    asyncio.run(main())


def test_what_another_node_has_is_its_own(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            stored.store.node = lambda: HERE
            keeping = Keeping(stored.store, stored.reader)
            key = await stored.add_full()
            await database.write(lambda transaction: transaction.change(_CLAIM, id_=key, node_=ELSEWHERE))
            assert not await keeping.keep(key, 1, ONE)
            await database.write(lambda transaction: transaction.change(_CLAIM, id_=key, node_=HERE))
            assert await keeping.keep(key, 1, ONE)

    asyncio.run(main())


def test_steps_go_with_their_task(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            keeping = Keeping(stored.store, stored.reader)
            (message,) = await stored.add()
            await keeping.keep(message.key, 1, ONE)
            await stored.end(message, "complete")
            assert await keeping.steps(message.key) == [ONE]
            pruned = await Retention(database, Keep()).prune(before=now() + 1_000)
            assert pruned.tasks == 1
            assert await stored.reader.read(select(step.c.task_id), {}) == []

    asyncio.run(main())
