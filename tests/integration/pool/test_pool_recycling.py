"""Workers that have done enough are replaced, without a call lost, failed or kept waiting."""

import asyncio
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from pools import Calls, Run, alive, eventually, lines, ready

from taskmill.process import proc
from taskmill.process.messages import Completed, Killed, NotRun
from taskmill.process.pool import WorkerPool

FUNCTIONS = """
import threading

hoard = []

def keep(megabytes):
    hoard.append(b"x" * (megabytes << 20))
    return os.getpid()

def keep_later(path, megabytes):
    def work():
        wait_for(path)
        keep(megabytes)
    threading.Thread(target=work, daemon=True).start()
    return os.getpid()

def not_to_end(how):
    threading.Thread(target=time.sleep, args=[600]).start()
    if how == "forked" and os.fork() == 0:  # it holds the connection open
        while True:
            time.sleep(60)
    return os.getpid()

def pid_after(gate, path):
    wait_for(gate)
    note(path, "passed")
    return os.getpid()

def noted_pid(path):
    note(path, "noted")
    return os.getpid()
"""


@pytest.fixture
def calls(calls: Calls) -> Calls:
    calls.add(FUNCTIONS)
    return calls


def only_recycled(pool: WorkerPool) -> bool:
    return sum(pool.replaced.values()) == pool.replaced["recycled"]


async def pid_of(calls: Calls, pool: WorkerPool, method: str = "pid", **data: Any) -> int:
    (outcome,) = await calls.run(pool, calls.make(method, **data))
    assert isinstance(outcome, Completed)
    return json.decode(outcome.result, type=int)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_are_replaced_after_so_many_calls(run: Run, calls: Calls, workers: int) -> None:
    async def body(pool: WorkerPool) -> None:
        batches = []
        while pool.replaced["recycled"] < 2 * workers:
            batches.append([calls.make("pid") for _ in range(8)])
            pool.submit(batches[-1])
            await calls.outcome(batches[-1][-1])
        await eventually(lambda: pool.outstanding == 0)
        outcomes = [outcome for _, outcome in calls.outcomes]
        assert len(outcomes) == 8 * len(batches)
        assert all(isinstance(outcome, Completed) for outcome in outcomes)
        assert only_recycled(pool)
        await eventually(lambda: len(pool.pids) <= workers + 1)  # the last ones' successors may be starting

    run(body, workers, max_tasks=20)


def test_the_old_worker_works_until_the_new_one_is_ready(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        slow = calls.directory / "slow.py"
        slow.write_text("import time\ntime.sleep(1)\ndef f(): pass\n")
        pool.preload([calls.ref("f", "file://slow.py")])
        await ready(pool)
        answers = []
        while pool.replaced["recycled"] < 2:
            await pid_of(calls, pool)
            answers.append(time.monotonic())
        assert answers[-1] - answers[0] > 2  # two starts
        assert (
            max(after - before for before, after in pairwise(answers)) < 0.7
        )  # none of which was waited for

    run(body, 1, max_tasks=1)


def test_calls_that_have_not_begun_move_and_no_more_run_than_there_are_workers(
    run: Run, calls: Calls, tmp_path: Path
) -> None:
    async def body(pool: WorkerPool) -> None:
        gate, journal = tmp_path / "gate", tmp_path / "journal"
        old = await pid_of(calls, pool)
        running = calls.make("pid_after", gate=str(gate), path=str(journal))
        moved = [calls.make("noted_pid", path=str(journal)) for _ in range(3)]
        doomed = calls.make("note", path=str(journal), word="doomed")
        pool.submit([running, *moved[:2], doomed])
        await eventually(lambda: pool.replaced["recycled"] == 1)
        pool.submit([moved[2]])
        assert pool.cancel(doomed)
        # The successor is ready and would run them by then, if it were its turn.
        asyncio.get_running_loop().call_later(0.2, gate.touch)
        assert await calls.outcome(running) == Completed(b"%d" % old)
        assert await calls.outcome(doomed) == NotRun("cancelled")
        for call in moved:
            assert await calls.outcome(call) != Completed(b"%d" % old)
        assert lines(journal) == ["passed", "noted", "noted", "noted"]
        await eventually(lambda: not alive(old))

    run(body, 1, max_tasks=1)


@pytest.mark.skipif(not proc.AVAILABLE, reason="the memory of a process is read in /proc")
def test_a_worker_that_keeps_too_much_memory_is_replaced(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        (old,) = pool.pids
        assert await pid_of(calls, pool, "keep", megabytes=300) == old
        await eventually(lambda: old not in pool.pids)
        assert await pid_of(calls, pool) != old
        assert pool.replaced["recycled"] == 1
        assert only_recycled(pool)

    # The look after a call is enough; the patrol's first would come after the test's end.
    run(body, 1, max_memory=200 << 20, lease=3600)


@pytest.mark.skipif(not proc.AVAILABLE, reason="the memory of a process is read in /proc")
def test_memory_is_also_looked_at_while_no_call_ends(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        (old,) = pool.pids
        gate = calls.directory / "gate"
        assert await pid_of(calls, pool, "keep_later", path=str(gate), megabytes=300) == old
        gate.touch()
        await eventually(lambda: old not in pool.pids)

    run(body, 1, max_memory=200 << 20, lease=0.4)


def test_without_proc_the_memory_limit_is_said_to_have_no_effect(
    run: Run, calls: Calls, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(proc, "AVAILABLE", False)
    monkeypatch.setattr(proc, "status", lambda pid: None)

    async def body(pool: WorkerPool) -> None:
        assert await pid_of(calls, pool, "keep", megabytes=10) in pool.pids
        assert [record.message for record in caplog.records] == [
            "`max_memory` has no effect here: it needs /proc, which Linux has"
        ]

    run(body, 1, max_memory=1 << 20, lease=0.04)


@pytest.mark.fault
def test_a_worn_worker_may_die_before_its_successor_is_ready(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await pid_of(calls, pool)
        (killed,) = await calls.run(pool, calls.make("leave", code=3))
        assert isinstance(killed, Killed)
        await pid_of(calls, pool)
        assert pool.replaced == {**pool.replaced, "crashed": 1}
        await eventually(lambda: pool.replaced["recycled"] == 1 and len(pool.pids) == 1)

    run(body, 1, max_tasks=1)


@pytest.mark.fault
def test_the_old_worker_goes_on_where_no_new_one_comes_up(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        flag, source = calls.directory / "flag", calls.directory / "poison.py"
        source.write_text(f"import os\nif os.path.exists({str(flag)!r}):\n    os._exit(9)\ndef f(): pass\n")
        pool.preload([calls.ref("f", "file://poison.py")])
        await ready(pool)
        (old,) = pool.pids
        flag.touch()
        while pool.replaced["crashed"] < 4:  # more than make a pool without workers refuse calls
            assert await pid_of(calls, pool) == old
        flag.unlink()
        await eventually(lambda: old not in pool.pids)
        assert pool.replaced["recycled"] == 1

    run(body, 1, max_tasks=1)


@pytest.mark.fault
@pytest.mark.parametrize("how", ["thread", "forked"])
def test_a_replaced_worker_that_does_not_end_is_killed(run: Run, calls: Calls, how: str) -> None:
    async def body(pool: WorkerPool) -> None:
        old = await pid_of(calls, pool, "not_to_end", how=how)
        await eventually(lambda: pool.replaced["recycled"] == 1)
        await eventually(lambda: not alive(old))
        assert only_recycled(pool)

    run(body, 1, max_tasks=1, lease=0.4)


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 20, 50])
def test_stopping_at_any_moment_of_a_replacement_leaves_nothing(run: Run, calls: Calls, turns: int) -> None:
    async def body(pool: WorkerPool) -> None:
        await pid_of(calls, pool)
        batch = [calls.make("nth") for _ in range(20)]
        pool.submit(batch)
        for _ in range(turns):
            await asyncio.sleep(0.005)  # into the start of the successor, which takes some ten times as long
        await pool.stop(10)
        outcomes = [await calls.outcome(call) for call in batch]
        assert all(isinstance(outcome, Completed | NotRun) for outcome in outcomes)
        assert pool.pids == []

    run(body, 1, max_tasks=1)
