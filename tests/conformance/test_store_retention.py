"""Retention and schedules in every database."""

import asyncio
import json
import random
from time import time

import pytest
from sqlalchemy import bindparam, select, update
from stored import Stored, now
from stores import Place

from taskmill.tasks.ids import least_id
from taskmill.tasks.retention.retention import Keep, Retention
from taskmill.tasks.rows import statements
from taskmill.tasks.rows.schema import attempt, task
from taskmill.tasks.schedules.model import Definition
from taskmill.tasks.schedules.store import Declared, ScheduleStore

DAY = 86_400_000
FOR_EVER = Keep(completed=None, failed=None, cancelled=None)
_AGE = update(task).values(finished_at=bindparam("at_")).where(task.c.id == bindparam("id_"))


async def _ended(stored: Stored, days: float, how: str = "complete", data: str = "{}") -> bytes:
    """Store a task that was made and ended so many days ago."""
    at = now() - int(days * DAY)
    key = await stored.add_full(id=least_id(at)[:6] + stored.ids.next()[6:], created_at=at, data=data)
    await stored.end(await stored.message(key), how)
    await stored.database.write(lambda transaction: transaction.change(_AGE, at_=at, id_=key))
    return key


def test_what_is_older_than_its_rule_goes_with_all_that_is_its_own(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            old = [await _ended(stored, 9), await _ended(stored, 40, "fail")]
            young = [await _ended(stored, 1), await _ended(stored, 9, "fail")]
            retention = Retention(database, Keep(), tombstones=90 * 86_400.0)
            await retention.round()
            assert [await stored.reader.get(key) for key in old] == [None, None]
            assert await stored.states(young) == ["completed", "failed"]
            assert [await retention.was_pruned(key) for key in (*old, *young)] == [True, True, False, False]
            rows = await stored.reader.read(select(attempt.c.task_id), {})
            assert rows == [(young[1],)]
            pruned = await retention.prune(before=now())
            assert (pruned.tasks, pruned.more) == (2, False)

    asyncio.run(main())


def _noise(number: int) -> str:
    """Return two kilobytes of JSON that do not get shorter by compression."""
    return json.dumps(random.Random(number).randbytes(1_000).hex())


def test_beyond_its_size_the_oldest_go_and_what_they_took_counts_as_free(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            keys = []
            for number in range(1_500):
                (message,) = await stored.add(data=_noise(number), wait=number % 100 == 99)
                message.started_at = now()
                keys.append(message.key)
                stored.store.complete(message, b"{}")
            await stored.committed()
            waiting = await stored.add_full(data=_noise(0))
            full = (await database.measure()).used
            assert 1_500 * 2_000 < full < 1_500 * 2_000 * 3
            await Retention(database, FOR_EVER, max_size=full // 2).round()
            left = [key for key in keys if await stored.reader.get(key)]
            assert left == keys[-len(left) :]
            assert 250 <= len(left) <= 900  # a step takes some hundreds
            assert (await database.measure()).used <= full // 2
            assert (await stored.show(waiting)).status == "queued"

    asyncio.run(main())


def test_old_idempotency_keys_go(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            for number, age in enumerate((0, 23, 25, 26)):
                at = now() - age * 3_600_000
                values = {
                    "key_": f"k{number}",
                    "body_": b"\0" * 16,
                    "task_id_": b"\1" * 16,
                    "created_at_": at,
                }
                await database.write(
                    lambda transaction, v=values: transaction.change(statements.USE_KEY, **v)
                )
            await Retention(database, Keep()).round()
            assert [await stored.reader.key_used(f"k{n}", 0) for n in range(4)] == [True, True, False, False]

    asyncio.run(main())


def _definition(name: str, **values: object) -> Definition:
    defaults: dict[str, object] = {
        "name": name, "cron": None, "every": 60_000, "timezone": "UTC", "action": "work", "data": "{}",
        "overlap": "skip", "catch_up": "one", "jitter": 0, "queue": None, "priority": None, "paused": False,
        "declared": False,
    }  # fmt: skip
    return Definition(**{**defaults, **values})  # type: ignore[arg-type]


def test_schedules_are_kept_changed_paused_and_removed(place: Place) -> None:
    async def main() -> None:
        async with place.open() as database:
            store = ScheduleStore(database)
            at = int(time() * 1000)
            await store.sync([_definition("declared", declared=True), _definition("gone", declared=True)], at)
            await store.put(_definition("own", cron="*/5 * * * *", every=None), at)
            await store.sync([_definition("declared", declared=True, priority=3)], at)
            assert await store.get("gone") is None
            found = await store.get("declared")
            assert found is not None
            assert (found[0].priority, found[0].declared, found[0].next_due) == (3, 1, at + 60_000)
            assert await store.pause("own", at)
            assert (await store.get("own") or [None])[0].next_due is None  # type: ignore[union-attr]
            assert await store.resume("own", at)
            with pytest.raises(Declared):
                await store.delete("declared")
            assert await store.delete("own")
            assert not await store.delete("own")

    asyncio.run(main())
