"""Two thousand streams at one process: what each costs, and how soon all are told."""

import resource
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from apps import application, cpu_seconds, memory
from streams import Stream
from support import Server, eventually, serving
from wire import Wire

MANY = 2_000
EACH = 16_000  # bytes that a stream may cost, with its connection
ACTIONS = """
import gc
from taskmill import current_task

@action(inline=True)
def watchers() -> int:
    return sum(type(one).__name__ in ("TaskWatcher", "AllWatcher") for one in gc.get_objects())

@action
async def gated(gate: str) -> str:
    current_task().log("begun")
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return "through"
"""
IDLE = b"GET /tasks/019ab000-0000-7000-8000-000000000000 HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def clients(server: Server, count: int) -> Iterator[list[Wire]]:
    """So many connections, each of which has asked for something before."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.url, 60)) for _ in range(count)]
        for wire in wires:
            wire.send(IDLE)
        for wire in wires:
            assert wire.reply().status == 404
        yield wires


def watchers(server: Server) -> int:
    return int(server.ended(server.submit("watchers"))["result"]["output"])


@pytest.mark.long
def test_two_thousand_streams(tmp_path: Path) -> None:
    """Each of a task of its own; a thousand of all tasks are among the faults (F27)."""
    app = application(tmp_path / "app", ACTIONS)
    (tmp_path / "data").mkdir()
    gate = tmp_path / "gate"
    with serving(tmp_path / "data", str(app)) as server, ExitStack() as stack:
        pid = server.process.pid
        watchers(server)
        before = memory(pid)
        wires = stack.enter_context(clients(server, MANY))
        id_ = server.submit("gated", {"gate": str(gate)})
        line = b'{"action":"gated","data":{"gate":""},"delay":600}\n'
        headers = {"Content-Type": "application/x-ndjson"}
        answer = server.request("POST", "/tasks/bulk", line * (MANY - 1), headers)
        ids = [one.split(b'"')[3].decode() for one in answer.body.splitlines()]
        paths = [f"/tasks/{one}/events" for one in (id_, *ids)]
        for wire, path in zip(wires, paths, strict=True):
            wire.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        for wire in wires:
            assert b" 200 OK" in wire.until(b"\r\n\r\n")
        assert watchers(server) == MANY
        each = (memory(pid) - before) / MANY
        used, began = cpu_seconds(pid), time.monotonic()
        eventually(lambda: time.monotonic() - began > 1.5, 4)
        idle = (cpu_seconds(pid) - used) / (time.monotonic() - began)
        began = time.monotonic()
        gate.touch()
        wires[0].until(b'"status":"completed"')
        took = time.monotonic() - began
        cost = f"{each:,.0f} bytes each with its connection, {idle:.1%} of a core"
        print(f"{MANY:,} streams: {cost}; told after {took:.2f} s")
        assert each < EACH
        assert idle < 0.5
        for wire in wires:
            wire.socket.close()
        eventually(lambda: watchers(server) == 0, 30)
        with Stream(server.url, f"/tasks/{id_}/events") as stream:
            assert stream.rest()[-1].data["status"] == "completed"
