"""The group-commit writer, on a transactor that is scripted: order, batches, overload, errors, stopping."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from taskmill.sql import DatabaseDamaged, DatabaseError, DatabaseUnavailable, Overloaded, Writer
from taskmill.sql.writer import Lane

Commit = tuple[list[tuple[str, list[tuple[Any, ...]]]], int]


class Script:
    """A transactor that notes its commits. It holds them while the gate is shut, and refuses rows on a list."""

    changed: Sequence[int] = ()

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self.error: Exception | None = None
        self.refused: set[object] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.due = False
        self.upkeep_error: Exception | None = None

    def stage(self, groups: Any) -> bool:
        return False

    def commit(self, groups: Sequence[Any], calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        assert self.gate.wait(5)
        if self.error is not None:
            raise self.error
        if any(row[0] in self.refused for _, rows in groups for row in rows):
            raise DatabaseError("a row is at fault")
        self.commits.append(([(sql, list(rows)) for sql, rows in groups], len(calls)))
        values: list[Any] = []
        for call in calls:
            try:
                values.append(call(None))
            except Exception as error:
                values.append(error)
        return values

    def upkeep_due(self) -> bool:
        return self.due

    def upkeep(self) -> None:
        if self.upkeep_error is not None:
            raise self.upkeep_error


class Stage:
    """A writer on a script, with a lane whose outcomes are noted."""

    def __init__(self, limit: int = 1000) -> None:
        self.script = Script()
        self.damages: list[DatabaseDamaged] = []
        self.damaged = asyncio.Event()
        self.writer = Writer(self.script, limit, self.on_damage)
        self.settled: dict[object, Exception | None] = {}
        self.order: list[object] = []
        self.lane: Lane[object] = self.writer.lane("first", self.settle)
        self.second: Lane[object] = self.writer.lane("second", self.settle)

    def on_damage(self, error: DatabaseDamaged) -> None:
        self.damages.append(error)
        self.damaged.set()

    def settle(self, rows: list[tuple[Any, ...]], waiters: list[object], error: Exception | None) -> None:
        assert [row[0] for row in rows] == waiters
        self.order += waiters
        self.settled |= dict.fromkeys(waiters, error)

    def append(self, *numbers: int, lane: Lane[object] | None = None) -> None:
        for number in numbers:
            (lane or self.lane).append((number,), number)


def on_stage(test: Callable[[Stage], Coroutine[Any, Any, None]], limit: int = 1000) -> None:
    async def main() -> None:
        stage = Stage(limit)
        try:
            await test(stage)
        finally:
            stage.script.gate.set()
            await stage.writer.stop()

    asyncio.run(asyncio.wait_for(main(), 10))


def test_rows_are_committed_and_settled_in_order() -> None:
    async def test(stage: Stage) -> None:
        stage.append(*range(100))
        await stage.writer.stop()
        assert stage.order == list(range(100))
        assert set(stage.settled.values()) == {None}
        assert stage.script.commits == [([("first", [(number,) for number in range(100)])], 0)]

    on_stage(test)


def test_what_arrives_during_a_flush_shares_the_next_one() -> None:
    async def test(stage: Stage) -> None:
        stage.script.gate.clear()
        stage.append(0)
        await asyncio.sleep(0)  # the loop's next turn, in which the first batch leaves
        for number in range(1, 50):
            stage.append(number)
            await asyncio.sleep(0)
        stage.script.gate.set()
        await stage.writer.stop()
        assert [len(groups[0][1]) for groups, _ in stage.script.commits] == [1, 49]

    on_stage(test)


def test_lanes_keep_their_order_and_calls_come_last() -> None:
    async def test(stage: Stage) -> None:
        value = asyncio.create_task(stage.writer.run(lambda _: "value"))
        await asyncio.sleep(0)
        stage.append(2, lane=stage.second)
        stage.append(1)
        assert await value == "value"
        assert stage.script.commits == [([("first", [(1,)]), ("second", [(2,)])], 1)]

    on_stage(test)


def test_a_failed_call_does_not_fail_its_batch_mates() -> None:
    async def test(stage: Stage) -> None:
        def fail(_: object) -> None:
            raise KeyError("mine alone")

        good, bad = await asyncio.gather(
            stage.writer.run(lambda _: 1), stage.writer.run(fail), return_exceptions=True
        )
        assert good == 1
        assert isinstance(bad, KeyError)
        assert len(stage.script.commits) == 1

    on_stage(test)


@pytest.mark.parametrize("bad", [{0}, {7}, {99}, {3, 4}, {0, 50, 99}, set(range(100))])
def test_a_row_at_fault_fails_alone(bad: set[object]) -> None:
    async def test(stage: Stage) -> None:
        stage.script.refused = bad
        stage.append(*range(100))
        value = asyncio.create_task(stage.writer.run(lambda _: "value"))
        assert await value == "value"
        await stage.writer.stop()
        assert stage.order == list(range(100))
        assert {number for number, error in stage.settled.items() if error is not None} == bad
        assert stage.writer.error is None  # the database itself is well

    on_stage(test)


@pytest.mark.parametrize("error", [DatabaseUnavailable("full"), DatabaseDamaged("broken")])
def test_a_failed_commit_fails_the_whole_batch_once(error: DatabaseError) -> None:
    async def test(stage: Stage) -> None:
        stage.script.error = error
        stage.append(*range(10))
        with pytest.raises(type(error)):
            await stage.writer.run(lambda _: None)
        assert stage.settled == dict.fromkeys(range(10), error)
        assert stage.writer.error is error
        stage.script.error = None
        stage.append(10)
        await stage.writer.stop()
        if isinstance(error, DatabaseDamaged):  # nothing is tried again after a failed flush
            assert stage.settled[10] is error
            assert stage.damages == [error]
            assert stage.script.commits == []
        else:
            assert stage.settled[10] is None
            assert stage.writer.error is None

    on_stage(test)


def test_upkeep_that_finds_damage_ends_the_writing() -> None:
    async def test(stage: Stage) -> None:
        damage = DatabaseDamaged("a checkpoint's flush failed")
        stage.script.due, stage.script.upkeep_error = True, damage
        stage.append(1)
        await stage.damaged.wait()
        stage.append(2)
        await stage.writer.stop()
        assert stage.settled == {1: None, 2: damage}
        assert stage.damages == [damage]

    on_stage(test)


def test_more_than_the_limit_is_refused() -> None:
    async def test(stage: Stage) -> None:
        stage.script.gate.clear()
        stage.append(-1)
        await asyncio.sleep(0)
        stage.append(*range(10))
        calls = [asyncio.create_task(stage.writer.run(lambda _: None)) for _ in range(10)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await stage.writer.run(lambda _: None)
        stage.script.gate.set()
        await asyncio.gather(*calls)

    on_stage(test, limit=10)


def test_stop_commits_everything_first() -> None:
    async def test(stage: Stage) -> None:
        stage.script.gate.clear()
        stage.append(1)
        await asyncio.sleep(0)
        stage.append(2)
        value = asyncio.create_task(stage.writer.run(lambda _: 3))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(stage.writer.stop())
        stage.script.gate.set()
        await stopping
        assert stage.settled == {1: None, 2: None}
        assert await value == 3

    on_stage(test)


def test_a_caller_that_has_gone_harms_nobody() -> None:
    async def test(stage: Stage) -> None:
        stage.script.gate.clear()
        gone = asyncio.create_task(stage.writer.run(lambda _: 1))
        stays = asyncio.create_task(stage.writer.run(lambda _: 2))
        await asyncio.sleep(0)
        gone.cancel()
        stage.script.gate.set()
        assert await stays == 2
        assert gone.cancelled()

    on_stage(test)


def test_what_follows_a_call_comes_in_the_order_of_commits_and_before_its_caller_goes_on() -> None:
    async def test(stage: Stage) -> None:
        heard: list[object] = []
        stage.script.gate.clear()
        stage.append(0)
        await asyncio.sleep(0)
        first = asyncio.create_task(stage.writer.run(lambda _: "first", heard.append))
        await asyncio.sleep(0)
        first.add_done_callback(lambda _: heard.append("its caller"))
        stage.lane.settle = lambda rows, _waiters, _error: heard.extend(row[0] for row in rows)
        stage.script.gate.set()
        while not stage.script.commits[1:]:  # noqa: ASYNC110 - the thread's work: a look now and then
            await asyncio.sleep(0.001)
        stage.append(1)
        await stage.writer.run(lambda _: "second", heard.append)
        assert [one for one in heard if one != "its caller"] == [0, "first", 1, "second"]
        assert heard.index("first") < heard.index("its caller")

    on_stage(test)


def test_what_follows_a_call_follows_also_where_its_caller_has_gone() -> None:
    async def test(stage: Stage) -> None:
        heard: list[object] = []
        stage.script.gate.clear()
        gone = asyncio.create_task(stage.writer.run(lambda _: "done", heard.append))
        await asyncio.sleep(0)
        gone.cancel()
        stage.script.gate.set()
        await stage.writer.run(lambda _: None)
        assert gone.cancelled()
        assert heard == ["done"]

    on_stage(test)


def test_nothing_follows_a_call_that_fails() -> None:
    async def test(stage: Stage) -> None:
        heard: list[object] = []

        with pytest.raises(ZeroDivisionError):
            await stage.writer.run(lambda _: 1 // 0, heard.append)
        stage.script.error = DatabaseUnavailable("full")
        with pytest.raises(DatabaseUnavailable):
            await stage.writer.run(lambda _: None, heard.append)
        assert heard == []

    on_stage(test)


def test_whoever_has_read_can_wait_until_what_it_may_have_seen_is_reported() -> None:
    async def test(stage: Stage) -> None:
        await stage.writer.reported()  # nothing is under way
        stage.script.gate.clear()
        stage.append(1)
        await asyncio.sleep(0)
        waiting = asyncio.create_task(stage.writer.reported())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        assert stage.settled == {}
        stage.script.gate.set()
        await waiting
        assert stage.settled == {1: None}

    on_stage(test)
