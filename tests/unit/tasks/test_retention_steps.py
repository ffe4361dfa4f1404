"""How retention works: in small steps, by indexes, and for next to nothing where nothing is to go."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retaining import DAY, fetch, history, ids, mixed, now, row, store

from taskmill.sql import SqliteDatabase, Transaction
from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.retention import pruning, statements
from taskmill.tasks.retention.pruning import GOAL, REST, RESTS, Stride
from taskmill.tasks.retention.retention import Keep, Retention


def test_a_stride_follows_from_what_the_step_before_took() -> None:
    stride = Stride(10, 100)
    assert stride.took(GOAL / 10) == REST
    assert stride.amount == 20
    stride.took(GOAL * 0.75)  # about right
    assert stride.amount == 20
    for _ in range(5):
        stride.took(0)
    assert stride.amount == 100
    assert stride.took(2 * GOAL) == RESTS * 2 * GOAL
    assert stride.amount == 50
    stride.took(100 * GOAL)
    assert stride.amount == 10
    assert (stride.steps, stride.longest) == (9, 100 * GOAL)


def test_much_is_pruned_in_many_steps_that_each_take_little(tmp_path: Path) -> None:
    async def main() -> None:
        async with history(tmp_path) as database:
            await store(database, mixed(40_000, now() - 60 * DAY, now() - 40 * DAY))
            retention = Retention(database, Keep(), tombstones=90 * 86_400.0)
            took = _record(retention.pruner.stride)
            await retention.round()
            assert not await ids(database)
            assert len(took) >= 40_000 / 500
            took.sort()
            print(
                f"{len(took)} steps: median {took[len(took) // 2] * 1000:.1f} ms, longest {took[-1] * 1000:.1f} ms"
            )
            # Whatever else this machine does at the time, nearly all keep the writer for less than 20 ms.
            assert took[len(took) * 9 // 10] < 0.02

    asyncio.run(main())


def test_slow_steps_become_small_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk on which a row takes a tenth of a millisecond, a step takes on fifty of them."""

    async def main() -> None:
        async with history(tmp_path) as database:
            await store(database, [row(now() - 60 * DAY, now() - 60 * DAY, number=n) for n in range(5_000)])
            retention = Retention(database, Keep())
            sizes: list[int] = []
            monkeypatch.setattr(retention.pruner, "stride", Stride(10, 500))
            monkeypatch.setattr(pruning, "REST", 0.0)
            monkeypatch.setattr(pruning, "RESTS", 0)
            counted = _count_dropped(database, sizes)
            monkeypatch.setattr(pruning, "perf_counter", lambda: counted() * 0.0001)
            await retention.round()
            assert not await ids(database)
            assert sum(sizes) == 5_000
            assert max(sizes) <= 2 * 50  # after the few that are left of a read
            assert 25 <= sorted(sizes)[len(sizes) // 2] <= 60

    asyncio.run(main())


def test_long_rows_go_a_few_at_a_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with history(tmp_path) as database:
            sizes: list[int] = []
            await store(database, mixed(40, now() - 60 * DAY, now() - 40 * DAY, size=2**20))
            _count_dropped(database, sizes)
            await Retention(database, Keep()).round()
            assert sum(sizes) == 40
            assert max(sizes) == 1  # 256 pages each: more than a step may take on

    asyncio.run(main())


def test_a_round_in_which_nothing_is_to_go_costs_a_few_rows(tmp_path: Path) -> None:
    async def main() -> None:
        async with history(tmp_path) as database:
            await store(database, mixed(50_000, now() - 6 * DAY, now() - 1000))
            retention = Retention(database, Keep(), max_size=10 * 2**30)
            reads = 0
            rows = 0
            read = database.read

            async def counted(call: Callable[[Any], Any]) -> Any:
                nonlocal reads, rows
                reads += 1
                value = await read(call)
                rows += len(value) if isinstance(value, list) else 1
                return value

            database.read = counted  # type: ignore[method-assign]
            await retention.round()
            assert reads <= 6
            assert rows <= 3 * pruning.LOOK_FIRST + 3
            assert retention.pruner.stride.steps == 1  # of the idempotency keys
            assert len(await ids(database)) == 50_000

    asyncio.run(main())


STATEMENTS = {
    **{f"task {number}": statement for number, statement in enumerate(
        (statements.tasks(Status.FAILED).look, *statements.tasks(Status.FAILED).drop))},
    **{f"tombstone {number}": statement for number, statement in enumerate(
        (statements.TOMBSTONES.look, *statements.TOMBSTONES.drop))},
    "keys": statements.DROP_KEYS, "buried": statements.BURIED,
}  # fmt: skip
VALUES = {
    "status_": 4, "after_": b"", "limit_": 10, "first_": b"", "last_": b"\xff", "before_": 1, "now_": 1, "id_": b"",
}  # fmt: skip


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_goes_by_an_index_and_sorts_nothing(tmp_path: Path, name: str) -> None:
    async def main() -> list[str]:
        async with history(tmp_path) as database:
            await store(database, mixed(2_000, now() - 6 * DAY, now() - 1000))
            sql, arguments = database.bind(STATEMENTS[name], VALUES)
            return [step[3] for step in await fetch(database, "EXPLAIN QUERY PLAN " + sql, *arguments)]

    plan = asyncio.run(main())
    assert plan
    plan = [step for step in plan if not step.endswith(" old")]  # it goes through what it has found by then
    assert all(step.startswith(("SEARCH", "LIST SUBQUERY")) for step in plan), plan
    for step in plan:  # a stretch is bounded on both sides, a look on one
        if "task_status" in step:
            assert "status=? AND id>?" in step


def test_only_what_has_ended_has_a_shelf() -> None:
    for status in Status:
        if status in ENDED:
            assert statements.tasks(status).values == {"status_": status}
        else:
            with pytest.raises(ValueError, match="have not ended"):
                statements.tasks(status)


def _record(stride: Stride) -> list[float]:
    """Return a list that the seconds of each step from now on are added to."""
    seconds: list[float] = []
    took = stride.took

    def recorded(one: float) -> float:
        seconds.append(one)
        return took(one)

    stride.took = recorded  # type: ignore[method-assign, assignment]
    return seconds


def _count_dropped(database: SqliteDatabase, sizes: list[int]) -> Callable[[], int]:
    """Note how many tasks each step drops; return what counts them as they are dropped."""
    drop = statements.tasks(Status.COMPLETED).drop[-1]
    total = 0

    class Counting(Transaction):
        def change(self, statement: Any, **values: Any) -> int:
            nonlocal total
            count = super().change(statement, **values)
            if statement is drop:
                total += count
                sizes.extend([count] if count else [])
            return count

    async def write(call: Callable[[Any], Any]) -> Any:
        return await database.writer.run(lambda connection: call(Counting(database, connection)))

    database.write = write  # type: ignore[method-assign, assignment]
    return lambda: total
