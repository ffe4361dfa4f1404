"""Tasks that follow others, on nodes that share a database, and over kills between an end and what follows it."""

import signal
from pathlib import Path
from typing import Any

import pytest
from apps import application
from nodes import POSTGRES, cluster
from support import Server, eventually, serving

ACTIONS = """
@action(inline=True)
def stamp() -> float:
    return time.time()

@action(max_attempts=1)
async def gated(gate: str, fail: bool = False) -> float:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    if fail:
        raise ValueError("as it was told")
    return time.time()
"""
ROUNDS = 2
pytestmark = pytest.mark.timeout(180)


def submit(server: Server, action: str, data: object = None, **options: Any) -> str:
    answer = server.request("POST", "/tasks", {"action": action, "data": data or {}, **options})
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def status(server: Server, id_: str) -> str:
    return str(server.get(f"/tasks/{id_}").json()["status"])


def test_the_ends_on_one_node_are_heard_by_what_another_stored(tmp_path: Path, postgres_url: str) -> None:
    with cluster(tmp_path, postgres_url, POSTGRES, ACTIONS) as there:
        door, worker = there.start("--only", "http"), there.start("--only", "workers")
        for number in range(5):
            gate = {"gate": str(tmp_path / f"gate-{number}")}
            firsts = [submit(door, "gated", gate) for _ in range(2)]
            good = submit(door, "stamp", after=firsts)
            bad = submit(door, "stamp", after=[submit(door, "gated", {**gate, "fail": True})])
            cancelled = submit(door, "stamp", delay=600)
            after_cancel = submit(door, "stamp", after=[cancelled])
            Path(gate["gate"]).touch()
            door.request("POST", f"/tasks/{cancelled}/cancel")
            assert door.ended(good)["status"] == "completed", there.text()
            for id_ in (bad, after_cancel):
                assert door.ended(id_)["error"]["type"] == "dependency_failed", there.text()
        assert worker.terminate() == door.terminate() == 0


@pytest.mark.fault
def test_the_end_of_a_node_that_is_killed_is_looked_for(tmp_path: Path, postgres_url: str) -> None:
    """Its rows say that the tasks have ended; that it did not get to what follows is for the other to find."""
    with cluster(tmp_path, postgres_url, POSTGRES, ACTIONS) as there:
        one, other = there.start(), there.start()
        for number in range(ROUNDS):
            gate = str(tmp_path / f"gate-{number}")
            firsts = [submit(one, "gated", {"gate": gate}) for _ in range(2)]
            followers = [submit(one, "stamp", after=[first], on_failure="run") for first in firsts * 5]
            Path(gate).touch()
            eventually(lambda: "completed" in [status(other, first) for first in firsts], 30)  # noqa: B023
            one.kill()
            for id_ in followers:
                assert other.ended(id_, 60)["status"] == "completed", there.text()
            one, other = other, there.start()


@pytest.mark.fault
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_killed_between_an_end_and_what_follows(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    url = None if database == "sqlite" else request.getfixturevalue("postgres_url")
    app = application(tmp_path / "app", ACTIONS, url)
    pairs: list[tuple[str, str]] = []
    for number in range(ROUNDS):
        with serving(tmp_path, str(app)) as server:
            gate = str(tmp_path / f"gate-{number}")
            firsts = [submit(server, "gated", {"gate": gate}) for _ in range(20)]
            pairs += [(first, submit(server, "stamp", after=[first], on_failure="run")) for first in firsts]
            Path(gate).touch()
            eventually(lambda: "completed" in [status(server, first) for first in firsts], 30)  # noqa: B023
            server.kill()
            assert server.process.returncode == -signal.SIGKILL
    with serving(tmp_path, str(app)) as server:
        for first, follower in pairs:
            ended = server.ended(follower, 60)
            assert (ended["status"], ended["attempt"] >= 1) == ("completed", True)
            assert status(server, first) in ("completed", "failed")
