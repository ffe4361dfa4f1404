"""Batches whose count-down is broken off by `kill -9`, and batches on nodes that share a database."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
from apps import application
from nodes import POSTGRES, cluster
from support import Server, eventually, serving

ACTIONS = """
import json

@action
async def part(n: int) -> int:
    await asyncio.sleep(0.002)
    return n

@action
def last(batch: dict[str, Any], note: str) -> int:
    file = os.open(note, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    told = [batch["id"], batch["total"], batch["completed"], len(batch["results"])]
    os.write(file, (json.dumps(told) + "\\n").encode())
    os.close(file)
    return sum(one["result"]["output"] for one in batch["results"])

@action
async def fan_out(size: int) -> list[str]:
    from taskmill import submit
    return [await submit("part", {"n": n}, tags=["fanned"]) for n in range(size)]
"""
SIZE = 200
pytestmark = pytest.mark.timeout(180)


def make(server: Server, note: Path, size: int = SIZE) -> dict[str, Any]:
    tasks = [{"action": "part", "data": {"n": n}} for n in range(size)]
    last = {"action": "last", "data": {"note": str(note)}}
    answer = server.request("POST", "/batches", {"tasks": tasks, "on_complete": last})
    assert answer.status == 202, answer.body
    made: dict[str, Any] = answer.json()
    return made


def done(server: Server, batch: str) -> int:
    return int(server.get(f"/batches/{batch}").json()["progress"]["done"])


def comes_to_its_end(server: Server, made: dict[str, Any], size: int = SIZE) -> None:
    task = server.ended(made["on_complete"], 60)
    assert (task["status"], task["result"]) == ("completed", {"output": sum(range(size))})
    batch = server.get(f"/batches/{made['id']}").json()
    assert (batch["status"], batch["progress"]) == ("ended", {"done": size, "total": size})
    assert (batch["counts"]["completed"], batch["failed"]) == (size, [])


@pytest.mark.fault
def test_killed_in_the_middle_of_the_count_down(tmp_path: Path) -> None:
    """At several instants, the last about where the batch ends; each batch ends once, with all that was done."""
    app = application(tmp_path / "app", ACTIONS)
    note = tmp_path / "note"
    batches = []
    for instant in (1, SIZE // 2, SIZE):
        with serving(tmp_path, str(app)) as server:
            made = make(server, note)
            batches.append(made)
            eventually(lambda: done(server, made["id"]) >= instant, 60)  # noqa: B023
            server.kill()
            assert server.process.returncode == -signal.SIGKILL
    with serving(tmp_path, str(app)) as server:
        for made in batches:
            comes_to_its_end(server, made)
        assert server.get("/tasks?action=last").json()["count"] == len(batches)
        told = [json.loads(line) for line in note.read_text().splitlines()]
        assert {one[0] for one in told} == {made["id"] for made in batches}
        assert all(one[1:] == [SIZE] * 3 for one in told)


@pytest.mark.fault
def test_killed_while_an_action_submits_all_or_none_are_there(tmp_path: Path) -> None:
    app = application(tmp_path / "app", ACTIONS)
    with serving(tmp_path, str(app)) as server:
        id_ = server.submit("fan_out", {"size": SIZE})
        server.kill()
    with serving(tmp_path, str(app)) as server:
        fanned = server.get("/tasks?tag=fanned&limit=1000").json()["count"]
        assert fanned in (0, SIZE)
        assert fanned == 0 or server.get(f"/tasks/{id_}").json()["status"] == "completed"
        server.kill()
    with serving(tmp_path, str(app)) as server:
        ids = server.ended(id_, 60)["result"]["output"]
        assert {one["id"] for one in server.get("/tasks?tag=fanned&limit=1000").json()["tasks"]} == set(ids)
        assert len(ids) == SIZE


def test_a_batch_made_on_one_node_is_counted_down_on_others(tmp_path: Path, postgres_url: str) -> None:
    with cluster(tmp_path, postgres_url, POSTGRES, ACTIONS) as there:
        door, worker = there.start("--only", "http"), there.start("--only", "workers")
        for size in (0, 1, 50):
            comes_to_its_end(door, make(door, tmp_path / "note", size), size)
        made = door.request("POST", "/batches", {"open": True}).json()
        tasks = {"tasks": [{"action": "part", "data": {"n": 1}}]}
        assert door.request("POST", f"/batches/{made['id']}/tasks", tasks).status == 202
        assert door.request("POST", f"/batches/{made['id']}/close").status == 200
        eventually(lambda: door.get(f"/batches/{made['id']}").json()["status"] == "ended", 30)
        assert worker.terminate() == door.terminate() == 0


@pytest.mark.fault
def test_a_node_that_is_killed_leaves_the_count_down_to_others(tmp_path: Path, postgres_url: str) -> None:
    with cluster(tmp_path, postgres_url, POSTGRES, ACTIONS) as there:
        one, other = there.start(), there.start()
        made = make(one, tmp_path / "note")
        eventually(lambda: done(other, made["id"]) >= SIZE // 3, 60)
        one.kill()
        comes_to_its_end(other, made)
