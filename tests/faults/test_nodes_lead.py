"""The lead as its holder dies or stands still: another node has it within ten seconds."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import MEMORY, Cluster, cluster, freeze, leader, of, thaw
from support import eventually

pytestmark = pytest.mark.fault

ACTIONS = "@action(inline=True)\ndef quick() -> str:\n    return 'ran'\n"


@pytest.fixture
def nodes(tmp_path: Path, postgres_url: str) -> Iterator[Cluster]:
    with cluster(tmp_path, postgres_url, MEMORY, ACTIONS) as made:
        yield made


def test_the_lead_of_a_killed_node_moves_within_ten_seconds(nodes: Cluster) -> None:
    first, second = nodes.start(), nodes.start()
    assert leader(second, nodes.nodes) is first
    stand_by = second.submit("quick")
    assert second.ended(stand_by)["status"] == "completed", (
        "the leader ran it: the messages are in its memory"
    )
    began = time.monotonic()
    first.kill()
    left = second.submit("quick")
    eventually(lambda: leader(second, nodes.nodes) is second, 20)
    moved = time.monotonic() - began
    eventually(lambda: of(first, second) is None, 20)
    print(f"the lead moved in {moved:.1f} s, and the dead node was gone in {time.monotonic() - began:.1f} s")
    assert moved < 10
    assert second.ended(left)["status"] == "completed"
    assert f":{first.process.pid} is dead: no beat for" in second.text()


def test_a_frozen_leader_is_followed_and_wakes_up_as_another_node(nodes: Cluster) -> None:
    first, second = nodes.start(), nodes.start()
    before = (of(first, second) or {})["id"]
    freeze(first)
    eventually(lambda: leader(second, nodes.nodes) is second, 20)
    eventually(lambda: of(first, second) is None, 20)
    thaw(first)
    eventually(lambda: of(first, second), 20)
    assert (of(first, second) or {})["id"] != before
    assert leader(first, nodes.nodes) is second
    eventually(lambda: "had been declared dead" in first.text())
