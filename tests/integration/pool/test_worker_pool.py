"""The pool with real worker processes: what they run, how they die, and what that costs the others."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from typing import Any

import pytest
from msgspec import json
from pools import Calls, Run, alive, eventually, lines, ready

from taskmill.process.child import Call
from taskmill.process.messages import Completed, Failed, Killed, NotRun, Outcome
from taskmill.process.pool import WorkerPool


def test_results_come_back_and_prints_go_to_standard_error(run: Run, calls: Calls, capfd: Any) -> None:
    async def body(pool: WorkerPool) -> None:
        outcomes = await calls.run(
            pool, calls.make("upper", text="grüße 🎉"), calls.make("shout", text="héllo")
        )
        assert outcomes == [Completed('"GRÜSSE 🎉"'.encode()), Completed(b"null")]

    run(body)
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "héllo\nhéllo\nraw\n"


def test_five_megabytes_go_both_ways(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        text = "ab" * 2_500_000
        first, second = await calls.run(pool, *(calls.make("upper", text=text) for _ in range(2)))
        assert first == second == Completed(json.encode(text.upper()))

    run(body)


def test_a_thousand_calls_keep_their_order_in_one_worker(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        batch = [calls.make("nth", timeout=20) for _ in range(1000)]
        outcomes = await calls.run(pool, *batch)
        assert [json.decode(outcome.result) for outcome in outcomes] == list(range(1, 1001))  # type: ignore[union-attr]
        assert [call for call, _ in calls.outcomes] == batch

    run(body)


def test_batches_go_to_the_least_loaded_worker(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        gate = tmp_path / "gate"
        pool.submit([calls.make("wait_for", path=str(gate)) for _ in range(3)])
        assert (pool.idle, pool.outstanding) == (1, 3)
        assert await calls.run(pool, calls.make("upper", text="a")) == [Completed(b'"A"')]
        gate.touch()
        await ready(pool)
        assert pool.outstanding == 0

    run(body)


@pytest.mark.parametrize(
    ("how", "type_", "message"),
    [
        ("plain", "ValueError", "no good"),
        ("exit", "SystemExit", "7"),
        ("surrogate", "ValueError", "\\ud800"),
        ("unprintable", "Unprintable", "<Unprintable that cannot be shown as text>"),
        ("recursion", "RecursionError", "maximum recursion depth exceeded"),
        ("result", "TypeError", "Encoding objects of type object is unsupported"),
    ],
)
def test_what_a_function_raises_is_its_outcome(
    run: Run, calls: Calls, how: str, type_: str, message: str
) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        pids = pool.pids
        failed, after = await calls.run(pool, calls.make("fail", how=how), calls.make("upper", text="a"))
        assert isinstance(failed, Failed)
        assert failed.type == type_
        assert failed.message.startswith(message)
        assert how == "result" or "functions.py" in failed.traceback
        assert after == Completed(b'"A"')
        assert pool.pids == pids

    run(body)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("import os\n\nnonsense\n", 3, "NameError: name 'nonsense' is not defined"),
        ("def f(:\n    pass\n", 1, "SyntaxError: invalid syntax"),
        ("import no_such_module_at_all\n", 1, "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("x = 1\nraise SystemExit(3)\n", 2, "SystemExit: 3"),
    ],
)
def test_an_import_error_names_file_and_line(run: Run, calls: Calls, text: str, line: int, what: str) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        pids = pool.pids
        source = calls.directory / "broken.py"
        source.write_text(text)
        pool.preload([calls.ref("f", "file://broken.py")])
        (failed,) = await calls.run(pool, calls.make("f", source="file://broken.py"))
        assert isinstance(failed, Failed)
        expected = f"source `file://broken.py` cannot be imported: {source}:{line}: {what}"
        assert (failed.type, failed.message) == ("SourceError", expected)
        assert pool.pids == pids

    run(body)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("method", "data", "end"),
    [
        ("leave", {"code": 3}, "exit code 3"),
        ("segfault", {}, "SIGSEGV"),
        ("signal_itself", {"number": 40}, "signal 40"),
    ],
)
def test_a_crash_costs_the_running_call_only(
    run: Run, calls: Calls, method: str, data: Any, end: str
) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        journal = calls.directory / "journal"
        before = [calls.make("note", path=str(journal), word=f"before{n}") for n in range(3)]
        crash = calls.make(method, **data)
        behind = [calls.make("note", path=str(journal), word=f"behind{n}") for n in range(3)]
        pool.submit([*before, crash, *behind])
        for call in before + behind:
            assert isinstance(await calls.outcome(call), Completed)
        killed = await calls.outcome(crash)
        assert isinstance(killed, Killed)
        assert killed.reason == "crashed"
        assert end in {f"exit code {killed.exit_code}", killed.signal}
        assert end in killed.message
        words = [f"{when}{n}" for when in ("before", "behind") for n in range(3)]
        assert sorted(lines(journal)) == sorted(words)  # each was run once
        await ready(pool)

    run(body)


@pytest.mark.fault
def test_kill_from_outside_is_told_with_its_signal(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = tmp_path / "journal"
        call = calls.make("loop", path=str(journal))
        behind = calls.make("upper", text="a")
        pool.submit([call, behind])
        await eventually(lambda: lines(journal))
        os.kill(int(lines(journal)[0]), signal.SIGKILL)
        killed = await calls.outcome(call)
        assert isinstance(killed, Killed)
        assert (killed.reason, killed.signal, killed.exit_code) == ("crashed", "SIGKILL", None)
        assert await calls.outcome(behind) == Completed(b'"A"')

    run(body, 1)


@pytest.mark.fault
def test_a_call_sent_to_a_worker_already_dead_is_not_blamed(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        (pid,) = pool.pids
        os.kill(pid, signal.SIGKILL)
        # Now it is dead, and the loop has not seen it yet.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222
        assert await calls.run(pool, calls.make("upper", text="a")) == [Completed(b'"A"')]
        assert pool.pids != [pid]

    run(body, 1)


@pytest.mark.fault
def test_a_forked_grandchild_hides_no_death_and_is_killed(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = tmp_path / "journal"
        (killed,) = await calls.run(pool, calls.make("fork_and_leave", path=str(journal)))
        assert isinstance(killed, Killed)
        assert killed.exit_code == 4
        await eventually(lambda: not alive(int(lines(journal)[0])))

    run(body)


def test_peak_memory_is_told(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        (killed,) = await calls.run(pool, calls.make("allocate", megabytes=400))
        assert isinstance(killed, Killed)
        own = getrusage(RUSAGE_SELF).ru_maxrss * 1024  # which a child has, too, until it is another program
        assert 400 << 20 < killed.peak_memory < max(600 << 20, own + 1)
        assert f"peak memory at most {killed.peak_memory >> 20} MiB" in killed.message

    run(body)


@pytest.mark.fault
def test_an_endless_loop_is_killed_at_its_timeout(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        call = calls.make("loop", timeout=0.2, path=str(tmp_path / "journal"))
        behind = calls.make("upper", text="a")
        begun = time.monotonic()
        killed, after = await calls.run(pool, call, behind)
        assert isinstance(killed, Killed)
        assert (killed.reason, killed.message) == ("timeout", "it ran longer than its timeout and was killed")
        assert after == Completed(b'"A"')
        assert 0.19 < time.monotonic() - begun < 1.2  # its place is taken within a second

    run(body, 1)


def test_a_timeout_counts_from_when_a_call_runs(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        gate = tmp_path / "gate"
        waits = calls.make("wait_for", path=str(gate))
        quick = [calls.make("upper", timeout=0.1, text="a") for _ in range(3)]
        pool.submit([waits, *quick])
        asyncio.get_running_loop().call_later(0.3, gate.touch)
        assert [await calls.outcome(call) for call in quick] == [Completed(b'"A"')] * 3

    run(body, 1)


def test_a_late_loop_times_out_no_call_that_has_answered(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        batch = [calls.make("upper", timeout=0.05, text="a") for _ in range(3)]
        pool.submit(batch)
        time.sleep(0.2)  # noqa: ASYNC251 - the blocked loop is what is tested
        assert [await calls.outcome(call) for call in batch] == [Completed(b'"A"')] * 3

    run(body, 1)


@pytest.mark.fault
def test_cancel_kills_what_runs_and_spares_what_is_behind(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = tmp_path / "journal"
        running = calls.make("loop", path=str(journal))
        doomed = calls.make("note", path=str(journal), word="doomed")
        behind = calls.make("upper", text="a")
        pool.submit([running, doomed, behind])
        await eventually(lambda: lines(journal))
        assert pool.cancel(doomed)
        assert pool.cancel(running)
        killed = await calls.outcome(running)
        assert isinstance(killed, Killed)
        assert killed.reason == "cancelled"
        assert await calls.outcome(doomed) == NotRun("cancelled")
        assert await calls.outcome(behind) == Completed(b'"A"')
        assert not pool.cancel(behind)
        assert len(lines(journal)) == 1

    run(body, 1)


def test_a_call_cancelled_before_there_are_workers_is_not_run(run: Run, calls: Calls) -> None:
    async def body(_: WorkerPool) -> None:
        pool = WorkerPool(1)
        call = calls.make("upper", text="a")
        pool.submit([call])
        assert pool.outstanding == 1
        assert pool.cancel(call)
        assert not pool.cancel(call)
        assert await calls.outcome(call) == NotRun("cancelled")
        await pool.stop()  # never started

    run(body)


def test_stop_finishes_what_there_is(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        gate = tmp_path / "gate"
        batch = [calls.make("wait_for", path=str(gate)), calls.make("upper", text="a" * 5_000_000)]
        pool.submit(batch)
        asyncio.get_running_loop().call_later(0.05, gate.touch)
        await pool.stop(10)
        assert [type(outcome) for _, outcome in calls.outcomes] == [Completed, Completed]
        assert pool.pids == []
        late = calls.make("upper", text="a")
        assert await calls.run(pool, late) == [NotRun("shutdown")]

    run(body)


@pytest.mark.fault
def test_stop_kills_what_does_not_end_in_time(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = tmp_path / "journal"
        running = calls.make("loop", path=str(journal))
        behind = calls.make("upper", text="a")
        pool.submit([running, behind])
        await eventually(lambda: lines(journal))
        await pool.stop(0.1)
        killed = await calls.outcome(running)
        assert isinstance(killed, Killed)
        assert killed.reason == "shutdown"
        assert await calls.outcome(behind) == NotRun("shutdown")
        await pool.stop(0.1)

    run(body)


def test_stop_before_the_first_worker(run: Run, calls: Calls) -> None:
    async def body(_: WorkerPool) -> None:
        pool = WorkerPool(1)
        pool.start()
        call = calls.make("upper", text="a")
        pool.submit([call])
        await pool.stop()
        assert await calls.outcome(call) == NotRun("shutdown")
        assert pool.pids == []

    run(body)


@pytest.mark.fault
def test_workers_that_die_while_they_start(run: Run, calls: Calls, caplog: Any) -> None:
    async def body(pool: WorkerPool) -> None:
        source = calls.directory / "poison.py"
        source.write_text("import os\nos._exit(9)\n")
        pool.preload([calls.ref("f", "file://poison.py")])
        failed, _ = await calls.run(pool, calls.make("upper", text="a"), calls.make("upper", text="b"))
        assert isinstance(failed, Failed)
        assert failed.type == "WorkerStartError"
        assert failed.message.startswith(
            "worker processes die while they start: its worker process ended with exit code 9"
        )
        assert 3 <= len(caplog.records) <= 6  # no hot loop
        source.write_text("def f(): return 1\n")
        await ready(pool)
        assert await calls.run(pool, calls.make("upper", text="a")) == [Completed(b'"A"')]

    run(body)


def test_no_workers_at_all(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        message = "the process host has `workers: 0`"
        assert await calls.run(pool, calls.make("upper", text="a")) == [
            Failed("WorkerStartError", message, "")
        ]

    run(body, 0)


@pytest.mark.fault
def test_callbacks_that_raise_or_submit_disturb_nobody(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        problems: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: problems.append(context["exception"])
        )
        await ready(pool)
        more = [calls.make("upper", text=f"{n}") for n in range(10)]

        def submit_more(_: Outcome) -> None:
            pool.submit([more.pop()])
            raise KeyError("a mistake")

        chain = list(more)
        batch = [Call(calls.ref("upper"), b'{"text": "x"}', submit_more) for _ in range(9)]
        pool.submit([*batch, Call(calls.ref("leave"), b'{"code": 1}', submit_more)])
        assert [await calls.outcome(call) for call in chain] == [Completed(b'"%d"' % n) for n in range(10)]
        assert [type(problem) for problem in problems] == [KeyError] * 10

    run(body, 1)


@pytest.mark.fault
def test_ctrl_c_does_not_reach_a_worker(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        (pid,) = pool.pids
        assert os.getpgid(pid) == pid
        os.kill(pid, signal.SIGINT)
        assert await calls.run(pool, calls.make("upper", text="a")) == [Completed(b'"A"')]
        assert pool.pids == [pid]

    run(body, 1)


PARENT = """
import asyncio, sys
from taskmill.process.child import Call
from taskmill.process.messages import FunctionRef
from taskmill.process.pool import WorkerPool

async def main():
    pool = WorkerPool(3)
    pool.start()
    for _ in range(2):
        await asyncio.sleep(0)
    payload = b'{"path": "%s"}' % sys.argv[2].encode()
    for _ in range(2):
        pool.submit([Call(FunctionRef("file://functions.py", "loop", sys.argv[1]), payload, print)])
    print(*pool.pids, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.fault
def test_kill_of_the_parent_leaves_no_process(calls: Calls, tmp_path: Path) -> None:
    async def body() -> None:
        journal = tmp_path / "journal"
        command = [sys.executable, "-c", PARENT, str(tmp_path), str(journal)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:  # noqa: ASYNC220
            assert parent.stdout is not None
            pids = [int(pid) for pid in parent.stdout.readline().split()]
            await eventually(lambda: len(lines(journal)) == 2)
            assert len(pids) == 3
            assert all(map(alive, pids))
            parent.kill()
        await eventually(lambda: not any(map(alive, pids)), 5)

    asyncio.run(body())
