"""`taskmill.testing`: the real engine, stepped by hand, with a clock that can be moved."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application

from taskmill import Fail, Retry, action, current_task
from taskmill.client import AsyncClient, Client, NotEnded, TaskFailed, default_client
from taskmill.registry import RegistryError
from taskmill.testing import Tasks, running

ran: list[object] = []


@action
def note(what: str) -> str:
    ran.append((what, threading.get_ident()))
    return what


@action(max_attempts=3, backoff="10m")
def flaky() -> int:
    if current_task().attempt < 3:
        raise Retry(after="1h") if current_task().attempt == 1 else LookupError("gone")
    return current_task().attempt


@action
async def chain(left: int) -> int:
    await asyncio.sleep(0)
    if left:
        await chain.submit_async(left - 1)
    return left


@action
def nest(text: str) -> str:
    note.submit(f"{text} inside")
    return text


@action(rate_limit="2/m", queue="tasks")
def rated() -> None: ...


@action(timeout="30s", max_attempts=1)
def slow() -> None:
    moved[0].clock.advance("1m")


@action(max_attempts=5)
async def hopeless() -> None:
    raise Fail("never")


ACTIONS = (note, flaky, chain, nest, rated, slow, hopeless)
moved: list[Tasks] = []


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    ran.clear()
    with running(actions=ACTIONS) as found:
        moved[:] = [found]
        yield found


def test_a_task_runs_when_it_is_told_to_and_in_the_thread_of_the_test(tasks: Tasks) -> None:
    first, second = note.submit("first"), note.submit("second")
    assert ran == []
    task = tasks.run_next()
    assert task is not None
    assert (task.id, task.status, task.result) == (first.id, "completed", {"output": "first"})
    assert ran == [("first", threading.get_ident())]
    assert second.get().status == "queued"
    assert second.result() == "second"
    assert tasks.run_next() is None


def test_priorities_go_first(tasks: Tasks) -> None:
    for priority in (0, 9, 5):
        note.with_options(priority=priority).submit(str(priority))
    assert [task.priority for task in tasks.run_all()] == [9, 5, 0]


def test_retries_are_due_when_the_clock_says_so(tasks: Tasks) -> None:
    handle = flaky.submit()
    assert [(task.status, task.attempt) for task in tasks.run_all()] == [("scheduled", 1)]
    with pytest.raises(NotEnded):
        handle.result()
    tasks.clock.advance("59m")
    assert tasks.run_all() == []
    tasks.clock.advance(60)
    assert [task.attempt for task in tasks.run_all()] == [2]
    tasks.clock.advance("10m")
    assert handle.result() == 3
    errors = [one.error.type for one in handle.get().attempts if one.error]
    assert errors == ["Retry", "LookupError"]


def test_what_cannot_be_retried_has_failed(tasks: Tasks) -> None:
    with pytest.raises(TaskFailed, match="never"):
        hopeless.submit().result()
    assert len(tasks.submitted) == 1


def test_delays_expiry_and_tombstones_go_by_the_clock(tasks: Tasks) -> None:
    began = tasks.clock.now()
    note.with_options(delay="1d").submit("tomorrow")
    note.with_options(delay="2h", expires_in="1h").submit("too late")
    tasks.clock.advance("90m")
    assert [task.status for task in tasks.submitted] == ["scheduled", "failed"]
    assert tasks.submitted[1].error is not None
    assert tasks.submitted[1].error.type == "expired"
    tasks.clock.advance("1d")
    assert [task.data for task in tasks.run_all()] == [{"what": "tomorrow"}]
    assert abs(time.time() - tasks.clock.time()) < 5
    assert 91_800 <= (tasks.clock.now() - began).total_seconds() < 91_860


def test_limits_hold_until_the_clock_is_moved(tasks: Tasks) -> None:
    for _ in range(5):
        rated.submit()
    assert len(tasks.run_all()) == 2
    assert tasks.why(tasks.submitted[-1].id).waiting_for[0]["reason"] == "limit"
    tasks.clock.advance("61s")
    assert len(tasks.run_all()) == 2


def test_schedules_fire_at_each_of_their_times(tasks: Tasks) -> None:
    tasks.put_schedule("often", "note", {"what": "tick"}, every=600, overlap="allow")
    tasks.clock.advance("61m")
    assert len(tasks.run_all()) == 6


def test_what_actions_submit_waits_for_the_next_step(tasks: Tasks) -> None:
    chain.submit(2)
    nest.submit("deep")
    assert [task.action for task in tasks.run_all()] == ["chain", "nest", "chain", "note", "chain"]
    chain.submit(5)
    with pytest.raises(RuntimeError, match="2 attempts, and no end"):
        tasks.run_all(limit=2)


def test_a_plain_function_that_takes_too_long_has_timed_out(tasks: Tasks) -> None:
    with pytest.raises(TaskFailed, match="30"):
        slow.submit().result()


def test_a_loop_of_ones_own_can_submit(tasks: Tasks) -> None:
    async def main() -> str:
        handle = await note.submit_async("from a loop")
        found: str = await handle.result()
        return found

    assert asyncio.run(main()) == "from a loop"
    assert [task.action for task in tasks.submitted] == ["note"]


def test_what_was_submitted_is_asserted_in_part(tasks: Tasks) -> None:
    tasks.submit("note", {"what": "x"}, tags=["a", "b"], priority=3)
    assert tasks.assert_submitted("note", {"what": "x"}).priority == 3
    assert tasks.assert_submitted(note, tags=["a", "b"]).action == "note"
    tasks.assert_submitted(note.submission("x"), priority=3)
    tasks.assert_not_submitted(note, {"what": "y"})
    with pytest.raises(AssertionError) as nothing:
        tasks.assert_submitted("note", {"what": "y"}, priority=4)
    assert str(nothing.value) == (
        'no task note {"what":"y"}, priority=4 was submitted; submitted were\n'
        '  note {"what":"x"}, queued, in queue tasks'
    )
    with pytest.raises(AssertionError, match="submitted was note"):
        tasks.assert_not_submitted("note")
    with pytest.raises(TypeError, match="a task has no field `prio`"):
        tasks.assert_submitted("note", prio=3)


def test_it_leaves_nothing_behind(tasks: Tasks) -> None:
    before, clock = time.time, time.time()
    with running(actions=[note]) as other:
        other.clock.advance("1d")
        assert default_client() is other
        assert other.submitted == []
    assert default_client() is tasks
    assert time.time is before
    assert time.time() - clock < 60
    assert isinstance(other, Client)
    assert not isinstance(other, AsyncClient)


def test_an_application_is_run_with_its_own_entries(tmp_path: Path) -> None:
    app = application(
        tmp_path, "@action\ndef twice(n: int) -> int:\n    return 2 * n\n", "postgresql://nobody@nowhere/x"
    )
    index = app / "_index.yaml"
    index.write_text(
        index.read_text()
        + "\n  - {name: nightly, kind: task.schedule, tasks: tasks, every: 1d, action: twice, data: {n: 4}}\n"
    )
    with running(app) as tasks:
        tasks.clock.advance("25h")
        assert [task.result for task in tasks.run_all()] == [{"output": 8}]
    index.write_text(index.read_text().replace("every: 1d", "evry: 1d"))
    assert list(tmp_path.glob("*.db")) == []
    with pytest.raises(RegistryError, match="did you mean `every`"), running(app):
        pass
