"""What is read of tasks: in line, under limits, in turn, as lists with every filter, and as counts."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stored import Stored, now
from stores import Place

from taskmill.tasks.dispatch.edge import Position
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import FIRST, Dispatchable
from taskmill.tasks.rows import statements
from taskmill.tasks.view.filters import Selection
from taskmill.tasks.view.line import LIMITED_AHEAD, PLAIN_AHEAD, RANKED_AHEAD
from taskmill.tasks.view.listing import Listing
from taskmill.tasks.view.queues import _PLAIN, _RANKED, _RUNNING, _SCHEDULED

MIB = 2**20
START: Position = (FIRST, b"")


def test_ranked_tasks_are_read_in_line_part_by_part(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            ranks = [5, -3, 5, 2**40, 0, 5, -(2**50)]
            keys = [await stored.add_full(rank=rank, priority=9) for rank in ranks]
            await stored.add_full(rank=1, queue="other")
            await stored.add_full(rank=1, status=Status.SCHEDULED.value, run_at=now() + 60_000)
            wanted = [key for _, key in sorted(zip(ranks, keys, strict=True))]
            found: list[Dispatchable] = []
            after: Position | None = START
            while after is not None:
                part, after = await stored.reader.ranked("tasks", after, 2, MIB)
                found += part
            assert [row[0] for row in found] == wanted
            by_limit, after = await stored.reader.ranked("tasks", START, 10, MIB)
            assert after is None
            assert [row[7] for row in by_limit] == [9] * 7

    asyncio.run(main())


def test_a_read_ends_with_the_row_that_makes_it_long(place: Place) -> None:
    """Also where a database would send a thousand of them at once."""

    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            data = '"' + "x" * 100_000 + '"'
            keys = [await stored.add_full(rank=number, data=data) for number in range(30)]
            for _ in range(20):  # a read that is broken off leaves its connection fit for others
                rows, after = await stored.reader.ranked("tasks", START, 1_000, 250_000)
                assert [row[0] for row in rows] == keys[:3]
                assert after == (2, keys[2])
            assert await stored.reader.unended() == 30

    asyncio.run(main())


def test_limits_turns_and_starts(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            keys = [
                await stored.add_full(rank=n, limit_key="l", fair_key=f"t{n % 2}", priority=1)
                for n in range(6)
            ]
            await stored.add_full(rank=0, limit_key="m", fair_key="t0", priority=2)
            rows, _ = await stored.reader.limited("l", START, 10, MIB)
            assert [row[0] for row in rows] == keys
            assert await stored.reader.turn("tasks", "t1", 1) == (0, 5)
            assert await stored.reader.turn("tasks", "t9", 1) == (0, None)
            before = now()
            for key in keys[:3]:
                await stored.start(await stored.message(key))
            starts = await stored.reader.starts("l", before - 1, 10)
            assert len(starts) == 3
            assert starts == sorted(starts, reverse=True)
            assert await stored.reader.starts("l", now() + 1, 10) == []

    asyncio.run(main())


def test_the_line_and_the_queues_are_counted(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            keys = [await stored.add_full(rank=n, limit_key="l" if n % 2 else None) for n in range(6)]
            await stored.add_full(status=Status.SCHEDULED.value, run_at=now() + 60_000, queue="later")
            running = await stored.add_full(rank=9)
            await stored.start(await stored.message(running))
            place_ = {"queue_": "tasks", "rank_": 4, "id_": keys[4], "limit_": 100, "limit_key_": "l"}
            read = stored.reader.read
            assert dict(await read(RANKED_AHEAD, place_)) == {None: 2, "l": 2}
            assert await read(LIMITED_AHEAD, place_) == [(2,)]
            ((seen, plain),) = await read(
                PLAIN_AHEAD, {"queue_": "tasks", "id_": b"\xff" * 16, "limit_": 100}
            )
            assert (seen, int(plain)) == (6, 0)
            assert await read(_RANKED, {"queue_": "tasks"}) == [(6, keys[0])]
            assert await read(_RANKED, {"queue_": "none"}) == [(0, None)]
            assert await read(_PLAIN, {"limit_": 10}) == [(None,)]
            assert await read(_SCHEDULED, {}) == [("later", 1)]
            assert await read(_RUNNING, {}) == [("tasks", 1)]

    asyncio.run(main())


def test_idempotency_keys_are_known_for_a_while(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            values = {"key_": "k", "body_": b"\0" * 16, "task_id_": b"\1" * 16, "created_at_": 1_000}
            await database.write(lambda transaction: transaction.change(statements.USE_KEY, **values))
            assert await stored.reader.key_used("k", 999)
            assert not await stored.reader.key_used("k", 1_000)
            assert await stored.reader.read(statements.USED_KEY, {"key_": "k", "since_": 0}) == [
                (b"\0" * 16, b"\1" * 16)
            ]

    asyncio.run(main())


NO_FILTER = Selection((), None, None, None, None, None, None)
WORDS = ["a", "b", 'quote"', "%s", 'comma,","', "ünï", "\\u0000", "nul\0"]


def test_lists_by_every_filter_and_page(place: Place) -> None:
    async def main() -> None:
        import msgspec

        async with place.open() as database:
            stored = Stored(database)
            listing = Listing(stored.reader)
            base = now()
            tags = [[WORDS[n % len(WORDS)], "all"] if n % 3 else None for n in range(60)]
            keys = [
                await stored.add_full(
                    action=f"act{n % 2}", queue=f"q{n % 4}", key=f"k{n % 5}" if n % 2 else None, created_at=base + n,
                    tags=None if tag is None else msgspec.json.encode(tag).decode(),
                )
                for n, tag in enumerate(tags)
            ]  # fmt: skip

            async def found(**filters: object) -> list[bytes]:
                selection = NO_FILTER._replace(**filters)  # type: ignore[arg-type]
                rows: list[bytes] = []
                cursor: bytes | None = None
                while True:
                    part, cursor = await listing.keys(selection, cursor, 7)
                    rows += part
                    if cursor is None:
                        break
                assert await listing.count(selection) == len(rows)
                whole, _ = await listing.page(selection, None, 1_000)
                assert len(whole) == len(rows)
                return rows[::-1]

            assert await found() == keys
            assert await found(statuses=(Status.QUEUED,)) == keys
            assert await found(statuses=(Status.FAILED,)) == []
            assert await found(action="act1") == keys[1::2]
            assert await found(queue="q2") == keys[2::4]
            assert await found(key="k3", action="act1") == keys[3::10]
            assert await found(key="k3", statuses=(Status.QUEUED,)) == keys[3::10]
            assert await found(tag="all") == [key for key, tag in zip(keys, tags, strict=True) if tag]
            for word in WORDS[:-1]:
                assert await found(tag=word) == [
                    k for k, tag in zip(keys, tags, strict=True) if tag and word in tag
                ]
            assert await found(after=base + 10, before=base + 20, queue="q0") == [keys[12], keys[16]]

    asyncio.run(main())


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)


@pytest.mark.parametrize("_", [0])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(texts, min_size=1, max_size=5),
    numbers=st.lists(st.none() | st.integers(-(2**53), 2**53), min_size=1, max_size=5),
)
def test_every_text_and_number_comes_back_as_it_was(
    place: Place, _: int, names: list[str], numbers: list[int | None]
) -> None:
    """In batches with and without NULLs: an array of one sort and an array of another are not written alike."""

    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            wanted = {}
            for name in names:
                for number in numbers:
                    key = await stored.add_full(
                        key=name, fair_key=name, tags=name, rank=number or 0, run_at=number
                    )
                    wanted[key] = (name, number)
            for key, (name, number) in wanted.items():
                ((row),) = await stored.reader.read(statements.ONE, {"id_": key})
                assert (row[12], row[14], row[17], row[18], row[20]) == (
                    number or 0,
                    number,
                    name,
                    name,
                    name,
                )

    asyncio.run(main())
