"""Health means progress: a node that is connected and consumes nothing says so, and mends itself."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import POSTGRES, Cluster, cluster
from servers.postgres import PostgresServer, postgres_server
from support import Server, eventually

pytestmark = pytest.mark.fault

ACTIONS = "@action(inline=True)\ndef quick() -> str:\n    return 'ran'\n"


def not_ready(node: Server) -> str:
    """Return why a node is not ready; nothing if it is."""
    answer = node.get("/readyz")
    return "" if answer.status == 200 else str(answer.json()["detail"])


@pytest.fixture
def there(tmp_path: Path, postgres_url: str) -> Iterator[Cluster]:
    with cluster(tmp_path, postgres_url, POSTGRES, ACTIONS) as made:
        yield made
        print(made.text())  # shown where the test fails


def test_a_node_whose_consumers_were_left_behind_says_so_and_subscribes_anew(
    there: Cluster, tmp_path: Path
) -> None:
    stalled = tmp_path / "stalled"
    env = {"PYTHONPATH": str(Path(__file__).parent / "stalled"), "STALLED": str(stalled)}
    node = there.start(env=env)
    assert node.ended(node.submit("quick"))["status"] == "completed"
    stalled.touch()
    began = time.monotonic()
    id_ = node.submit("quick")
    why = eventually(lambda: not_ready(node), 30)
    assert "queue tasks has given this node nothing for" in why
    assert "1 messages wait and there is room for" in why
    assert node.ended(id_, 20)["status"] == "completed"
    print(f"it had mended itself after {time.monotonic() - began:.1f} s")
    eventually(lambda: not not_ready(node))
    assert "gives this node messages again" in node.text()


def test_a_node_that_the_database_does_not_hear_is_not_ready_and_recovers(tmp_path: Path) -> None:
    with postgres_server() as postgres, cluster(tmp_path, postgres.create(), POSTGRES, ACTIONS) as there:
        freeze_and_thaw(there, postgres)


def freeze_and_thaw(there: Cluster, postgres: PostgresServer) -> None:
    first, second = there.start(), there.start("--only", "http")
    ids = {one["id"] for one in first.get("/nodes").json()["nodes"]}
    postgres.freeze()
    try:
        began = time.monotonic()
        eventually(
            lambda: "begins no more tasks" in first.text() and "begins no more tasks" in second.text(), 30
        )
        assert time.monotonic() - began < 12
        eventually(lambda: time.monotonic() - began > 12, 20)  # longer than anybody may be silent
    finally:
        postgres.thaw()
    for node in (first, second):
        eventually(lambda node=node: not not_ready(node), 30)  # type: ignore[misc]
        assert node.ended(node.submit("quick"), 30)["status"] == "completed"
    said = {one["id"] for one in first.get("/nodes").json()["nodes"]}
    assert said == ids, "nobody was declared dead because of it"
