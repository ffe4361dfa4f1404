"""F5: the disk is full while tasks are retried, come due, begin again, expire: nothing is lost or charged."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from apps import application
from durability import small_disk
from support import Server, eventually, serving
from test_disk_full import fill

pytestmark = pytest.mark.fault

ACTIONS = """
from taskmill import current_task

@action(backoff="100ms")
async def fails_once(gate: str) -> int:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    if current_task().attempt == 1:
        raise ValueError("the first time " + "x" * 9000)
    return current_task().attempt

@action(inline=True)
def quick(log: str) -> int:
    with open(log, "a") as file:
        file.write("ran ")
    return current_task().attempt
"""


@contextmanager
def running(tmp_path: Path, disk: Path) -> Iterator[Server]:
    directory = application(tmp_path / "app", ACTIONS)
    with serving(disk, str(directory), directory=tmp_path) as server:
        yield server


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MiB."""
    with small_disk(tmp_path / "disk", "size=4m") as directory:
        yield directory


def look(server: Server, id_: str) -> dict[str, Any]:
    task: dict[str, Any] = server.get(f"/tasks/{id_}").json()
    return task


def submit(server: Server, action: str, data: object, **options: object) -> str:
    answer = server.request("POST", "/tasks", {"action": action, "data": data, **options})
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def fill_up(server: Server, disk: Path) -> Path:
    """Fill the disk, and the little that the database has left of its own."""
    filler = fill(disk)
    for number in range(1000):
        body = {
            "action": "quick",
            "data": {"log": "/dev/null"},
            "delay": 3600,
            "tags": [f"{number}-{'x' * 150}"] * 50,
        }
        if server.request("POST", "/tasks", body).status == 503:
            return filler
    raise AssertionError("the disk never filled")


def test_F5_a_retry_that_cannot_be_stored_is_stored_later_and_charged_once(
    tmp_path: Path, disk: Path
) -> None:
    gate = tmp_path / "gate"
    with running(tmp_path, disk) as server:
        id_ = submit(server, "fails_once", {"gate": str(gate)})
        eventually(lambda: look(server, id_)["status"] == "running")
        filler = fill_up(server, disk)
        gate.touch()
        eventually(lambda: "waits to be stored" in server.text())
        task = look(server, id_)
        assert (task["status"], task["attempt"], task["attempts"]) == ("running", 1, [])
        filler.unlink()
        task = server.ended(id_)
        assert (task["status"], task["attempt"], task["result"]) == ("completed", 2, {"output": 2})
        assert [attempt["attempt"] for attempt in task["attempts"]] == [1, 2]
        assert server.terminate() == 0


def test_F5_what_comes_due_meanwhile_runs_once_there_is_room(tmp_path: Path, disk: Path) -> None:
    with running(tmp_path, disk) as server:
        logs = [tmp_path / f"log-{number}" for number in range(5)]
        ids = [submit(server, "quick", {"log": str(log)}, delay=1) for log in logs]
        filler = fill_up(server, disk)
        eventually(lambda: "scheduled tasks cannot be queued" in server.text(), 20)
        assert [look(server, id_)["status"] for id_ in ids] == ["scheduled"] * 5
        filler.unlink()
        for id_ in ids:
            task = server.ended(id_)
            assert (task["status"], task["attempt"]) == ("completed", 1)
        assert [log.read_text() for log in logs] == ["ran "] * 5


def test_F5_an_attempt_that_may_begin_only_once_it_is_stored_is_not_charged_for_the_wait(
    tmp_path: Path, disk: Path
) -> None:
    """Tasks with a key begin so. They stay queued while the disk is full, and run once there is room."""
    with running(tmp_path, disk) as server:
        assert server.request("POST", "/queues/tasks/pause").status == 200
        logs = [tmp_path / f"log-{number}" for number in range(5)]
        ids = [submit(server, "quick", {"log": str(log)}, key=log.name) for log in logs]
        fill_up(server, disk)
        assert server.terminate() == 0
    with running_full(tmp_path, disk) as server:
        for id_ in ids:
            task = server.ended(id_, 30)
            assert (task["status"], task["attempt"]) == ("completed", 1)
        assert [log.read_text() for log in logs] == ["ran "] * 5


@contextmanager
def running_full(tmp_path: Path, disk: Path) -> Iterator[Server]:
    (disk / "filler").unlink()
    with running(tmp_path, disk) as server:
        assert server.request("POST", "/queues/tasks/resume").status == 200
        yield server


def test_F5_a_cancel_and_a_redrive_are_refused_and_change_nothing(tmp_path: Path, disk: Path) -> None:
    with running(tmp_path, disk) as server:
        waiting = submit(server, "quick", {"log": str(tmp_path / "log")}, delay=3600)
        cancelled = submit(server, "quick", {"log": str(tmp_path / "log")}, delay=3600)
        assert server.request("POST", f"/tasks/{cancelled}/cancel").status == 200
        filler = fill_up(server, disk)
        for path in (f"/tasks/{waiting}/cancel", f"/tasks/{cancelled}/retry"):
            eventually(lambda path=path: server.request("POST", path).status == 503)  # type: ignore[misc]
        assert look(server, waiting)["status"] == "scheduled"
        assert look(server, cancelled)["status"] == "cancelled"
        filler.unlink()
        eventually(lambda: server.request("POST", f"/tasks/{cancelled}/retry").status == 200)
        assert server.ended(cancelled)["status"] == "completed"
