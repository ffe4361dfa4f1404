"""Watching on one node what another runs, and going on at a third."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from nodes import POSTGRES, Cluster, cluster
from servers.postgres import PostgresServer
from streams import Stream, told
from support import Server, eventually

pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]

ACTIONS = """
from taskmill import current_task

@action(inline=True)
def quick() -> str:
    return "ran"

@action(max_attempts=3)
async def gated(gate: str) -> str:
    task = current_task()
    task.log(f"attempt {task.attempt}")
    task.progress(1, 2)
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    task.log("through")
    return "through"
"""


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Cluster]:
    """A node that leads and takes requests, another that takes requests, and the last one: it works."""
    url = postgres.create()
    with cluster(tmp_path_factory.mktemp("nodes"), url, POSTGRES, ACTIONS) as made:
        made.start("--only", "http")
        others = made.begin("--only", "http"), made.begin("--only", "workers")
        for node in others:
            node.wait_ready(60)
        yield made
        print(made.text())  # shown where a test fails
    postgres.drop(url)


def submit(node: Server, action: str, **data: Any) -> str:
    answer = node.request("POST", "/tasks", {"action": action, "data": data})
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        return int(connection.execute("SELECT count(*) FROM happened").fetchall()[0][0])


def are_told(there: Cluster, seconds: float = 0.0) -> bool:
    """Whether a node tells the others of tasks that it runs, one after the other for so long."""
    before, end = rows(there.database), time.monotonic() + seconds
    while True:
        there.nodes[0].ended(submit(there.nodes[0], "quick"), 30)
        if time.monotonic() >= end:
            return rows(there.database) != before


def hear(there: Cluster, stream: Stream) -> None:
    """Wait until the nodes have heard that somebody watches; what happens before is not told."""
    eventually(lambda: are_told(there), 30)
    id_ = submit(there.nodes[0], "quick")
    stream.until("status", id=id_, status="completed")


def test_something_is_told_only_once_somebody_watches(there: Cluster) -> None:
    eventually(lambda: not are_told(there, 1), 60)  # at once, but in a second run of this test
    with Stream(there.nodes[1].url, "/events", timeout=30) as stream:
        hear(there, stream)


def test_a_task_is_watched_on_a_node_that_does_not_run_it(there: Cluster, tmp_path: Path) -> None:
    door, other = there.nodes[:2]
    gate = tmp_path / "gate"
    id_ = submit(door, "gated", gate=str(gate))
    with Stream(door.url, f"/tasks/{id_}/events", timeout=30) as stream:
        first = stream.until("log", message="attempt 1")
        if not told(first, "progress", "done"):
            first += stream.until("progress")
        last = stream.last
    gate.touch()
    with Stream(other.url, f"/tasks/{id_}/events", last, timeout=30) as stream:
        events = stream.rest()
    assert told(events, "log", "message") == ["through"], "it goes on where it was, on another node"
    assert told(events, "progress", "done") == []
    assert told(events, "status", "status")[-1] == "completed"


def test_all_tasks_are_told_whichever_node_has_them(there: Cluster) -> None:
    door, other = there.nodes[:2]
    with Stream(other.url, "/events", timeout=30) as stream:
        hear(there, stream)
        for _ in range(3):
            id_ = submit(door, "quick")
            events = stream.until("status", id=id_, status="completed")
            assert len({event.id for event in events}) == len(events)
        cancelled = str(door.request("POST", "/tasks", {"action": "quick", "delay": 600}).json()["id"])
        stream.until("status", id=cancelled, status="scheduled")
        assert door.request("POST", f"/tasks/{cancelled}/cancel").status == 200
        stream.until("status", id=cancelled, status="cancelled")


def test_a_killed_node_s_task_is_watched_to_its_end(there: Cluster, tmp_path: Path) -> None:
    door, worker = there.nodes[0], there.nodes[-1]
    gate = tmp_path / "gate"
    id_ = submit(door, "gated", gate=str(gate))
    with Stream(door.url, f"/tasks/{id_}/events", timeout=60) as stream:
        stream.until("log", message="attempt 1")
        worker.kill()
        there.start("--only", "workers")
        events = stream.until("log", 60, message="attempt 2")
        gate.touch()
        events += stream.rest()
    assert told(events, "status", "status")[-1] == "completed"
    assert told(events, "log", "message") == ["attempt 2", "through"]
