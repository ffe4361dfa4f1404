"""The size cap, and the space that a file gives back."""

import asyncio
from pathlib import Path

import pytest
from retaining import DAY, fetch, history, ids, mixed, now, row, store, task_id, until

from taskmill.tasks.lifecycle import Status
from taskmill.tasks.retention.retention import SPARE, Keep, Retention

FOR_EVER = Keep(completed=None, failed=None, cancelled=None)
MIB = 2**20


def test_beyond_its_size_the_oldest_ended_tasks_go_first(tmp_path: Path) -> None:
    async def main() -> None:
        async with history(tmp_path) as database:
            await store(database, mixed(15_000, now() - 2 * DAY, now() - 1000, size=300))
            before = sorted(await ids(database))
            waiting = row(now() - 3 * DAY, None, Status.QUEUED)
            await store(database, [waiting])
            assert (await database.measure()).used > 6 * MIB
            await Retention(database, FOR_EVER, max_size=4 * MIB).round()
            assert 3.5 * MIB < (await database.measure()).used <= 4 * MIB
            left = sorted(await ids(database))
            assert left[0] == waiting[0]
            assert left[1:] == before[-len(left) + 1 :]  # whatever their status
            assert 5_000 < len(left) < 10_000

    asyncio.run(main())


def test_what_fits_stays_whatever_its_age(tmp_path: Path) -> None:
    async def main() -> None:
        async with history(tmp_path) as database:
            await store(database, mixed(2_000, now() - 900 * DAY, now() - 1000))
            await Retention(database, FOR_EVER, max_size=10 * MIB).round()
            await Retention(database, FOR_EVER, max_size=0).round()
            assert len(await ids(database)) == 2_000

    asyncio.run(main())


def test_tombstones_give_way_to_tasks_that_are_younger(tmp_path: Path) -> None:
    """Under the cap they are kept as long as the tasks are, so they cannot fill the file by themselves."""

    async def main() -> None:
        async with history(tmp_path) as database:
            at = now()
            sql = "INSERT INTO tombstone VALUES (?, ?)"
            stones = [(task_id(at - 30 * DAY, number), at - 20 * DAY + number) for number in range(60_000)]
            await database.writer.run(lambda connection: connection.executemany(sql, stones) and None)
            await store(database, mixed(1_000, at - 2 * DAY, at - 1000))
            used = (await database.measure()).used
            await Retention(database, FOR_EVER, max_size=used - MIB, tombstones=90 * 86_400.0).round()
            assert await ids(database, "tombstone") == set()
            assert len(await ids(database)) == 1_000

    asyncio.run(main())


def test_a_backlog_over_the_size_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with history(tmp_path) as database:
            made = now() - DAY
            await store(
                database, [row(made, None, Status.QUEUED, n, data=f'"{n:0999d}"') for n in range(3_000)]
            )
            retention = Retention(database, FOR_EVER, max_size=MIB)
            await retention.round()
            await retention.round()
            assert len(await ids(database)) == 3_000

    asyncio.run(main())
    assert len([one for one in caplog.records if "have not ended" in one.message]) == 1


def test_the_file_gets_shorter(tmp_path: Path) -> None:
    async def main() -> None:
        async with history(tmp_path) as database:
            file = tmp_path / "tasks.db"
            await store(database, mixed(200_000, now() - 60 * DAY, now() - 40 * DAY))
            await store(database, mixed(2_000, now() - DAY, now() - 1000))
            await database.checkpoint()
            full = (await database.measure()).pages * 4096
            retention = Retention(database, Keep(), tombstones=86_400.0)
            await retention.round()
            space = await database.measure()
            assert len(await ids(database)) == 2_000
            assert space.free <= max(2 * SPARE, space.pages // 10)
            await until(
                lambda: file.stat().st_size <= 4096 * space.pages
            )  # the checkpoint follows the commit
            assert file.stat().st_size < full / 3
            assert await fetch(database, "PRAGMA quick_check") == [("ok",)]
            print(
                f"{full >> 20} MiB became {file.stat().st_size >> 20} MiB in {retention.vacuum.steps} steps,"
            )
            print(f"the longest of {retention.vacuum.longest * 1000:.1f} ms")

    asyncio.run(main())


def test_a_few_free_pages_are_left_for_what_comes_next(tmp_path: Path) -> None:
    async def main() -> None:
        async with history(tmp_path) as database:
            await store(database, mixed(5_000, now() - 60 * DAY, now() - 40 * DAY))
            retention = Retention(database, Keep())
            await retention.round()
            space = await database.measure()
            assert 100 < space.free <= 2 * SPARE
            assert retention.vacuum.steps == 0

    asyncio.run(main())
