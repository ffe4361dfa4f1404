"""A timeout ends whatever the function does, costs nobody else anything, and also holds while the pool stops."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
from pools import Calls, Run, alive, eventually, lines, ready

from taskmill.process.messages import Completed, Killed, NotRun
from taskmill.process.pool import WorkerPool

FUNCTIONS = """
import signal, socket, subprocess, threading

def hold_on(path, how):
    if how == "ignores signals":
        for number in range(1, signal.NSIG):
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, signal.NSIG))
    elif how == "forked":
        if os.fork() == 0:  # it holds the connection open, too
            note(path, str(os.getpid()))
            while True:
                time.sleep(60)
    elif how == "has a program":
        note(path, str(subprocess.Popen(["sleep", "600"]).pid))
    elif how == "has threads":
        for _ in range(3):
            threading.Thread(target=time.sleep, args=[600]).start()
    note(path, str(os.getpid()))
    if how == "holds the lock":
        ctypes.PyDLL(None).sleep(600)  # unlike CDLL it keeps Python's lock
    elif how == "stopped":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif how == "in a system call":
        time.sleep(600)
    elif how == "swallows":
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
    while True:
        pass
"""


@pytest.fixture
def calls(calls: Calls) -> Calls:
    calls.add(FUNCTIONS)
    return calls


@pytest.mark.fault
@pytest.mark.parametrize(
    "how",
    [
        "loops",
        "swallows",
        "ignores signals",
        "holds the lock",
        "in a system call",
        "forked",
        "has a program",
        "has threads",
        "stopped",
    ],
)
def test_a_timeout_kills_whatever_the_function_does(run: Run, calls: Calls, how: str) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        journal = calls.directory / "journal"
        call = calls.make("hold_on", timeout=0.5, path=str(journal), how=how)
        behind = [calls.make("nth") for _ in range(3)]
        pool.submit([call, *behind])
        killed = await calls.outcome(call)
        over = time.monotonic()
        assert isinstance(killed, Killed)
        assert (killed.reason, killed.signal) == ("timeout", "SIGKILL")
        assert [await calls.outcome(call) for call in behind] == [Completed(b"%d" % n) for n in (1, 2, 3)]
        assert time.monotonic() - over < 1
        await eventually(lambda: not any(alive(int(pid)) for pid in lines(journal)))
        assert len(lines(journal)) == 2 if how in {"forked", "has a program"} else 1
        assert pool.replaced == {**pool.replaced, "timeout": 1, "crashed": 0}

    run(body, 1)


@pytest.mark.fault
def test_a_timeout_holds_while_the_pool_stops(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = tmp_path / "journal"
        call = calls.make("loop", timeout=0.5, path=str(journal))
        behind = calls.make("nth")
        other = calls.make("hold_on", timeout=0.5, path=str(journal), how="forked")
        pool.submit([call, behind])
        pool.submit([other])
        await eventually(lambda: len(lines(journal)) == 3)
        await asyncio.wait_for(pool.stop(60), 10)
        for killed in (await calls.outcome(call), await calls.outcome(other)):
            assert isinstance(killed, Killed)
            assert killed.reason == "timeout"
        assert await calls.outcome(behind) == NotRun("shutdown")
        assert sum(pool.replaced.values()) == 0

    run(body, 2)


@pytest.mark.fault
def test_a_call_that_has_not_begun_does_not_run_out_of_time(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        call = calls.make("pid", timeout=0.1)
        asyncio.get_running_loop().call_later(0.5, os.kill, pid, signal.SIGCONT)
        assert await calls.run(pool, call) == [Completed(b"%d" % pid)]

    run(body, 1)


@pytest.mark.fault
def test_each_call_behind_a_timeout_has_its_own(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = tmp_path / "journal"
        batch = [calls.make("loop", timeout=0.2, path=str(journal)) for _ in range(3)]
        pool.submit([*batch, calls.make("nth")])
        for number, call in enumerate(batch, 1):
            killed = await calls.outcome(call)
            assert isinstance(killed, Killed)
            assert killed.reason == "timeout"
            assert pool.replaced["timeout"] == number
        await eventually(lambda: len(calls.outcomes) == 4)
        assert len(lines(journal)) == 3

    run(body, 1)
