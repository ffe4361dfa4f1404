"""Clients that ask and do not read, and a disk that does not write: what waits is bounded."""

import sqlite3
import time
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest
from apps import memory
from support import Server, eventually, serving
from wire import Wire, post, task

MIB = 2**20
LIST = b"GET /tasks?limit=1000 HTTP/1.1\r\nHost: x\r\n\r\n"


def flood(server: Server, request: bytes, longest: float = 1.0) -> Wire:
    """Send requests without reading until the server takes no more of them, for a while at most."""
    wire = Wire(server.url, timeout=1, receive_buffer=4096)
    block = request * max(1, 65536 // len(request))
    deadline = time.monotonic() + longest
    while time.monotonic() < deadline and wire.send_until_cut(block):
        pass
    return wire


def connections(server: Server) -> int:
    return sum(
        one.status == psutil.CONN_ESTABLISHED for one in psutil.Process(server.process.pid).net_connections()
    )


@pytest.mark.parametrize(
    ("request_", "growth"),  # bytes; accepted tasks fill the queue and SQLite's cache, up to their limits
    [
        (LIST, 48 * MIB),
        (post(b"bad"), 48 * MIB),
        (post(b"bad", target="/task%73"), 48 * MIB),
        (post(task("x")), 144 * MIB),
    ],
    ids=["lists", "refused submissions", "the long way", "submissions"],
)
def test_F27_a_client_that_pipelines_and_never_reads_costs_little(
    tmp_path: Path, request_: bytes, growth: int
) -> None:
    options = [f"app:gateway:timeouts.{name}=1s" for name in ("request", "keep_alive", "answer")]
    with (
        serving(tmp_path, *(word for option in options for word in ("-o", option))) as server,
        ExitStack() as wires,
    ):
        for _ in range(200):
            server.submit("uppercase", {"text": "x" * 5000})
        flood(server, request_, 0.5).socket.close()
        before = memory(server.process.pid)
        for _ in range(3):
            wires.enter_context(flood(server, request_))
        assert memory(server.process.pid) - before < growth
        assert server.get("/healthz").status == 200
        assert server.ended(server.submit("uppercase", {"text": "after"}))["result"] == {"output": "AFTER"}
        eventually(lambda: connections(server) == 0, 60)  # given up, though they never closed
        assert server.terminate() == 0


def test_a_client_that_reads_late_gets_every_answer_in_order(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Wire(server.url, receive_buffer=4096) as wire:
        for _ in range(50):
            server.submit("uppercase", {"text": "x" * 5000})
        wire.send((b"GET /tasks HTTP/1.1\r\nHost: x\r\n\r\n" + post(b"bad")) * 30)
        assert server.get("/healthz").status == 200
        assert [wire.reply().status for _ in range(60)] == [200, 400] * 30


def test_F26_a_blocked_disk_turns_submissions_away_quickly(tmp_path: Path) -> None:
    with (
        serving(tmp_path, "-o", "app:db:max_pending=5") as server,
        closing(sqlite3.connect(tmp_path / "tasks.db", isolation_level=None)) as other,
        ExitStack() as stack,
    ):
        other.execute("BEGIN IMMEDIATE")
        wires = [stack.enter_context(Wire(server.url)) for _ in range(20)]
        began = time.monotonic()
        for wire in wires:
            wire.send(post(task("pressed")))
        # One batch is with the disk and five wait for it; the others need not.
        eventually(lambda: len(_answered(wires)) >= 10, 3)
        refused = _answered(wires)
        assert time.monotonic() - began < 2
        for wire in refused:
            reply = wire.reply()
            assert reply.status == 503
            assert int(reply.headers["retry-after"]) >= 1
        assert server.get("/healthz").status == 200
        assert server.get("/tasks").status == 200
        other.execute("ROLLBACK")
        waiting = [wire for wire in wires if wire not in refused]
        assert 5 <= len(waiting) <= 10
        assert {wire.reply().status for wire in waiting} == {202}
        assert server.submit("uppercase")
        assert len(server.get("/tasks").json()["tasks"]) == len(waiting) + 1


def _answered(wires: list[Wire]) -> list[Wire]:
    import select

    sockets = {wire.socket: wire for wire in wires}
    return [sockets[one] for one in select.select(list(sockets), [], [], 0)[0]]
