"""5,000 at once who wait at one process: what each costs, and how soon they are answered."""

import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from apps import application, cpu_seconds, memory
from support import Server, eventually, serving
from wire import Wire, post

MANY = 5_000
EACH = 5_000  # bytes that one who waits may cost beside the connection
ROUNDS = 100
TIME = 60
ACTIONS = """
import gc

@action(inline=True)
def stamp() -> float:
    return time.time()

@action(inline=True)
def waiters() -> int:
    return sum(type(one).__name__ == "Waiter" for one in gc.get_objects())

@action
async def gated(gate: str) -> str:
    while not os.path.exists(gate):
        await asyncio.sleep(0.005)
    return "through"
"""
IDLE = b"GET /tasks/019ab000-0000-7000-8000-000000000000 HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def clients(server: Server, count: int) -> Iterator[list[Wire]]:
    """So many connections, each of which has asked for something before."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server.url, TIME)) for _ in range(count)]
        for wire in wires:
            wire.send(IDLE)
        for wire in wires:
            assert wire.reply().status == 404
        yield wires


def waiting(server: Server) -> int:
    task = server.ended(server.submit("waiters"))
    return int(task["result"]["output"])


def answered_within(server: Server) -> list[float]:
    """Return how many seconds after a task was run its submission was answered, the shortest first."""
    took = []
    with Wire(server.url) as wire:
        for _ in range(ROUNDS):
            answer = wire.send(post(b'{"action": "stamp"}', "Prefer: wait=10")).reply()
            took.append(time.time() - answer.json()["result"]["output"])
    return sorted(took)


def submit_gated(server: Server, gate: Path) -> str:
    body = {"action": "gated", "data": {"gate": str(gate)}}
    return str(server.request("POST", "/tasks", body).json()["id"])


@pytest.mark.parametrize("tasks", [1, MANY])
def test_five_thousand_wait(tmp_path: Path, tasks: int) -> None:
    app = application(tmp_path / "app", ACTIONS)
    (tmp_path / "data").mkdir()
    gate = tmp_path / "gate"
    with serving(tmp_path / "data", str(app)) as server, clients(server, MANY) as wires:
        pid = server.process.pid
        ids = [submit_gated(server, gate)]
        with Wire(server.url) as one:
            body = json.dumps({"action": "stamp", "delay": 600}).encode()
            ids += [one.send(post(body)).reply().json()["id"] for _ in range(tasks - 1)]
        answered_within(server)
        before = memory(pid)
        for number, wire in enumerate(wires):
            path = f"/tasks/{ids[number % tasks]}?wait={TIME}"
            wire.send(f"GET {path} HTTP/1.1\r\nHost: {urlsplit(server.url).netloc}\r\n\r\n".encode())
        eventually(lambda: waiting(server) == MANY, 30)
        each = (memory(pid) - before) / MANY
        took = answered_within(server)
        used = cpu_seconds(pid)
        begun = time.monotonic()
        eventually(lambda: time.monotonic() - begun > 2, 3)
        idle = (cpu_seconds(pid) - used) / 2
        print(
            f"{MANY:,} wait for {tasks:,}: {each:,.0f} bytes each, {idle:.1%} of a core; another is answered "
            f"{took[ROUNDS // 2] * 1000:.1f} ms after its task was run, 99 of 100 within {took[-2] * 1000:.1f} ms"
        )
        assert each < EACH
        assert took[ROUNDS // 2] < 0.05
        assert idle < 0.5
        gate.touch()
        began = time.monotonic()
        for wire in wires if tasks == 1 else wires[:1]:
            assert wire.reply().json()["status"] == "completed"
        print(f"all of them had their answer after {time.monotonic() - began:.2f} s")
        for wire in wires:
            wire.socket.shutdown(socket.SHUT_RDWR)
        eventually(lambda: waiting(server) == 0, 30)
        assert server.terminate() == 0
