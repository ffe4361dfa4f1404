"""Functions that break their worker's connection: it is noticed by what the system says, not by the time it takes."""

import pytest
from pools import Calls, Run, eventually, lines, ready

from taskmill.process import proc
from taskmill.process.messages import Completed, Killed
from taskmill.process.pool import WorkerPool

pytestmark = pytest.mark.fault

FUNCTIONS = """
import socket

descriptor = int(sys.argv[1])  # the worker's own connection
kept = []

def cut_off(how, then, fork=False):
    if fork and os.fork() == 0:  # this process holds the connection open: its end is not to be seen
        while True:
            time.sleep(60)
    if how == "close all":
        os.closerange(3, 1000)
    elif how == "replace by a file":
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    elif how == "replace by a socket":
        pair = socket.socketpair()
        kept.extend(pair)  # what is sent goes there, and nothing ever comes
        os.dup2(pair[0].fileno(), descriptor)
    elif how == "shut down":
        socket.socket(fileno=os.dup(descriptor)).shutdown(socket.SHUT_RDWR)
    while then == "loop":
        time.sleep(0.01)

def write(data):
    os.write(descriptor, bytes.fromhex(data))
    return "written"

def no_waiting():
    os.set_blocking(descriptor, False)
    return "done"
"""

LOST = "its worker process closed or broke its connection to the program, and was killed"


@pytest.fixture
def calls(calls: Calls) -> Calls:
    calls.add(FUNCTIONS)
    return calls


@pytest.mark.parametrize("how", ["close all", "replace by a file", "replace by a socket", "shut down"])
def test_a_function_that_cuts_itself_off_and_goes_on_is_killed(run: Run, calls: Calls, how: str) -> None:
    async def body(pool: WorkerPool) -> None:
        call = calls.make("cut_off", how=how, then="loop")
        behind = calls.make("upper", text="a")
        killed, after = await calls.run(pool, call, behind)
        assert isinstance(killed, Killed)
        assert (killed.reason, killed.message) == ("crashed", LOST)
        assert after == Completed(b'"A"')
        assert pool.replaced == {**pool.replaced, "crashed": 1}

    run(body, 1, lease=3600)


@pytest.mark.parametrize("how", ["close all", "replace by a file", "replace by a socket", "shut down"])
def test_a_function_that_cuts_itself_off_and_returns_is_answered_for(
    run: Run, calls: Calls, how: str
) -> None:
    async def body(pool: WorkerPool) -> None:
        call = calls.make("cut_off", how=how, then="return")
        behind = calls.make("upper", text="a")
        killed, after = await calls.run(pool, call, behind)
        assert isinstance(killed, Killed)
        assert killed.reason == "crashed"
        assert killed.message == LOST or "ended with exit code 1" in killed.message
        assert after == Completed(b'"A"')

    run(body, 1, lease=3600)


@pytest.mark.skipif(not proc.AVAILABLE, reason="the descriptors of a process are seen in /proc")
@pytest.mark.parametrize("how", ["close all", "replace by a file", "replace by a socket"])
@pytest.mark.parametrize("then", ["loop", "return"])
def test_a_process_that_it_forked_does_not_hide_it(run: Run, calls: Calls, how: str, then: str) -> None:
    async def body(pool: WorkerPool) -> None:
        call = calls.make("cut_off", how=how, then=then, fork=True)
        behind = calls.make("upper", text="a")
        killed, after = await calls.run(pool, call, behind)
        assert isinstance(killed, Killed)
        assert killed.reason == "crashed"
        assert after == Completed(b'"A"')

    run(body, 1, lease=0.4)


def test_a_forked_process_that_closes_its_copy_disturbs_nobody(run: Run, calls: Calls) -> None:
    calls.add(
        """
def fork_and_close(path):
    if os.fork() == 0:
        os.closerange(3, 1000)
        note(path, "closed")
        os._exit(0)
    os.wait()
    return os.getpid()
"""
    )

    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        (pid,) = pool.pids
        journal = calls.directory / "journal"
        batch = [calls.make("fork_and_close", path=str(journal)) for _ in range(3)]
        assert await calls.run(pool, *batch) == [Completed(b"%d" % pid)] * 3
        assert len(lines(journal)) == 3

    run(body, 1, lease=0.04)


def test_a_worker_whose_reader_breaks_between_two_calls_costs_none(run: Run, calls: Calls) -> None:
    async def body(pool: WorkerPool) -> None:
        await ready(pool)
        (pid,) = pool.pids
        assert await calls.run(pool, calls.make("no_waiting")) == [Completed(b'"done"')]
        assert await calls.run(pool, calls.make("upper", text="a")) == [Completed(b'"A"')]
        await eventually(lambda: pool.pids != [pid])

    run(body, 1)


@pytest.mark.parametrize(
    "data",
    [
        "00000001c1",  # a frame that is no answer
        "000000029200",  # one that is cut short
        "0000000392c400" * 3,  # answers of no known kind
    ],
)
def test_what_a_function_writes_to_the_connection_gives_no_call_two_outcomes(
    run: Run, calls: Calls, data: str
) -> None:
    async def body(pool: WorkerPool) -> None:
        before = [calls.make("upper", text="a") for _ in range(3)]
        call = calls.make("write", data=data)
        behind = [calls.make("upper", text="b") for _ in range(3)]
        pool.submit([*before, call, *behind])
        for each in (*before, call, *behind):
            await calls.outcome(each)
        assert len(calls.outcomes) == 7
        assert [await calls.outcome(each) for each in before] == [Completed(b'"A"')] * 3
        assert [await calls.outcome(each) for each in behind] == [Completed(b'"B"')] * 3
        assert pool.replaced["crashed"] == 1

    run(body, 1)
