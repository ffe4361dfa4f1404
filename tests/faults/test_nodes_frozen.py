"""F13 over nodes: one that stands still for longer than its lease, and one whose clock is far off."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nodes import POSTGRES, Cluster, cluster, freeze, known, leader, of, thaw
from support import Server, eventually

pytestmark = pytest.mark.fault

ACTIONS = """
from taskmill import current_task

@action(max_attempts=3, backoff="100ms")
def waits(gate: str) -> str:
    with open(gate + ".begun", "a") as file:
        file.write(f"{os.getppid()}\\n")
    while not os.path.exists(gate):
        time.sleep(0.01)
    return f"of attempt {current_task().attempt}"

@action(max_attempts=3, backoff="100ms")
async def loop(gate: str) -> str:
    with open(gate + ".begun", "a") as file:
        file.write(f"{os.getpid()}\\n")
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return f"of attempt {current_task().attempt}"

@action(max_attempts=1)
async def once(gate: str) -> str:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return "through"

@action(inline=True)
def quick() -> str:
    return "ran"
"""


@pytest.fixture
def there(tmp_path: Path, postgres_url: str) -> Iterator[Cluster]:
    with cluster(tmp_path, postgres_url, POSTGRES, ACTIONS) as made:
        yield made
        print(made.text())  # shown where the test fails


def look(node: Server, id_: str) -> dict[str, Any]:
    task: dict[str, Any] = node.get(f"/tasks/{id_}").json()
    return task


def running(node: Server, id_: str) -> bool:
    return bool(look(node, id_)["status"] == "running")


def test_F13_a_frozen_node_s_tasks_run_elsewhere_and_its_late_results_are_refused(
    there: Cluster, tmp_path: Path
) -> None:
    door = there.start("--only", "http")
    first = there.start("--only", "workers", "-o", "app:task_consumer:concurrency=4")
    gates = {action: str(tmp_path / action) for action in ("waits", "loop")}
    ids = {action: door.submit(action, {"gate": gate}) for action, gate in gates.items()}
    last_gate = str(tmp_path / "once")
    last = door.submit("once", {"gate": last_gate})
    eventually(lambda: all(running(door, id_) for id_ in (*ids.values(), last)), 30)
    freeze(first)
    began = time.monotonic()
    second = there.start("--only", "workers")
    for gate in (*gates.values(), last_gate):
        Path(gate).touch()  # the frozen ones would return as soon as they go on
    for id_ in ids.values():
        task = door.ended(id_, 40)
        assert (task["status"], task["attempt"], task["result"]) == (
            "completed",
            2,
            {"output": "of attempt 2"},
        )
    print(f"the tasks of the frozen node had ended elsewhere after {time.monotonic() - began:.1f} s")
    task = door.ended(last, 40)
    assert (task["status"], task["error"]["type"], task["attempt"]) == ("failed", "worker_lost", 1)
    before = {id_: look(door, id_) for id_ in (*ids.values(), last)}
    thaw(first)
    eventually(lambda: "had been declared dead" in first.text(), 20)
    eventually(lambda: (of(first, door) or {}).get("refused", 0) > 0, 20)
    eventually(lambda: "late results were refused" in first.text())
    assert {id_: look(door, id_) for id_ in before} == before, (
        "the result read first is the one read for ever"
    )
    second.kill()
    assert door.ended(door.submit("quick"), 40)["status"] == "completed", "and it works on, as another node"


def test_the_tasks_of_a_killed_node_run_again_elsewhere_and_their_attempts_count(
    there: Cluster, tmp_path: Path
) -> None:
    door = there.start("--only", "http")
    first = there.start("--only", "workers")
    gate = str(tmp_path / "gate")
    again = door.submit("loop", {"gate": gate})
    last = door.submit("once", {"gate": gate})
    eventually(lambda: running(door, again) and running(door, last))
    there.start("--only", "workers")
    first.kill()
    lost = door.ended(last, 40)
    assert (lost["status"], lost["error"]["type"]) == ("failed", "worker_lost")
    assert lost["error"]["message"] == "the server died in the last of 1 attempts"
    assert [one["attempt"] for one in lost["attempts"]] == [1]
    eventually(lambda: running(door, again) and look(door, again)["attempt"] == 2, 30)
    Path(gate).touch()
    task = door.ended(again)
    assert (task["status"], task["result"]) == ("completed", {"output": "of attempt 2"})


def test_the_database_s_clock_decides_where_those_of_nodes_are_a_minute_apart(
    there: Cluster, tmp_path: Path
) -> None:
    def clock(seconds: float) -> dict[str, str]:
        file = tmp_path / f"clock{seconds}"
        file.write_bytes(struct.pack("d", seconds))
        return {"PYTHONPATH": str(Path(__file__).parent / "clock"), "CLOCK_OFFSET": str(file)}

    slow, fast = there.start(env=clock(-30)), there.start(env=clock(30))
    assert leader(fast, there.nodes) is slow
    ids = {(of(node, slow) or {})["id"] for node in (slow, fast)}
    for node in (slow, fast):
        began = time.monotonic()
        answer = node.request("POST", "/tasks", {"action": "quick", "delay": 2})
        assert node.ended(answer.json()["id"])["status"] == "completed"
        print(f"a delay of 2 s took {time.monotonic() - began:.1f} s")
        assert 1.5 < time.monotonic() - began < 15
        hasty = node.request("POST", "/tasks", {"action": "quick", "expires_in": 10}).json()["id"]
        assert node.ended(hasty)["status"] == "completed"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:  # longer than anybody may be silent
        said = known(fast)
        assert {one["id"] for one in said.values()} == ids
        assert leader(fast, there.nodes) is slow
        time.sleep(0.5)
