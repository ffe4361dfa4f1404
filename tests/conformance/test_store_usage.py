"""The ledger of usage in every database, and two of them on one."""

import asyncio
from time import time

from sqlalchemy import select
from stored import Stored
from stores import Place

from taskmill.tasks.usage import statements
from taskmill.tasks.usage.ledger import DAY, Ledger
from taskmill.tasks.usage.schema import usage_day, usage_open


async def days(stored: Stored) -> list[tuple[object, ...]]:
    rows = await stored.reader.read(select(usage_day).order_by(usage_day.c.day, usage_day.c.caller), {})
    return [tuple(row) for row in rows]


def test_what_ends_at_once_and_what_ends_later_is_counted_once(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            ledgers = [Ledger(database, 400), Ledger(database, 400)]
            keys = [await stored.add_full() for _ in range(6)]
            await stored.end(await stored.message(keys[0]), "complete")
            await stored.end(await stored.message(keys[1]), "fail")
            ledgers[0].submitted("ada", keys[:4])
            ledgers[1].submitted("bob", keys[4:])
            for ledger in ledgers:
                await ledger.round()
            today = int(time() * 1000) // DAY
            first = [row[:-1] for row in await days(stored)]
            assert first == [(today, "ada", 4, 1, 1, 0), (today, "bob", 2, 0, 0, 0)]
            opened = await stored.reader.read(select(usage_open.c.task_id), {})
            assert len(opened) == 4
            for key in keys[2:]:
                await stored.end(await stored.message(key), "complete")
            await asyncio.gather(*(ledger.round() for ledger in ledgers))  # both find all of them
            for ledger in ledgers:
                await ledger.round()
            last = [row[:-1] for row in await days(stored)]
            assert last == [(today, "ada", 4, 3, 1, 0), (today, "bob", 2, 2, 0, 0)]
            assert await stored.reader.read(select(usage_open.c.task_id), {}) == []

    asyncio.run(main())


def test_old_days_are_forgotten(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            today = int(time() * 1000) // DAY
            counts = dict.fromkeys([f"{name}_" for name in statements.COUNTS], 1)

            def old(transaction: object) -> None:
                for day in (today - 11, today - 10):
                    transaction.change(statements.BEGIN, day_=day, caller_="ada", **counts)  # type: ignore[attr-defined]

            await database.write(old)
            await Ledger(database, 10).round()
            assert [row[0] for row in await days(stored)] == [today - 10]

    asyncio.run(main())
