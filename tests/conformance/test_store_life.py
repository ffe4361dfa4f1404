"""The life of tasks in a database: each step through the store, as the API then shows it."""

import asyncio
import json

import msgspec
import pytest
from stored import Stored, now
from stores import Place

from taskmill.tasks.lifecycle import Status
from taskmill.tasks.model import TaskDetails
from taskmill.tasks.rows.over import Over
from taskmill.tasks.rows.steps import KEPT_ATTEMPTS

# Everything that JSON can hold and a database may stumble over.
ODD = json.dumps(
    {"quote": "'\"\\", "nul": "\0", "emoji": "🦜", "percent": "%s %%", "line": "a\nb\r", "big": 2**70}
)


def shown(task: TaskDetails) -> dict[str, object]:
    decoded: dict[str, object] = msgspec.json.decode(msgspec.json.encode(task))
    return decoded


def test_a_task_is_stored_as_it_was_sent_and_ends_with_its_result(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            (message,) = await stored.add(data=ODD)
            task = shown(await stored.show(message.key))
            assert task["data"] == json.loads(ODD)
            assert (task["status"], task["attempt"], task["started_at"]) == ("queued", 0, None)
            await stored.end(message, "complete", '{"output":"\\u0000 %s ünï 🦜"}')
            task = shown(await stored.show(message.key))
            assert (task["status"], task["attempt"]) == ("completed", 1)
            assert task["result"] == {"output": "\0 %s ünï 🦜"}
            assert task["finished_at"] is not None
            assert stored.ended == [message.key]

    asyncio.run(main())


def test_a_task_keeps_the_trace_that_it_is_part_of(place: Place) -> None:
    trace = f"00-{1:032x}-{2:016x}-01 vendor=" + "x" * 500

    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database, traced=True)
            (plain,) = await stored.add(trace=trace)
            other = await stored.add_full(trace=trace, run_at=1, status=Status.SCHEDULED.value)
            none = await stored.add_full()
            assert (await stored.message(plain.key)).trace == trace
            assert (await stored.message(other)).trace == trace
            assert not hasattr(await stored.message(none), "trace")
            assert [row[12] for row in await stored.store.due(now(), 10)] == [trace]
            await stored.end(await stored.message(plain.key), "retry")
            assert (await stored.message(plain.key)).trace == trace

    asyncio.run(main())


def test_it_is_there_when_the_database_is_opened_again(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            messages = await Stored(database).add(100)
        async with place.open() as database:
            stored = Stored(database)
            assert set(await stored.states([message.key for message in messages])) == {"queued"}
            assert await stored.reader.unended() == 100
            assert await stored.reader.newest_id() == messages[-1].key

    asyncio.run(main())


def test_an_empty_database_has_no_newest_id(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            assert await Stored(database).reader.newest_id() == b""

    asyncio.run(main())


def test_a_late_end_of_an_attempt_changes_nothing(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            (message,) = await stored.add()
            late = await stored.message(message.key)
            await stored.end(message, "retry", "first")
            assert (await stored.show(message.key)).status == "scheduled"
            assert len(await stored.store.due(now() + 61_000, 10)) == 1
            second = await stored.message(message.key)
            assert second.attempts == 1
            await stored.start(second)
            await stored.end(late, "complete", '{"output":"late"}')
            task = await stored.show(message.key)
            assert (task.status, task.attempt) == ("running", 2)
            await stored.end(second, "complete", '{"output":"right"}')
            assert shown(await stored.show(message.key))["result"] == {"output": "right"}

    asyncio.run(main())


def test_many_ends_of_one_task_in_one_commit_leave_the_first(place: Place) -> None:
    """Also where the database is given them all in one statement."""

    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            (message,) = await stored.add()
            for number in range(5):
                stored.store.complete(message, b'{"output":%d}' % number)
            await stored.committed()
            assert shown(await stored.show(message.key))["result"] == {"output": 0}

    asyncio.run(main())


def test_failed_attempts_are_kept_the_last_few_of_them(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            key = await stored.add_full(max_attempts=50)
            for number in range(1, KEPT_ATTEMPTS + 4):
                message = await stored.message(key)
                await stored.end(message, "retry", f"number {number}")
                await stored.store.due(now() + 61_000, 10)
            await stored.end(await stored.message(key), "fail", "the last")
            task = await stored.show(key)
            assert task.status == "failed"
            assert task.error is not None
            assert task.error.message == "the last"
            assert [attempt.attempt for attempt in task.attempts] == list(range(5, KEPT_ATTEMPTS + 5))

    asyncio.run(main())


def test_an_attempt_that_was_broken_off_costs_nothing(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            key = await stored.add_full()
            message = await stored.message(key)
            await stored.start(message)
            assert [row[0] for row in await stored.reader.running()] == [key]
            stored.store.release(message)
            await stored.committed()
            task = await stored.show(key)
            assert (task.status, task.attempt) == ("queued", 0)

    asyncio.run(main())


def test_a_claim_is_given_once(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            key = await stored.add_full(data='"the data"')
            message = await stored.message(key)
            claims = await asyncio.gather(*(stored.store.claim(message) for _ in range(5)))
            assert sorted(claims, key=str) == ['"the data"', None, None, None, None]

    asyncio.run(main())


def test_what_is_due_is_queued_and_what_nobody_started_in_time_expires(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            at = now()
            scheduled = [
                await stored.add_full(status=Status.SCHEDULED.value, run_at=at + number * 1_000)
                for number in range(4)
            ]
            expiring = await stored.add_full(expires_at=at + 500)
            assert await stored.reader.next_alarm() == at
            due = await stored.store.due(at + 1_500, 10)
            assert [row[0] for row in due] == scheduled[:2]
            assert await stored.reader.expired(at + 600, 10) == [expiring]
            told: list[Over] = []
            assert await stored.store.expire([expiring, scheduled[2]], told.extend) == [
                expiring,
                scheduled[2],
            ]
            assert [(one.key, one.status) for one in told] == [
                (expiring, Status.FAILED),
                (scheduled[2], Status.FAILED),
            ]
            assert await stored.store.expire([expiring]) == []
            task = await stored.show(expiring)
            assert task.error is not None
            assert (task.status, task.error.type) == ("failed", "expired")

    asyncio.run(main())


def test_what_is_held_too_long_ends_among_what_is_due(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            lapsed: list[Over] = []
            stored.store.lapsed = lapsed.extend
            at = now()
            status = Status.SCHEDULED.value
            held = [await stored.add_full(status=status, run_at=at + number, held=0) for number in range(3)]
            own = await stored.add_full(status=status, run_at=at + 2)
            assert [row[0] for row in await stored.store.due(at + 2, 3)] == []
            assert [one.key for one in lapsed] == held
            assert {one.status for one in lapsed} == {Status.CANCELLED}
            assert [row[0] for row in await stored.store.due(at + 2, 3)] == [own]
            assert await stored.states([*held, own]) == ["cancelled"] * 3 + ["queued"]

    asyncio.run(main())


@pytest.mark.parametrize("count", [1, 2, 64, 2_000])
def test_batches_of_any_length(place: Place, count: int) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            messages = await stored.add(count)
            for message in messages:
                message.started_at = now()
                stored.store.start(message)
            await stored.committed()
            assert len(await stored.reader.running()) == count
            for message in messages:
                stored.store.complete(message, b"{}")
            await stored.committed()
            assert await stored.reader.unended() == 0
            assert sorted(stored.ended) == sorted(message.key for message in messages)

    asyncio.run(main())
