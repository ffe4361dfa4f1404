"""Rows that are stored together or not at all."""

import asyncio

import pytest
from test_group_commit import Stage, on_stage

from taskmill.sql import DatabaseError, DatabaseUnavailable, Overloaded


def bundle(stage: Stage, *numbers: int, told: list[int] | None = None) -> asyncio.Task[None]:
    """Have rows of both statements stored together, two rows a number."""
    rows = [(number,) for number in numbers]

    def then() -> None:
        if told is not None:
            told.extend(numbers)

    return asyncio.create_task(stage.writer.store([("first", rows), ("second", rows)], then))


def stored(stage: Stage) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {"first": [], "second": []}
    for groups, _ in stage.script.commits:
        for sql, rows in groups:
            found[sql] += [row[0] for row in rows]
    return found


def test_bundles_come_after_the_lanes_and_before_the_calls_in_one_commit() -> None:
    async def test(stage: Stage) -> None:
        told: list[int] = []
        waiting = [bundle(stage, 5, 6, told=told), asyncio.create_task(stage.writer.run(lambda _: told[:]))]
        await asyncio.sleep(0)
        stage.append(1)
        assert (await asyncio.gather(*waiting))[1] == []  # it ran before anybody was told
        both = [(5,), (6,)]
        assert stage.script.commits == [([("first", [(1,)]), ("first", both), ("second", both)], 1)]
        assert told == [5, 6]

    on_stage(test)


@pytest.mark.parametrize("refused", [{5}, {6}, {11}, {5, 11}, {1}])
def test_a_bundle_at_fault_fails_whole_and_alone(refused: set[object]) -> None:
    async def test(stage: Stage) -> None:
        stage.script.refused = refused
        told: list[int] = []
        waiting = [bundle(stage, low, low + 1, told=told) for low in (5, 7, 9, 11)]
        await asyncio.sleep(0)
        stage.append(1)
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        bad = [bool(refused & {low, low + 1}) for low in (5, 7, 9, 11)]
        assert [isinstance(answer, DatabaseError) for answer in answers] == bad
        good = [number for number in range(5, 13) if not bad[(number - 5) // 2]]
        assert told == good
        assert stored(stage) == {"first": [1][: 1 not in refused] + good, "second": good}
        assert (stage.settled[1] is None) == (1 not in refused)

    on_stage(test)


def test_a_failed_commit_fails_it() -> None:
    async def test(stage: Stage) -> None:
        stage.script.error = DatabaseUnavailable("full")
        told: list[int] = []
        with pytest.raises(DatabaseUnavailable):
            await bundle(stage, 5, told=told)
        assert told == []

    on_stage(test)


def test_it_counts_for_the_limit_and_may_be_left_alone() -> None:
    async def test(stage: Stage) -> None:
        stage.script.gate.clear()
        told: list[int] = []
        waiting = [bundle(stage, number, told=told) for number in range(3)]
        late = bundle(stage, 9), asyncio.create_task(stage.writer.run(lambda _: None))
        answers = await asyncio.gather(*late, return_exceptions=True)
        assert [type(answer) for answer in answers] == [Overloaded, Overloaded]
        waiting[1].cancel()
        stage.script.gate.set()
        await asyncio.gather(*waiting, return_exceptions=True)
        await stage.writer.stop()
        assert told == [0, 1, 2]

    on_stage(test, limit=3)
