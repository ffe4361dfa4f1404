"""A worker that somebody has stopped is replaced after the lease; one that is only busy never is."""

import asyncio
import os
import signal
import time
from functools import partial

import pytest
from pools import Calls, Run, alive, eventually, has_lines, lines, ready

from taskmill.process import proc
from taskmill.process.messages import Completed, Killed
from taskmill.process.pool import WorkerPool

pytestmark = [
    pytest.mark.fault,
    pytest.mark.skipif(not proc.AVAILABLE, reason="the state of a process is read in /proc"),
]

FUNCTIONS = """
def busy(how, seconds):
    if how == "holds the lock":
        ctypes.PyDLL(None).usleep(int(seconds * 1e6))  # unlike CDLL it keeps Python's lock
    elif how == "sleeps":
        time.sleep(seconds)
    else:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            pass
    return os.getpid()

def count(path, gate):
    number = 0
    while not os.path.exists(gate):
        number += 1
        note(path, str(number))
        time.sleep(0.005)
    return os.getpid()
"""


@pytest.fixture
def calls(calls: Calls) -> Calls:
    calls.add(FUNCTIONS)
    return calls


def test_a_worker_stopped_for_longer_than_the_lease_is_killed(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = calls.directory / "journal"
        call = calls.make("loop", path=str(journal))
        behind = calls.make("pid")
        pool.submit([call, behind])
        await eventually(lambda: lines(journal))
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        stopped = time.monotonic()
        killed = await calls.outcome(call)
        assert time.monotonic() - stopped >= 0.4
        assert isinstance(killed, Killed)
        assert (killed.reason, killed.message) == (
            "crashed",
            "its worker process was stopped for longer than the lease of 0.4 s, and killed",
        )
        assert isinstance(await calls.outcome(behind), Completed)
        assert not alive(pid)
        assert pool.replaced == {**pool.replaced, "stalled": 1, "crashed": 0}

    run(body, 1, lease=0.4)


def test_a_worker_stopped_for_less_than_the_lease_goes_on(run: Run, calls: Calls) -> None:
    """It is stopped for longer than the lease in all, but never at a stretch."""

    async def body(pool: WorkerPool) -> None:
        journal, gate = calls.directory / "journal", calls.directory / "gate"
        call = calls.make("count", path=str(journal), gate=str(gate))
        pool.submit([call])
        await eventually(lambda: lines(journal))
        (pid,) = pool.pids
        loop = asyncio.get_running_loop()
        for _ in range(4):
            os.kill(pid, signal.SIGSTOP)
            seen = len(lines(journal)) + 1
            loop.call_later(0.5, os.kill, pid, signal.SIGCONT)
            await eventually(partial(has_lines, journal, seen + 1))
        gate.touch()
        assert await calls.outcome(call) == Completed(b"%d" % pid)

    run(body, 1, lease=1.6)


@pytest.mark.parametrize("how", ["computes", "sleeps", "holds the lock"])
def test_a_call_that_takes_long_is_left_alone(run: Run, calls: Calls, how: str) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        (pid,) = pool.pids
        call = calls.make("busy", how=how, seconds=1.0)
        assert await calls.run(pool, call, calls.make("pid")) == [Completed(b"%d" % pid)] * 2

    run(body, 1, lease=0.1)


def test_a_call_sent_to_a_stopped_worker_runs_elsewhere(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        first, second = await calls.run(pool, calls.make("pid"), calls.make("pid"))
        assert isinstance(first, Completed)
        assert first == second != Completed(b"%d" % pid)
        assert pool.replaced["stalled"] == 1

    run(body, 1, lease=0.2)


def test_a_stopped_worker_does_not_hold_up_the_end(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = calls.directory / "journal"
        call = calls.make("loop", path=str(journal))
        pool.submit([call])
        await eventually(lambda: lines(journal))
        for pid in pool.pids:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.wait_for(pool.stop(0.1), 5)
        killed = await calls.outcome(call)
        assert isinstance(killed, Killed)
        assert killed.reason == "shutdown"

    run(body, 2)
