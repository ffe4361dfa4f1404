"""What is done on one node, and must be heeded by another: cancel, pause, schedules; and actions that one lacks."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from nodes import POSTGRES, Cluster, application, cluster
from support import Server, eventually

ACTIONS = """
@action(inline=True)
def quick() -> str:
    return "ran"

@action
async def loop(gate: str) -> str:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return "through"

@action
def isolated(gate: str) -> str:
    while not os.path.exists(gate):
        time.sleep(0.01)
    return "through"
"""
NEXT = ACTIONS + "\n@action(inline=True)\ndef fresh() -> str:\n    return 'of the next version'\n"


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


def one_that_stays_queued(leader: Server, other: Server) -> str:
    """Submit a task; return its id if it waits for longer than any other would, else nothing."""
    id_ = other.submit("quick")
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        if look(leader, id_)["status"] != "queued":
            return ""
        time.sleep(0.05)
    return id_


def test_a_task_is_cancelled_on_another_node_than_its_own(there: Cluster, tmp_path: Path) -> None:
    door, worker = there.start("--only", "http"), there.start("--only", "workers")
    gate = str(tmp_path / "never")
    ids = [door.submit(action, {"gate": gate}) for action in ("loop", "isolated")]  # both slots
    eventually(lambda: all(running(door, id_) for id_ in ids), 30)
    began = time.monotonic()
    for id_ in ids:
        assert door.request("POST", f"/tasks/{id_}/cancel").json()["status"] == "cancelled"
    assert door.ended(door.submit("quick"), 20)["status"] == "completed", "their slots are free again"
    print(f"both were stopped and another had run after {time.monotonic() - began:.2f} s")
    assert all(look(door, id_)["status"] == "cancelled" for id_ in ids)
    assert worker.terminate() == 0


def test_a_pause_and_its_end_reach_all_nodes(there: Cluster) -> None:
    leader, other = there.start(), there.start()
    other.request("POST", "/queues/tasks/pause", {"by": "me"})
    eventually(lambda: leader.get("/queues/tasks").json()["paused"] is not None)
    id_ = eventually(lambda: one_that_stays_queued(leader, other), 30)
    other.request("POST", "/queues/tasks/resume")
    assert leader.ended(id_, 20)["status"] == "completed"


def test_a_schedule_that_a_follower_is_given_runs_each_time_once(there: Cluster) -> None:
    leader, other = there.start(), there.start()
    body = {"every": 1, "action": "quick", "overlap": "allow"}
    assert other.request("PUT", "/schedules/each-second", body).status == 201

    def runs() -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = leader.get("/tasks?tag=schedule:each-second").json()["tasks"]
        return tasks

    eventually(lambda: len(runs()) >= 3, 30)
    leader.kill()
    count = len(other.get("/tasks?tag=schedule:each-second").json()["tasks"])
    eventually(lambda: len(other.get("/tasks?tag=schedule:each-second").json()["tasks"]) >= count + 3, 40)
    assert other.request("DELETE", "/schedules/each-second").status == 204


def test_an_action_of_the_next_version_is_left_to_the_nodes_that_know_it(
    there: Cluster, tmp_path: Path, postgres_url: str
) -> None:
    """A rolling deployment: the last version leads, and its tasks go on beside those that it does not know."""
    old = there.start()
    new = there.start(application_=application(tmp_path / "next", postgres_url, POSTGRES, NEXT))
    actions = {one["name"].rpartition(":")[2]: one["actions"] for one in old.get("/nodes").json()["nodes"]}
    assert "fresh" in actions[str(new.process.pid)]
    assert "fresh" not in actions[str(old.process.pid)]
    assert old.request("POST", "/tasks", {"action": "fresh"}).status == 400, "refused where it is not known"
    fresh = [new.submit("fresh") for _ in range(20)]
    known = [new.submit("quick") for _ in range(20)]
    for id_ in (*fresh, *known):
        task = new.ended(id_, 30)
        assert (task["status"], task["attempt"]) == ("completed", 1)
    assert new.terminate() == 0


def test_a_database_may_be_one_migration_ahead_of_a_node_and_no_more(
    there: Cluster, postgres_url: str
) -> None:
    old = there.start()

    def migrated() -> None:
        with psycopg.connect(postgres_url) as connection:
            connection.execute(
                "INSERT INTO taskmill_migration SELECT component, max(number) + 1, 'of the next version', 0"
                " FROM taskmill_migration WHERE component = 'tasks' GROUP BY component"
            )

    migrated()
    assert old.ended(old.submit("quick"))["status"] == "completed", "one that runs goes on"
    another = there.start()
    assert another.ended(another.submit("quick"))["status"] == "completed"
    migrated()
    refused = there.begin()
    assert refused.process.wait(30) == 1
    assert "was written by a newer version" in refused.text()
    assert old.ended(old.submit("quick"))["status"] == "completed"
