"""What retention drops, and what it must never touch."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from retaining import DAY, fetch, history, ids, now, row, store, task_id, until, until_gone

from taskmill.sql import DatabaseUnavailable, SqliteDatabase, Transaction
from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.retention import pruning
from taskmill.tasks.retention import retention as room
from taskmill.tasks.retention.pruning import Walk
from taskmill.tasks.retention.retention import Keep, Pruned, Retention
from taskmill.tasks.retention.statements import tasks as shelf_of
from taskmill.units import Duration

FOR_EVER = Keep(completed=None, failed=None, cancelled=None)
UNENDED = [status for status in Status if status not in ENDED]


@asynccontextmanager
async def retaining(
    directory: Path, keep: Keep, max_size: int = 0, tombstones: float = 86_400.0, file: str = "tasks.db"
) -> AsyncIterator[tuple[SqliteDatabase, Retention]]:
    async with history(directory, file) as database:
        yield database, Retention(database, keep, max_size, tombstones)


@pytest.mark.parametrize("file", ["tasks.db", ":memory:"])
def test_each_status_is_kept_for_its_own_time(tmp_path: Path, file: str) -> None:
    async def main() -> None:
        keep = Keep(completed=Duration(86_400), failed=Duration(3 * 86_400), cancelled=None)
        async with retaining(tmp_path, keep, file=file) as (database, retention):
            at = now()
            rows = [
                row(at - days * DAY, at - days * DAY + 1000, status, int(status))
                for status in ENDED
                for days in (5, 2, 0)
            ]
            await store(database, rows)
            await retention.round()
            assert await ids(database) == {
                task_id(at - days * DAY, int(status))
                for status, kept in (
                    (Status.COMPLETED, [0]),
                    (Status.FAILED, [2, 0]),
                    (Status.CANCELLED, [5, 2, 0]),
                )
                for days in kept
            }

    asyncio.run(main())


def test_what_has_not_ended_is_never_pruned(tmp_path: Path) -> None:
    async def main() -> None:
        at_once = Keep(completed=Duration(0), failed=Duration(0), cancelled=Duration(0))
        async with retaining(tmp_path, at_once, max_size=1) as (database, retention):
            made = now() - 400 * DAY
            await store(
                database,
                [row(made + number, None, status, number) for number, status in enumerate(UNENDED * 40)],
            )
            await store(
                database, [row(made + number, made + 999, number=500 + number) for number in range(100)]
            )
            unended = await fetch(database, "SELECT id FROM task WHERE status < 3")
            await retention.round()
            assert await retention.prune(before=now() + DAY) == Pruned(0, more=False)
            assert await ids(database) == {id_ for (id_,) in unended}
            assert len(unended) == 40 * len(UNENDED)

    asyncio.run(main())


def test_a_pruned_task_takes_its_attempts_along_and_leaves_its_id(tmp_path: Path) -> None:
    async def main() -> None:
        async with retaining(tmp_path, Keep()) as (database, retention):
            old, young = now() - 90 * DAY, now() - DAY
            await store(database, [row(old, old, Status.FAILED), row(young, young, Status.FAILED)])
            sql = "INSERT INTO attempt VALUES (?, ?, 0, 1, '{}')"
            rows = [(task_id(made), number) for made in (old, young) for number in (1, 2)]
            await database.writer.run(lambda connection: connection.executemany(sql, rows) and None)
            await retention.round()
            assert await ids(database) == {task_id(young)}
            assert await fetch(database, "SELECT DISTINCT task_id FROM attempt") == [(task_id(young),)]
            assert await retention.was_pruned(task_id(old))
            assert not await retention.was_pruned(task_id(young))
            assert not await retention.was_pruned(task_id(old, 1))

    asyncio.run(main())


def test_idempotency_keys_go_after_a_day_however_many(tmp_path: Path) -> None:
    async def main() -> None:
        async with retaining(tmp_path, FOR_EVER) as (database, retention):
            at = now()
            sql = "INSERT INTO idempotency VALUES (?, x'00', x'00', ?)"
            rows = [(f"old-{number}", at - DAY - 1000 - number) for number in range(2_000)]
            rows += [(f"new-{number}", at - DAY + 600_000) for number in range(3)]
            await database.writer.run(lambda connection: connection.executemany(sql, rows) and None)
            await retention.round()
            keys = {key for (key,) in await fetch(database, "SELECT key FROM idempotency")}
            assert keys == {"new-0", "new-1", "new-2"}
            assert retention.pruner.stride.steps >= 4

    asyncio.run(main())


def test_tombstones_expire(tmp_path: Path) -> None:
    async def main() -> None:
        async with retaining(tmp_path, FOR_EVER, tombstones=86_400.0) as (database, retention):
            at = now()
            sql = "INSERT INTO tombstone VALUES (?, ?)"
            rows = [(task_id(at - 90 * DAY, n), at - (2 * DAY if n % 2 else DAY // 2)) for n in range(3_000)]
            await database.writer.run(lambda connection: connection.executemany(sql, rows) and None)
            await retention.round()
            assert await ids(database, "tombstone") == {task_id(at - 90 * DAY, n) for n in range(0, 3_000, 2)}

    asyncio.run(main())


def test_a_task_that_ended_long_after_it_was_made_is_found_by_a_later_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        keep = Keep(completed=Duration(86_400))
        async with retaining(tmp_path, keep) as (database, retention):
            at = now()
            late = [row(at - 30 * DAY, at - DAY + 3_600_000, number=number) for number in range(1_200)]
            await store(database, [*late, row(at - 20 * DAY, at - 20 * DAY)])
            await retention.round()
            assert await ids(database) == {one[0] for one in late}
            # Two hours later they have been kept for a day, but the walk has passed them: the next one finds them.
            monkeypatch.setattr(room, "time", lambda: at / 1000 + 7200)
            await retention.round()
            assert len(await ids(database)) == 1_200
            monkeypatch.setattr(room, "PASSES", float("inf"))
            await retention.round()
            assert await ids(database) == set()

    asyncio.run(main())


def test_a_walk_goes_on_where_it_stood(tmp_path: Path) -> None:
    async def main() -> None:
        async with history(tmp_path) as database:
            pruner = pruning.Pruner(database)
            at = now()
            await store(database, [row(at - 9 * DAY + number, at, number=number) for number in range(30)])
            await store(database, [row(at - 2 * DAY, at - 2 * DAY)])
            walk = Walk(shelf_of(Status.COMPLETED))
            assert await pruner.prune(walk, at - 5 * DAY) == (0, True)
            assert walk.reached == task_id(at - 9 * DAY + 29, 29)
            assert await pruner.prune(walk, at - DAY) == (1, True)

    asyncio.run(main())


def test_ids_of_a_time_when_the_clock_was_ahead_hold_nothing_up(tmp_path: Path) -> None:
    async def main() -> None:
        async with retaining(tmp_path, Keep()) as (database, retention):
            at = now()
            ahead = at + 300 * DAY  # ids never go back, so those after it are of this time, too
            await store(database, [row(ahead, ahead), *(row(ahead, at - 9 * DAY, number=n) for n in (1, 2))])
            await retention.round()
            assert await ids(database) == {task_id(ahead)}

    asyncio.run(main())


def test_a_task_that_is_run_again_meanwhile_stays(tmp_path: Path) -> None:
    """Between the look and the drop a failed task is queued again; another one has failed again by then."""

    async def main() -> None:
        async with retaining(tmp_path, Keep()) as (database, retention):
            old = now() - 90 * DAY
            await store(database, [row(old, old, Status.FAILED, number) for number in range(5)])
            write = database.write

            async def first_a_client(call: object) -> object:
                def both(transaction: Transaction) -> object:
                    connection = transaction._connection
                    connection.execute("UPDATE task SET status = 0 WHERE id = ?", (task_id(old, 1),))
                    values = (now(), task_id(old, 3))
                    connection.execute("UPDATE task SET finished_at = ? WHERE id = ?", values)
                    return call(transaction)  # type: ignore[operator]

                return await write(both)

            database.write = first_a_client  # type: ignore[method-assign, assignment]
            await retention.round()
            assert await ids(database) == {task_id(old, 1), task_id(old, 3)}
            assert await ids(database, "tombstone") == {task_id(old, number) for number in (0, 2, 4)}

    asyncio.run(main())


def test_by_hand_an_age_and_a_status_can_be_named(tmp_path: Path) -> None:
    async def main() -> None:
        async with retaining(tmp_path, FOR_EVER) as (database, retention):
            at = now()
            await store(
                database,
                [row(at - days * DAY, at - days * DAY, s, int(s)) for s in ENDED for days in (5, 2, 0)],
            )
            assert await retention.prune() == Pruned(0, more=False)
            assert await retention.prune([Status.FAILED], before=at - DAY) == Pruned(2, more=False)
            assert await retention.prune(before=at - 3 * DAY) == Pruned(2, more=False)
            assert await retention.prune(before=at + 1000) == Pruned(5, more=False)

    asyncio.run(main())


def test_by_hand_no_more_is_pruned_than_there_is_time_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with retaining(tmp_path, FOR_EVER) as (database, retention):
            old = now() - DAY
            await store(database, [row(old, old, number=number) for number in range(2_000)])
            counted, more = await retention.prune(before=now(), seconds=0)
            assert more
            assert 0 < counted < 100  # one step, so that asking again comes to an end
            while True:
                count, more = await retention.prune(before=now(), seconds=0.02)
                counted += count
                if not more:
                    break
            assert counted == 2_000

    asyncio.run(main())


def test_a_full_disk_is_said_once_and_pruning_goes_on_after(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(room, "FIRST", 0.0)
        monkeypatch.setattr(Retention, "_interval", lambda _: 0.01)
        async with retaining(tmp_path, Keep()) as (database, retention):
            old = now() - 90 * DAY
            await store(database, [row(old, old)])
            write, refused = database.write, 0

            async def full(_: object) -> object:
                nonlocal refused
                refused += 1
                raise DatabaseUnavailable("the disk is full")

            database.write = full  # type: ignore[method-assign, assignment]
            retention.start()
            await until(lambda: refused >= 3)
            database.write = write  # type: ignore[method-assign]
            await until_gone(database, 0)
            await retention.stop()

    asyncio.run(main())
    assert [one.levelname for one in caplog.records if "cannot be pruned" in one.message] == ["WARNING"]


def test_a_stop_comes_at_once_whatever_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        monkeypatch.setattr(room, "FIRST", 0.0)
        monkeypatch.setattr(pruning, "REST", 60.0)
        async with retaining(tmp_path, Keep()) as (database, retention):
            old = now() - 90 * DAY
            await store(database, [row(old, old, number=number) for number in range(5_000)])
            retention.start()
            await until_gone(database, 4_999)
            async with asyncio.timeout(10):
                await retention.stop()
            assert len(await ids(database)) > 4_000

    asyncio.run(main())
