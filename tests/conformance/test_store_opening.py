"""A database starts and stops in whatever order it is asked to, and leaves nothing behind."""

import asyncio
import threading

from sqlalchemy import select
from stored import Stored, until
from stores import Place

from taskmill.tasks.rows.schema import task

_ANY = select(task.c.id)


def test_it_stops_twice_and_before_it_has_started(place: Place) -> None:
    async def main() -> None:
        unstarted = place.make()
        await unstarted.stop()
        database = place.make()
        await database.start()
        await asyncio.gather(database.stop(), database.stop())
        await database.stop()

    asyncio.run(main())


def test_it_is_opened_again_and_again(place: Place) -> None:
    async def main() -> None:
        for count in range(1, 6):
            async with place.open() as database:
                stored = Stored(database)
                await stored.add()
                assert await stored.reader.unended() == count

    before = threading.active_count()
    asyncio.run(main())
    assert threading.active_count() <= before


def test_a_start_that_is_broken_off_can_be_stopped(place: Place) -> None:
    async def main() -> None:
        for turns in range(8):
            database = place.make()
            start = asyncio.create_task(database.start())
            for _ in range(turns):
                await asyncio.sleep(0)
            start.cancel()
            await asyncio.wait([start])
            await database.stop()
        async with place.open() as database:
            await Stored(database).add()

    asyncio.run(main())


def test_a_transaction_of_a_thread_is_committed_when_it_returns(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            (message,) = await stored.add()
            session = database.session()
            done: list[object] = []

            def work() -> None:
                done.append(session.run(lambda transaction: transaction.fetch(_ANY)))
                session.close()

            thread = threading.Thread(target=work)
            thread.start()
            await until(lambda: not thread.is_alive())
            assert done == [[(message.key,)]]

    asyncio.run(main())
