"""F27 through the door of events: a thousand readers that never read, and no file that grows behind them."""

import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest
from apps import application, memory
from streams import Stream
from support import Server, eventually, serving
from wire import Wire

pytestmark = [pytest.mark.fault, pytest.mark.long, pytest.mark.timeout(180)]

MIB = 2**20
DEAF = 1_000
ACTIONS = """
import gc
from taskmill import current_task

@action(inline=True)
def chatters(lines: int) -> None:
    for number in range(lines):
        current_task().log(f"{number} " + "x" * 60)

@action(inline=True)
def watchers() -> int:
    return sum(type(one).__name__ in ("TaskWatcher", "AllWatcher") for one in gc.get_objects())

@action
async def gated(gate: str) -> None:
    for number in range(900):
        current_task().log(f"{number} " + "x" * 60)
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)

@action(inline=True)
def quick() -> str:
    return "ran"
"""


@contextmanager
def running(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "data").mkdir()
    options = ("-o", "app:gateway:timeouts.answer=2s")
    with serving(tmp_path / "data", *options, str(application(tmp_path / "app", ACTIONS))) as server:
        yield server


@contextmanager
def deaf(server: Server, path: str) -> Iterator[list[Wire]]:
    """So many connections that ask for a stream, and read nothing of it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.url, 60, receive_buffer=4_096)) for _ in range(DEAF)]
        for wire in wires:
            wire.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield wires


def watchers(server: Server) -> int:
    return int(server.ended(server.submit("watchers"), 30)["result"]["output"])


def connections(server: Server) -> int:
    return len(psutil.Process(server.process.pid).net_connections())


def still_works(server: Server) -> None:
    began = time.monotonic()
    with Stream(server.url, "/events?action=quick", timeout=30) as stream:
        id_ = server.submit("quick")
        stream.until("status", id=id_, status="completed")
    print(f"submitted and watched within {time.monotonic() - began:.2f} s")


def test_F27_a_thousand_who_never_read_are_cut_off_and_cost_little(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        watchers(server)
        before = memory(server.process.pid)
        with deaf(server, "/events"):
            eventually(lambda: watchers(server) == DEAF, 60)
            most = 0

            def are_cut_off() -> bool:
                nonlocal most
                server.ended(server.submit("chatters", {"lines": 800}), 30)
                most = max(most, memory(server.process.pid) - before)
                return watchers(server) == 0

            eventually(are_cut_off, 60)
            still_works(server)
            eventually(lambda: connections(server) < DEAF / 10, 30)
        wal = (tmp_path / "data" / "tasks.db-wal").stat().st_size
        print(f"{most / MIB:.0f} MiB at most, WAL {wal / MIB:.1f} MiB")
        assert most < 64 * MIB
        assert wal < 32 * MIB
        assert server.terminate() == 0


def test_F27_a_thousand_who_never_read_one_task_s_log_are_given_up_with_its_end(tmp_path: Path) -> None:
    """What waits for each is less than what cuts one off, and the same for all."""
    gate = tmp_path / "gate"
    with running(tmp_path) as server:
        id_ = server.submit("gated", {"gate": str(gate)})
        eventually(lambda: len(server.get(f"/tasks/{id_}/log").json()["lines"]) > 800, 30)
        watchers(server)
        before = memory(server.process.pid)
        with deaf(server, f"/tasks/{id_}/events"):
            eventually(lambda: watchers(server) == DEAF, 60)
            still_works(server)
            most = memory(server.process.pid) - before
            gate.touch()
            assert server.ended(id_, 30)["status"] == "completed"
            eventually(lambda: watchers(server) == 0, 60)
            eventually(lambda: connections(server) < DEAF / 10, 30)
        print(f"{most / MIB:.0f} MiB")
        assert most < 64 * MIB
        assert server.terminate() == 0
