"""Cancelling a call: it is asked first, killed after its grace, and never run if it had not begun."""

import asyncio
import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest
import support
from msgspec import json
from pools import Calls, Run, alive, eventually, has_lines, lines, ready

from taskmill.process.child import Call
from taskmill.process.messages import Completed, Failed, Killed, NotRun, Outcome
from taskmill.process.page import SLOTS
from taskmill.process.pool import WorkerPool
from taskmill.process.worker import cancelled

FUNCTIONS = """
from taskmill.process.worker import cancelled

def until_cancelled(path, answer="stopped"):
    note(path, "begun")
    while not cancelled():
        time.sleep(0.001)
    if answer == "raise":
        raise InterruptedError("asked to stop")
    return answer

def ask():
    return cancelled()

def ask_after(path):
    wait_for(path)
    return cancelled()

def ask_noted(path, gate):
    note(path, "asked")
    return ask_after(gate)

def microseconds_an_ask():
    best = 1.0
    for _ in range(20):
        begun = time.perf_counter()
        for _ in range(1000):
            cancelled()
        best = min(best, (time.perf_counter() - begun) / 1000)
    return best * 1e6
"""


@pytest.fixture
def calls(calls: Calls) -> Calls:
    calls.add(FUNCTIONS)
    return calls


def blocked_until(journal: Path, count: int) -> None:
    """Wait without a turn of the loop, so that it cannot see what comes."""
    support.eventually(partial(has_lines, journal, count))


def test_a_call_that_stops_within_its_grace_gives_its_own_answer(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        pids, journal = pool.pids, calls.directory / "journal"
        for answer in ("stopped", "raise"):
            call = calls.make("until_cancelled", path=str(journal), answer=answer)
            begun = len(lines(journal))
            pool.submit([call])
            await eventually(partial(has_lines, journal, begun + 1))
            assert pool.cancel(call, grace=20)
            outcome = await calls.outcome(call)
            if answer == "raise":
                assert isinstance(outcome, Failed)
                assert (outcome.type, outcome.message) == ("InterruptedError", "asked to stop")
            else:
                assert outcome == Completed(b'"stopped"')
            assert not pool.cancel(call, grace=20)
        assert await calls.run(pool, calls.make("ask")) == [Completed(b"false")]
        assert pool.pids == pids
        assert sum(pool.replaced.values()) == 0

    run(body, 1)


@pytest.mark.fault
def test_a_call_that_does_not_stop_is_killed_after_its_grace(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = calls.directory / "journal"
        call = calls.make("loop", path=str(journal))
        behind = calls.make("ask")
        pool.submit([call, behind])
        await eventually(lambda: lines(journal))
        asked = time.monotonic()
        assert pool.cancel(call, grace=0.3)
        killed = await calls.outcome(call)
        assert time.monotonic() - asked >= 0.3
        assert isinstance(killed, Killed)
        assert (killed.reason, killed.message) == ("cancelled", "it was cancelled while it ran, and killed")
        assert await calls.outcome(behind) == Completed(b"false")
        assert pool.replaced == {**pool.replaced, "cancelled": 1, "crashed": 0}

    run(body, 1)


@pytest.mark.fault
def test_a_second_cancel_can_shorten_the_grace(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = calls.directory / "journal"
        for number, grace in enumerate((0.0, 0.05), 1):
            call = calls.make("loop", path=str(journal))
            pool.submit([call])
            await eventually(partial(has_lines, journal, number))
            assert pool.cancel(call, grace=3600)
            assert pool.cancel(call, grace)
            killed = await calls.outcome(call)
            assert isinstance(killed, Killed)
            assert killed.reason == "cancelled"

    run(body, 1)


@pytest.mark.fault
def test_a_timeout_within_the_grace_is_a_timeout(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = calls.directory / "journal"
        call = calls.make("loop", timeout=0.3, path=str(journal))
        pool.submit([call])
        await eventually(lambda: lines(journal))
        assert pool.cancel(call, grace=3600)
        killed = await calls.outcome(call)
        assert isinstance(killed, Killed)
        assert killed.reason == "timeout"

    run(body, 1)


@pytest.mark.parametrize("grace", [0.0, 5.0])
def test_a_call_cancelled_behind_another_is_skipped(run: Run, calls: Calls, grace: float) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        pids, journal, gate = pool.pids, calls.directory / "journal", calls.directory / "gate"
        first = calls.make("ask_after", path=str(gate))
        doomed = [calls.make("note", path=str(journal), word="doomed") for _ in range(2)]
        last = calls.make("pid")
        pool.submit([first, doomed[0], last, doomed[1]])
        for call in doomed:
            assert pool.cancel(call, grace)
        gate.touch()
        assert await calls.outcome(first) == Completed(b"false")  # what is asked of others is not asked of it
        assert [await calls.outcome(call) for call in doomed] == [NotRun("cancelled")] * 2
        assert await calls.outcome(last) == Completed(b"%d" % pids[0])
        assert [call for call, _ in calls.outcomes] == [first, doomed[0], last, doomed[1]]
        assert lines(journal) == []
        assert pool.pids == pids

    run(body, 1)


@pytest.mark.fault
def test_a_call_that_was_sent_but_has_not_begun_is_skipped(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        (pid,) = pool.pids
        os.kill(pid, signal.SIGSTOP)
        doomed = calls.make("note", path=str(calls.directory / "journal"), word="doomed")
        pool.submit([doomed])
        assert pool.cancel(doomed)
        # Long enough for a second look to find it not begun, and to spare the worker.
        asyncio.get_running_loop().call_later(0.3, os.kill, pid, signal.SIGCONT)
        assert await calls.outcome(doomed) == NotRun("cancelled")
        assert lines(calls.directory / "journal") == []
        assert await calls.run(pool, calls.make("pid")) == [Completed(b"%d" % pid)]

    run(body, 1)


@pytest.mark.fault
def test_a_call_skipped_by_a_worker_that_dies_is_not_run_elsewhere(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = calls.directory / "journal"
        first = calls.make("loop", path=str(journal))
        doomed = calls.make("note", path=str(journal), word="doomed")
        pool.submit([first, doomed])
        await eventually(lambda: lines(journal))
        assert pool.cancel(doomed, grace=3600)
        os.kill(int(lines(journal)[0]), signal.SIGKILL)
        assert await calls.outcome(doomed) == NotRun("cancelled")
        assert "doomed" not in lines(journal)

    run(body, 1)


def test_calls_further_behind_than_there_are_marks_are_skipped(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        journal, gate = calls.directory / "journal", calls.directory / "gate"
        gone = 0

        def done(outcome: Outcome) -> None:
            nonlocal gone
            gone += isinstance(outcome, Completed)

        first = calls.make("wait_for", path=str(gate))
        between = [Call(calls.ref("nth"), b"{}", done) for _ in range(SLOTS - 1)]
        doomed = [calls.make("note", path=str(journal), word=f"doomed{n}") for n in range(3)]
        pool.submit([first, doomed[0], *between, *doomed[1:]])
        for call in doomed:  # the second has the same slot as the first call, the third as the first doomed
            assert pool.cancel(call)
        gate.touch()
        assert [await calls.outcome(call) for call in doomed] == [NotRun("cancelled")] * 3
        assert gone == len(between)
        assert lines(journal) == []

    run(body, 1)


def test_a_process_that_is_no_worker_is_never_asked() -> None:
    assert cancelled() is False


def test_asking_is_cheap(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        (outcome,) = await calls.run(pool, calls.make("microseconds_an_ask"))
        assert isinstance(outcome, Completed)
        assert json.decode(outcome.result, type=float) < 5

    run(body, 1)


@pytest.mark.fault
@pytest.mark.parametrize("options", [{}, {"max_tasks": 10}], ids=["lasting", "recycled"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_cancelled_when_each_call_has_one_outcome_that_is_true(
    run: Run, calls: Calls, seed: int, options: dict[str, int]
) -> None:
    """Cancels at random moments, most of them while the calls before theirs are ending."""

    async def body(pool: WorkerPool) -> None:
        chance = random.Random(seed)
        journal = calls.directory / "journal"
        outcomes: dict[str, list[Outcome]] = {}

        def done(word: str, outcome: Outcome) -> None:
            outcomes[word].append(outcome)

        made: list[Call] = []
        for number in range(600):
            word = f"call{number}"
            outcomes[word] = []
            payload = json.encode({"path": str(journal), "word": word})
            made.append(Call(calls.ref("note"), payload, partial(done, word)))
            pool.submit(made[-1:])
            if chance.random() < 0.3:
                pool.cancel(chance.choice(made[-20:]), chance.choice([0.0, 0.0, 0.05, 10.0]))
            if chance.random() < 0.1:
                await asyncio.sleep(0)
            if number % 50 == 49:
                await eventually(lambda: pool.outstanding < 20)
        await eventually(lambda: pool.outstanding == 0 and all(outcomes.values()))
        assert {len(got) for got in outcomes.values()} == {1}
        ran = lines(journal)
        for word, (outcome,) in outcomes.items():
            if isinstance(outcome, NotRun):
                assert word not in ran
            elif isinstance(outcome, Completed):
                assert word in ran
            else:
                assert isinstance(outcome, Killed)
                assert outcome.reason == "cancelled"
        assert (
            len(set(ran)) >= len(ran) - pool.replaced["cancelled"]
        )  # only a killed worker's next runs twice

    run(body, 2, **options)


@pytest.mark.fault
def test_a_grace_goes_on_while_the_pool_stops(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = tmp_path / "journal"
        call = calls.make("until_cancelled", path=str(journal))
        stubborn = calls.make("loop", path=str(journal))
        pool.submit([call])
        pool.submit([stubborn])
        await eventually(lambda: len(lines(journal)) == 2)
        pool.cancel(call, grace=20)
        pool.cancel(stubborn, grace=0.1)
        pids = pool.pids
        await asyncio.wait_for(pool.stop(20), 10)
        assert await calls.outcome(call) == Completed(b'"stopped"')
        killed = await calls.outcome(stubborn)
        assert isinstance(killed, Killed)
        assert killed.reason == "cancelled"
        assert not any(map(alive, pids))

    run(body, 2)


@pytest.mark.fault
def test_the_first_reason_to_kill_is_the_one_told(run: Run, calls: Calls, tmp_path: Path) -> None:
    async def body(pool: WorkerPool) -> None:
        journal = tmp_path / "journal"
        call = calls.make("loop", path=str(journal))
        pool.submit([call])
        await eventually(lambda: lines(journal))
        pool.cancel(call)
        await pool.stop(0)
        killed = await calls.outcome(call)
        assert isinstance(killed, Killed)
        assert killed.reason == "cancelled"

    run(body, 1)


@pytest.mark.fault
def test_a_call_whose_answer_is_there_costs_the_next_one_nothing(
    run: Run, calls: Calls, tmp_path: Path
) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        pids, journal, gate = pool.pids, tmp_path / "journal", tmp_path / "gate"
        first = calls.make("note", path=str(journal), word="first")
        second = calls.make("ask_noted", path=str(journal), gate=str(gate))
        pool.submit([first, second])
        blocked_until(journal, 2)
        assert pool.cancel(first)  # it has ended, and the loop has not seen it yet
        gate.touch()
        assert await calls.outcome(first) == Completed(b'"first"')
        assert await calls.outcome(second) == Completed(b"false")
        assert pool.pids == pids

    run(body, 1)


@pytest.mark.fault
def test_a_cancelled_call_that_died_with_its_worker_is_not_said_to_be_unrun(
    run: Run, calls: Calls, tmp_path: Path
) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        journal = tmp_path / "journal"
        first = calls.make("note", path=str(journal), word="first")
        second = calls.make("loop", path=str(journal))
        pool.submit([first, second])
        blocked_until(journal, 2)
        assert pool.cancel(second, grace=3600)
        pool._crew.active[0].kill("timeout")  # of the first, as seen from here
        assert await calls.outcome(first) == Completed(b'"first"')
        killed = await calls.outcome(second)
        assert isinstance(killed, Killed)
        assert killed.reason == "cancelled"

    run(body, 1)
