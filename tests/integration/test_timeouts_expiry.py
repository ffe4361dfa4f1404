"""`expires_in`: a task that nobody starts in time is `failed` with `expired`, wherever it waits."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application
from submitting import between, look, submit, until
from support import Server, serving

ACTIONS = """
@action(inline=True)
def noted(log: str) -> str:
    open(log, "a").write("ran")
    return "ran"

@action(expires_in="200ms", inline=True)
def short_lived() -> str:
    return "ran"

@action
async def gated(gate: str) -> str:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return "through"
"""
NO_CONSUMER = ("-o", "app:task_consumer:lifecycle.auto_start=false")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = application(tmp_path_factory.mktemp("app"), ACTIONS)
    with serving(directory, directory=directory) as running:
        yield running


def expired(server: Server, id_: str) -> None:
    task = server.ended(id_)
    assert (task["status"], task["attempt"], task["attempts"]) == ("failed", 0, [])
    assert task["error"]["type"] == "expired"
    assert between(task["expires_at"], task["finished_at"]) >= 0
    assert task["started_at"] is None


def test_one_that_nobody_takes(tmp_path: Path) -> None:
    application(tmp_path, ACTIONS)
    with serving(tmp_path, *NO_CONSUMER, directory=tmp_path) as server:
        ids = [submit(server, "noted", {"log": str(tmp_path / "log")}, expires_in=0.2) for _ in range(20)]
        by_declaration = submit(server, "short_lived")
        for id_ in (*ids, by_declaration):
            expired(server, id_)
    assert not (tmp_path / "log").exists()


def test_one_that_waits_behind_others(server: Server, tmp_path: Path) -> None:
    """In the consumer's reserve and in the window as well: what is taken out of them has ended."""
    gate, log = tmp_path / "gate", tmp_path / "log"
    for _ in range(2):
        until(server, submit(server, "gated", {"gate": str(gate)}), "running")
    ids = [submit(server, "noted", {"log": str(log)}, expires_in=0.2) for _ in range(20)]
    for id_ in ids:
        expired(server, id_)
    gate.touch()
    assert server.ended(submit(server, "noted", {"log": str(tmp_path / "other")}))["status"] == "completed"
    assert not log.exists()


def test_one_that_is_delayed(server: Server, tmp_path: Path) -> None:
    expired(server, submit(server, "noted", {"log": str(tmp_path / "log")}, expires_in=0.2, delay=60))


def test_one_whose_queue_is_paused(tmp_path: Path) -> None:
    application(tmp_path, ACTIONS)
    with serving(tmp_path, directory=tmp_path) as server:
        assert server.request("POST", "/queues/tasks/pause").status == 200
        expired(server, submit(server, "noted", {"log": str(tmp_path / "log")}, expires_in=0.2))
        waiting = submit(server, "noted", {"log": str(tmp_path / "log")}, expires_in=600)
        assert server.request("POST", "/queues/tasks/resume").status == 200
        assert server.ended(waiting)["status"] == "completed"


def test_one_that_began_in_time_may_go_on(server: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    id_ = submit(server, "gated", {"gate": str(gate)}, expires_in=0.2)
    until(server, id_, "running")
    expired(server, submit(server, "noted", {"log": str(tmp_path / "log")}, expires_in=0.4, delay=60))
    assert look(server, id_)["status"] == "running"
    gate.touch()
    assert server.ended(id_)["status"] == "completed"


def test_one_that_expires_while_no_server_runs(tmp_path: Path) -> None:
    application(tmp_path, ACTIONS)
    with serving(tmp_path, *NO_CONSUMER, directory=tmp_path) as server:
        id_ = submit(server, "noted", {"log": str(tmp_path / "log")}, expires_in=0.5)
        server.kill()
    with serving(tmp_path, directory=tmp_path) as server:
        expired(server, id_)
    assert not (tmp_path / "log").exists()


def test_one_that_is_redriven_runs(server: Server, tmp_path: Path) -> None:
    id_ = submit(server, "noted", {"log": str(tmp_path / "log")}, expires_in=0.2, delay=60)
    expired(server, id_)
    assert server.request("POST", f"/tasks/{id_}/retry").status == 200
    task = server.ended(id_)
    assert (task["status"], task["expires_at"]) == ("completed", None)
