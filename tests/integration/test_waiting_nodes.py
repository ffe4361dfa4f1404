"""Waiting on one node for tasks that another runs, cancels, or ends without a word."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import psycopg
import pytest
from nodes import POSTGRES, Cluster, cluster
from support import Server, eventually
from wire import Wire, post

ACTIONS = """
@action(inline=True)
def stamp() -> float:
    return time.time()

@action(max_attempts=3)
async def gated(gate: str) -> str:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return "through"
"""
ROUNDS = 20
AT_LEAST_POLLED = 5.0  # seconds in which the rows are looked at for sure


@pytest.fixture
def there(tmp_path: Path, postgres_url: str) -> Iterator[Cluster]:
    with cluster(tmp_path, postgres_url, POSTGRES, ACTIONS) as made:
        yield made
        print(made.text())  # shown where the test fails


def submit(action: str, data: object = None, **options: Any) -> bytes:
    body = {"action": action, "data": data or {}, **options}
    return post(json.dumps(body).encode(), "Prefer: wait=60")


def look(id_: str) -> bytes:
    return f"GET /tasks/{id_}?wait=60 HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def later(node: Server) -> str:
    answer = node.request("POST", "/tasks", {"action": "stamp", "delay": 600})
    assert answer.status == 202
    return str(answer.json()["id"])


def test_the_end_on_another_node_is_told(there: Cluster) -> None:
    door, worker = there.start("--only", "http"), there.start("--only", "workers")
    took = []
    with Wire(door.url, 60) as wire:
        for _ in range(ROUNDS):
            answer = wire.send(submit("stamp")).reply()
            assert answer.status == 200
            took.append(time.time() - answer.json()["result"]["output"])
    print(f"answered {median(took) * 1000:.1f} ms after it was run, {max(took) * 1000:.1f} ms at most")
    assert median(took) < 0.5, "no signal tells of it: a look a second takes longer, mostly"
    assert worker.terminate() == 0


def test_a_cancel_on_another_node_is_an_end(there: Cluster) -> None:
    one, other = there.start(), there.start()
    id_ = later(one)
    with Wire(one.url, 30) as wire:
        wire.send(look(id_))
        assert other.request("POST", f"/tasks/{id_}/cancel").status == 200
        began = time.monotonic()
        assert wire.reply().json()["status"] == "cancelled"
        assert time.monotonic() - began < AT_LEAST_POLLED


def test_an_end_that_nobody_tells_of_is_found(there: Cluster, postgres_url: str) -> None:
    node = there.start()
    id_ = later(node)
    with Wire(node.url, 30) as wire, psycopg.connect(postgres_url, autocommit=True) as connection:
        wire.send(look(id_))
        wire.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            wire.reply()
        wire.socket.settimeout(30)
        now = int(time.time() * 1000)
        changed = connection.execute(
            "UPDATE task SET status = 3, finished_at = %s, result = %s WHERE id = %s",
            (now, '{"output": 1}', UUID(id_).bytes),
        )
        assert changed.rowcount == 1
        began = time.monotonic()
        assert wire.reply().json()["result"] == {"output": 1}
        assert time.monotonic() - began < AT_LEAST_POLLED


@pytest.mark.long
@pytest.mark.fault
def test_a_node_that_is_killed_meanwhile_is_no_end(there: Cluster, tmp_path: Path) -> None:
    door, worker = there.start("--only", "http"), there.start("--only", "workers")
    gate = tmp_path / "gate"
    with Wire(door.url, 70) as wire:
        wire.send(submit("gated", {"gate": str(gate)}))

        def running() -> bool:
            tasks = door.get("/tasks?status=running").json()["tasks"]
            return len(tasks) == 1

        eventually(running, 30)
        worker.kill()
        gate.touch()
        second = there.start("--only", "workers")
        task = wire.reply().json()
        assert (task["status"], task["attempt"]) == ("completed", 2)
        assert second.terminate() == 0
