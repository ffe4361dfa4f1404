"""Cases that went wrong once: lives that end while somebody else acts on them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from life_actions import Asked, doors, killed
from living import PLACES, Life

from taskmill.process.messages import Completed
from taskmill.tasks.ids import from_text

DONE = Completed(b'{"output":"done"}')


@pytest.fixture
def life(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Life]:
    doors.open = False
    length: int = getattr(request, "param", 1_000)
    life = Life(tmp_path, length)
    yield life
    life.stop()
    life.close()


def submit(life: Life, action: str, **body: Any) -> str:
    asked = Asked({"action": action, **body}, None)
    life.call(lambda: life.service.intake.submit(asked))
    life.settle()
    assert asked.status == 202
    return str(asked.answer["id"])


def key(id_: str) -> bytes:
    found = from_text(id_)
    assert found is not None
    return found


def cancel(life: Life, id_: str) -> None:
    assert life.run(life.service.control.cancel([key(id_)])) == [key(id_)]


def redrive(life: Life, id_: str) -> None:
    assert life.run(life.service.control.retry([key(id_)])) == [key(id_)]
    life.settle()


def let_go(life: Life, id_: str) -> None:
    """Have the task's run return."""
    (run,) = [run for run in doors.runs if run.id == id_]
    life.call(lambda: run.door.set_result("done"))
    life.settle()


def fill(life: Life) -> list[str]:
    """Have every place of work taken."""
    taken = [submit(life, "waits") for _ in range(PLACES)]
    assert len(doors.runs) == PLACES
    return taken


@pytest.mark.parametrize("options", [{}, {"priority": 3}, {"key": "k"}])
def test_a_task_that_is_cancelled_while_it_waits_and_redriven_at_once_runs(
    life: Life, options: dict[str, Any]
) -> None:
    taken = fill(life)
    id_ = submit(life, "at_once", **options)
    cancel(life, id_)
    redrive(life, id_)
    for one in taken:
        let_go(life, one)
    task = life.rows()[id_]
    assert (task["status"], task["attempt"], task["result"]) == ("completed", 1, {"output": id_})
    assert not life.service.traffic.dropped


@pytest.mark.parametrize("stubborn", [False, True])
@pytest.mark.parametrize("noted", [False, True])
def test_a_task_that_is_redriven_while_its_cancelled_run_still_stops_runs_again(
    life: Life, noted: bool, stubborn: bool
) -> None:
    id_ = submit(life, "waits", priority=1, data={"stubborn": stubborn})
    if noted:
        life.advance(0.1)
    assert life.rows()[id_]["status"] == ("running" if noted else "queued")
    cancel(life, id_)
    assert life.run(life.service.control.retry([key(id_)]))
    life.settle()
    if stubborn:
        life.advance(1.1)  # it is given up
    assert [run.attempt for run in doors.runs if run.id == id_][-1] == 1 + noted
    last = [run for run in doors.runs if run.id == id_][-1]
    life.call(lambda: last.door.set_result("done"))
    life.settle()
    task = life.rows()[id_]
    assert (task["status"], task["attempt"], task["max_attempts"]) == ("completed", 1 + noted, 3 + noted)


def test_a_cancelled_call_may_return_and_is_counted_once(life: Life) -> None:
    before = life.service.backlog.tasks
    id_ = submit(life, "isolated", priority=1)
    cancel(life, id_)
    life.call(lambda: life.pool.answer(0, DONE))
    life.settle()
    task = life.rows()[id_]
    assert (task["status"], task["result"]) == ("cancelled", None)
    assert life.service.backlog.tasks == before


def test_an_expired_task_can_be_redriven(life: Life) -> None:
    taken = fill(life)
    id_ = submit(life, "at_once", expires_in=5)
    life.advance(6)
    task = life.rows()[id_]
    assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 0, "expired")
    redrive(life, id_)
    life.advance(60)
    assert life.rows()[id_]["status"] == "queued", "it does not expire again"
    for one in taken:
        let_go(life, one)
    assert life.rows()[id_]["status"] == "completed"


@pytest.mark.parametrize("life", [3], indirect=True)
def test_a_retry_behind_a_full_window_is_read_again(life: Life) -> None:
    """More wait than the window holds as it is queued: it is left a row, and must be found there."""
    retried = submit(life, "isolated", priority=9)
    life.call(lambda: life.pool.answer(0, killed("crashed")))
    life.settle()
    taken = fill(life)
    waiting = [submit(life, "at_once", priority=9) for _ in range(12)]
    life.advance(61)
    assert life.rows()[retried]["status"] == "queued"
    for one in taken:
        let_go(life, one)
    for _ in range(3):
        life.advance(1)
    while life.pool.batches:
        life.call(lambda: life.pool.answer(0, DONE))
        life.settle()
    rows = life.rows()
    assert [rows[id_]["status"] for id_ in (retried, *waiting)] == ["completed"] * 13


def test_a_suspect_that_is_cancelled_before_its_turn_gives_its_place_back_once(life: Life) -> None:
    """After a kill the last attempts of suspects are made alone, so some of them wait with a place in hand."""
    ids = [submit(life, "waits", max_attempts=2) for _ in range(2)]
    life.advance(0.1)
    life.crash()
    life.begin()
    assert len(doors.runs) == 1, "both in their last attempts: one after the other"
    (waiting,) = [id_ for id_ in ids if id_ != doors.runs[0].id]
    cancel(life, waiting)
    life.advance(5)
    let_go(life, doors.runs[0].id)
    assert {task["status"] for task in life.rows().values()} == {"completed", "cancelled"}
    consumer = life.consumer
    assert (consumer._in_hand, len(consumer._free)) == (0, PLACES)


def test_timers_of_attempts_that_have_ended_are_not_kept(life: Life) -> None:
    for _ in range(20):
        let_go(life, submit(life, "waits", timeout=36_000))
    timers: list[asyncio.TimerHandle] = life.loop._scheduled  # type: ignore[attr-defined]
    assert [one for one in timers if not one.cancelled() and one.when() > life.loop.now + 30_000] == []


def test_the_alarm_rings_again_after_an_error_that_nobody_thought_of(
    life: Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_ = submit(life, "at_once", delay=5)
    due = life.service.store.due

    async def broken(*_: Any) -> Any:
        monkeypatch.setattr(life.service.store, "due", due)
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a row that is no text")

    monkeypatch.setattr(life.service.store, "due", broken)
    life.advance(6)
    assert life.rows()[id_]["status"] == "scheduled"
    life.advance(1)
    assert life.rows()[id_]["status"] == "completed"
