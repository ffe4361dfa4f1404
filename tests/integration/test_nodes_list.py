"""Nodes that share a database: who is there, who leads, and who follows a leader that leaves."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import MEMORY, Cluster, cluster, known, leader, of
from support import eventually, serving

ACTIONS = "@action(inline=True)\ndef quick() -> str:\n    return 'ran'\n"


@pytest.fixture
def nodes(tmp_path: Path, postgres_url: str) -> Iterator[Cluster]:
    with cluster(tmp_path, postgres_url, MEMORY, ACTIONS) as made:
        yield made


def test_a_node_alone_on_a_file_leads(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        body = server.get("/nodes").json()
        assert body["count"] == 1
        (one,) = body["nodes"]
        assert one["name"].endswith(f":{server.process.pid}")
        assert (one["leader"], one["roles"], one["consumers"]) == (True, ["http", "workers"], 1)
        assert one["actions"] == ["*", "sum", "uppercase"]
        assert server.request("GET", "/nodes?all=1").status == 400


def test_nodes_know_each_other_and_one_leads(nodes: Cluster) -> None:
    first, second = nodes.start(), nodes.start("--only", "http")
    assert leader(second, nodes.nodes) is first
    for asked in (first, second):
        said = known(asked)
        assert set(said) == {str(one.process.pid) for one in (first, second)}
    mine = of(second, first)
    assert mine is not None
    assert (mine["roles"], mine["consumers"], mine["leader"]) == (["http"], 0, False)
    beaten = mine["heartbeat_at"]
    eventually(lambda: (of(second, first) or {})["heartbeat_at"] > beaten)


def test_a_leader_that_leaves_hands_the_lead_over_at_once(nodes: Cluster) -> None:
    first, second = nodes.start(), nodes.start()
    assert first.terminate() == 0
    began = time.monotonic()
    eventually(lambda: leader(second, nodes.nodes) is second)
    assert time.monotonic() - began < 3
    assert of(first, second) is None


def test_workers_alone_answer_only_probes(nodes: Cluster) -> None:
    node = nodes.start("--only", "workers")
    for path in ("/healthz", "/readyz", "/metrics", "/nodes"):
        assert node.get(path).status == 200
    assert node.request("POST", "/tasks", {"action": "quick"}).status == 404
    assert node.get("/tasks").status == 404
    eventually(lambda: (of(node, node) or {})["consumers"] == 1)
    assert (of(node, node) or {})["roles"] == ["workers"]
