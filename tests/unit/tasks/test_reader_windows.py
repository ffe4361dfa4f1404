"""What a dispatcher's reads return: in line, bounded in rows and bytes, and up to where they have looked."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest
from dispatching import Stage

from taskmill.tasks.dispatch.edge import Position
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.rows import reader as module

ACTIONS = """
from typing import Any
from taskmill import action

@action(name="*", inline=True)
def anything(data: Any, /) -> None:
    pass

@action(inline=True, concurrency=1)
def alone(data: Any, /) -> None:
    pass
"""
START = (-(2**62), b"")
PLENTY = 2**20


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    (tmp_path / "actions.py").write_text(ACTIONS)
    stage = Stage(tmp_path, tmp_path)
    stage.begin(100)
    yield stage
    stage.close()


def keys_of(rows: list[Dispatchable]) -> list[bytes]:
    return [row[0] for row in rows]


def plain(stage: Stage, after: bytes, limit: int, size: int = PLENTY) -> tuple[list[bytes], bytes | None]:
    rows, end = stage.run(stage.reader.plain("tasks", after, limit, size))
    return keys_of(rows), end


def ranked(
    stage: Stage, after: Position, limit: int, size: int = PLENTY
) -> tuple[list[bytes], Position | None]:
    rows, end = stage.run(stage.reader.ranked("tasks", after, limit, size))
    return keys_of(rows), end


def test_plain_tasks_come_oldest_first_and_tell_how_far_was_looked(stage: Stage) -> None:
    keys = stage.submit("a", ["1"] * 5)
    stage.settle()
    assert plain(stage, b"", 3) == (keys[:3], keys[2])
    assert plain(stage, keys[2], 3) == (keys[3:], None)
    assert plain(stage, keys[4], 3) == ([], None)


def test_ranked_tasks_between_plain_ones_are_looked_at_and_left_out(stage: Stage) -> None:
    first = stage.submit("a", ["1"])
    between = stage.submit("a", ["2" * 1000] * 4, rank=1)
    last = stage.submit("a", ["3"])
    stage.settle()
    assert plain(stage, b"", 3, 100) == (first, between[1]), "their bytes do not count"
    assert plain(stage, between[1], 3, 100) == (last, last[0])
    assert plain(stage, last[0], 3, 100) == ([], None)


def test_a_read_ends_with_the_body_that_fills_it(stage: Stage) -> None:
    keys = stage.submit("a", ["1" * 40] * 5)
    stage.settle()
    assert plain(stage, b"", 10, 100) == (keys[:3], keys[2])


def test_ranked_tasks_come_by_rank_and_then_by_id(stage: Stage) -> None:
    worse = stage.submit("a", ["1"] * 2, rank=7)
    better = stage.submit("a", ["1"] * 2, rank=-7)
    stage.submit("a", ["1"])
    stage.settle()
    line = [*better, *worse]
    assert ranked(stage, START, 3) == (line[:3], (7, worse[0]))
    assert ranked(stage, (7, worse[0]), 3) == (line[3:], None)
    assert ranked(stage, START, 10, 1) == (line[:1], (-7, better[0]))


def test_tasks_of_a_limit_come_in_the_same_order_and_no_others(stage: Stage) -> None:
    mine = stage.submit("alone", ["1"] * 3, rank=5, limit_key="mine")
    stage.submit("alone", ["1"] * 3, rank=4, limit_key="another")
    stage.settle()
    rows, end = stage.run(stage.reader.limited("mine", START, 2, PLENTY))
    assert (keys_of(rows), end) == (mine[:2], (5, mine[1]))
    rows, end = stage.run(stage.reader.limited("mine", (5, mine[1]), 2, PLENTY))
    assert (keys_of(rows), end) == (mine[2:], None)


def test_what_has_changed_during_a_read_is_left_out_of_it_and_counts_for_where_it_ended(stage: Stage) -> None:
    keys = stage.submit("a", ["1"] * 3)
    stage.settle()
    stage.reader.open.clear()

    async def read_meanwhile() -> tuple[list[Dispatchable], bytes | None]:
        reading = asyncio.create_task(stage.reader.plain("tasks", b"", 3, PLENTY))
        while not stage.reader.held_back:  # noqa: ASYNC110 - the read is in a thread: a look now and then
            await asyncio.sleep(0.001)
        stage.reader.changes.note(keys[2])
        stage.reader.open.set()
        return await reading

    rows, end = stage.run(read_meanwhile())
    assert (keys_of(rows), end) == (keys[:2], keys[2])
    assert plain(stage, b"", 3) == (keys, keys[2]), "for the next read that is past"


def test_all_that_runs_is_read_in_parts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RUNNING_AT_ONCE", 2)
    keys = stage.submit("a", ["1"] * 5)
    stage.settle()
    stage.end(kill=False)
    stage.write("UPDATE task SET status = 2, attempt = 1")
    stage.begin(100)
    assert keys_of(stage.run(stage.reader.running())) == keys


def test_the_next_alarm_is_the_first_of_all_sorts(stage: Stage) -> None:
    assert stage.run(stage.reader.next_alarm()) is None
    later = int(time() * 1000) + 60_000
    stage.submit("a", ["1"], rank=1, expires_at=later + 3)
    stage.settle()
    assert stage.run(stage.reader.next_alarm()) == later + 3
    (key,) = stage.submit("a", ["1"], rank=1)
    stage.settle()
    for column, status in (
        ("expires_at", Status.QUEUED),
        ("expires_at", Status.SCHEDULED),
        ("run_at", Status.SCHEDULED),
    ):
        stage.write(f"UPDATE task SET status = {status.value}, {column} = {later} WHERE id = x'{key.hex()}'")
        assert stage.run(stage.reader.next_alarm()) == later
        stage.write(f"UPDATE task SET {column} = NULL WHERE id = x'{key.hex()}'")
    stage.write("UPDATE task SET status = 0")
