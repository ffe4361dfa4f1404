"""A batch that the server's end breaks off: all of it is run again, and an item that is to blame is found."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from apps import application
from nodes import Cluster, cluster, nats
from servers.nats import NatsServer
from support import Server, eventually, serving

ACTIONS = """
import signal

def note(log: str, items: list[Any]) -> None:
    file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{os.getpid()} {len(items)}\\n".encode())
    os.close(file)

@action(batch=10, batch_wait="100ms", max_attempts=5)
async def gated(items: list[dict[str, Any]]) -> list[int]:
    note(items[0]["log"], items)
    while not os.path.exists(items[0]["log"] + ".go"):
        await asyncio.sleep(0.01)
    return [item["n"] for item in items]

@action(batch=10, batch_wait="100ms", max_attempts=5)
def gated_isolated(items: list[dict[str, Any]]) -> list[int]:
    note(items[0]["log"], items)
    while not os.path.exists(items[0]["log"] + ".go"):
        time.sleep(0.01)
    return [item["n"] for item in items]

@action(inline=True, batch=5, batch_wait="100ms", max_attempts=2)
def deadly(items: list[int]) -> list[int]:
    if 3 in items:
        os.kill(os.getpid(), signal.SIGKILL)
    return items
"""


def submit(server: Server, action: str, data: list[Any]) -> list[str]:
    answer = server.request(
        "POST", "/tasks/bulk", {"tasks": [{"action": action, "data": one} for one in data]}
    )
    assert answer.status == 202, answer.body
    ids: list[str] = answer.json()["ids"]
    return ids


def gated(log: Path, count: int) -> list[dict[str, Any]]:
    return [{"n": n, "log": str(log)} for n in range(count)]


def begun(log: Path, more_than: int = 0) -> Callable[[], bool]:
    return lambda: log.exists() and len(log.read_text().splitlines()) > more_than


def is_running(server: Server, count: int) -> Callable[[], bool]:
    return lambda: bool(server.get("/tasks?status=running").json()["count"] == count)


@pytest.mark.parametrize("action", ["gated", pytest.param("gated_isolated", marks=pytest.mark.long)])
def test_all_of_a_batch_is_run_again_after_each_kill(tmp_path: Path, action: str) -> None:
    directory, log = application(tmp_path / "app", ACTIONS), tmp_path / "log"
    ids: list[str] = []
    for life in range(2):
        with serving(tmp_path, str(directory)) as server:
            ids = ids or submit(server, action, gated(log, 10))
            eventually(begun(log, life), 20)
            eventually(is_running(server, 10), 20)
            server.kill()
    (tmp_path / "log.go").touch()
    with serving(tmp_path, str(directory)) as server:
        tasks = [server.ended(id_) for id_ in ids]
    assert [task["result"] for task in tasks] == [{"output": n} for n in range(10)]
    assert {task["attempt"] for task in tasks} == {3}
    assert {line.split()[1] for line in log.read_text().splitlines()} == {"10"}, "each time together"


def test_an_item_that_kills_the_server_is_found_and_the_others_come_through(tmp_path: Path) -> None:
    directory = application(tmp_path / "app", ACTIONS)
    with serving(tmp_path, str(directory)) as server:
        with suppress(OSError):  # it may be killed before it has answered
            submit(server, "deadly", list(range(5)))
        server.process.wait(20)
    lives = 1
    while not lives_on(tmp_path, directory):
        lives += 1
        assert lives < 8, "it kills the server again and again"
    with serving(tmp_path, str(directory), "--only", "http") as server:
        tasks = server.get("/tasks").json()["tasks"]
    outcome = {task["data"]: task["status"] for task in tasks}
    assert outcome == {0: "completed", 1: "completed", 2: "completed", 3: "failed", 4: "completed"}
    assert {task["error"]["type"] for task in tasks if task["data"] == 3} == {"worker_lost"}


def lives_on(data: Path, directory: Path) -> bool:
    """Start a server; tell whether it lives until all its tasks have ended."""
    server = Server(["--addr", "127.0.0.1:0", "--data", str(data), str(directory)], data)
    try:
        eventually(lambda: server.url or server.process.poll() is not None, 20)
        while server.process.poll() is None:
            with suppress(OSError):
                counts = [
                    server.get(f"/tasks?status={status}").json()["count"]
                    for status in ("queued", "running", "scheduled")
                ]
                if not any(counts):
                    return True
        return False
    finally:
        server.close()


@pytest.mark.long
def test_a_batch_of_a_killed_node_is_another_nodes(tmp_path: Path, postgres_url: str) -> None:
    engine = NatsServer(tmp_path / "nats")
    engine.start()
    try:
        with cluster(tmp_path, postgres_url, nats(engine.url), ACTIONS) as there:
            taken_over(there, tmp_path / "log")
            print(there.text())
    finally:
        engine.stop()


def taken_over(there: Cluster, log: Path) -> None:
    door, first = there.start("--only", "http"), there.start("--only", "workers")
    ids = submit(door, "gated", gated(log, 10))
    eventually(begun(log), 20)
    eventually(is_running(door, 10), 20)
    second = there.start("--only", "workers")
    first.kill()
    log.with_name("log.go").touch()
    tasks = [door.ended(id_, 60) for id_ in ids]
    assert [task["result"] for task in tasks] == [{"output": n} for n in range(10)]
    assert {task["attempt"] for task in tasks} == {2}
    pids = [line.split()[0] for line in log.read_text().splitlines()]
    assert str(first.process.pid) in pids
    assert str(second.process.pid) in pids
