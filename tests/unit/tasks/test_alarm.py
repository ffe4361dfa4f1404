"""The alarm: what is due is queued and told of in the order of commits, however much it is and whatever fails."""

from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest
from dispatching import Stage
from support import eventually

from taskmill.sql import DatabaseError
from taskmill.tasks.dispatch import alarm
from taskmill.tasks.lifecycle import Status


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    stage.begin(1_000)
    yield stage
    stage.close()


def now() -> int:
    return int(time() * 1000)


def scheduled(stage: Stage, count: int, run_at: int, **more: int) -> list[bytes]:
    """Store tasks, and put them off as rows."""
    keys = stage.submit("a", ["1"] * count, rank=1, **more)
    stage.settle()
    stage.run(stage.service.control.pause("tasks", "a test"))
    listed = ", ".join(f"x'{key.hex()}'" for key in keys)
    stage.write(f"UPDATE task SET status = 1, run_at = {run_at} WHERE id IN ({listed})")
    stage.end(kill=True)
    stage.begin(1_000)
    stage.run(stage.service.control.resume("tasks"))
    stage.allow(1_000)
    return keys


def delivered(stage: Stage) -> list[bytes]:
    return [message.key for message in stage.hand.delivered]


def test_what_came_due_while_nobody_ran_is_queued_at_the_start(stage: Stage) -> None:
    keys = scheduled(stage, 3, now() - 60_000)
    stage.settle()
    assert delivered(stage) == keys


def test_more_than_one_transaction_takes_are_all_queued(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm, "AT_ONCE", 4)
    keys = scheduled(stage, 30, now() - 60_000)
    for _ in range(30):  # each look at the clock queues four
        stage.settle()
    assert delivered(stage) == keys


def test_what_is_set_for_sooner_does_not_wait_for_what_is_later(stage: Stage) -> None:
    later = scheduled(stage, 1, now() + 3_600_000)
    stage.settle()
    assert delivered(stage) == []
    (soon,) = stage.submit("a", ["1"], rank=1)
    stage.settle()
    assert stage.retry(1) == [soon]
    stage.settle()
    assert delivered(stage) == [soon, soon]
    assert stage.statuses()[later[0]] == Status.SCHEDULED


def test_a_failure_is_tried_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm, "PAUSE", 0.001)
    store = stage.service.store
    whole, failures = store.due, [DatabaseError("no such disk"), RuntimeError("a mistake of ours")]

    async def failing(*arguments: object) -> object:
        if failures:
            raise failures.pop()
        return await whole(*arguments)  # type: ignore[arg-type]

    (key,) = stage.submit("a", ["1"], rank=1)
    stage.settle()
    stage.allow(1)
    monkeypatch.setattr(store, "due", failing)
    stage.retry(1)
    stage.settle()
    assert failures == []
    assert delivered(stage) == [key, key]


def test_what_expires_ends_whether_it_is_queued_or_scheduled_and_what_has_begun_does_not(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    (put_off,) = scheduled(stage, 1, now() + 3_600_000)
    stage.allow(0)
    queued, begun = stage.submit("a", ["1"] * 2, rank=1)
    stage.settle()
    monkeypatch.setattr(stage.service._alarm, "_started", lambda key: key == begun)
    stage.write("UPDATE task SET expires_at = 1")
    stage.call(lambda: stage.traffic.scheduled(1))

    def ended() -> set[bytes]:
        return {key for key, status in stage.statuses().items() if status == Status.FAILED}

    eventually(lambda: len(ended()) == 2)  # the one that has begun stands in the way: it never settles
    assert ended() == {queued, put_off}
    assert queued in stage.traffic.dropped, "it waits in memory"
    stage.write("UPDATE task SET expires_at = NULL")
    stage.allow(10)
    stage.settle()
    assert delivered(stage) == [begun]
    assert not stage.traffic.dropped
