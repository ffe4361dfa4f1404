"""Nodes that are killed at random under load: nothing acknowledged is lost, and each task has one result."""

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodes import POSTGRES, Cluster, cluster, leader, nats
from nodes_load import ACTIONS, Load, Rows, account
from servers.nats import NatsServer
from support import Server, eventually

pytestmark = pytest.mark.fault

SECONDS = float(os.environ.get("TASKMILL_CHAOS_SECONDS", "20"))
SEED = int(os.environ.get("TASKMILL_SEED", str(random.SystemRandom().getrandbits(32))))
RATE = 60.0  # tasks a second


@pytest.fixture(params=["postgres", "nats"])
def driver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The entry of what carries the messages."""
    if request.param == "postgres":
        yield POSTGRES
        return
    server = NatsServer(tmp_path / "nats")
    server.start()
    yield nats(server.url)
    server.kill()


@pytest.mark.timeout(240 + SECONDS * 3)
def test_nodes_of_each_role_are_killed_at_random(tmp_path: Path, postgres_url: str, driver: str) -> None:
    print(f"TASKMILL_SEED={SEED} repeats this choice of instants")
    choice = random.Random(SEED)
    begun = tmp_path / "begun"
    env = {"BEGUN": str(begun)}
    with cluster(tmp_path, postgres_url, driver, ACTIONS) as there:
        nodes = [(role, there.start("--only", role, env=env)) for role in ("http", "http", *["workers"] * 3)]
        load = Load(lambda: [node.url for role, node in nodes if role == "http"], RATE, 0.08).start()
        kills, of_leaders = play(there, nodes, choice, env)
        load.stop()
        try:
            eventually(lambda: Rows(postgres_url).unfinished == 0, 90)
        except AssertionError:
            print(there.text())
            raise
        print(f"{kills} kills in {SECONDS:.0f} s, {of_leaders} of them of the leader")
        said = account(load, Rows(postgres_url), begun)
        assert said["acknowledged"] == said["submitted"] == said["completed"]
        assert said["executed more than once"] <= kills * 20, "more than dead nodes can have had in hand"
        assert said["longest gap between two ends (s)"] < 15
        for _, node in nodes:
            assert node.terminate() == 0


def play(
    there: Cluster, nodes: list[tuple[str, Server]], choice: random.Random, env: dict[str, str]
) -> tuple[int, int]:
    """Kill one after another, the leader first, and start another in its place.

    Returns how many that were, and how many of them led.
    """
    end = time.monotonic() + SECONDS
    kills = of_leaders = 0
    while time.monotonic() < end:
        time.sleep(choice.uniform(1, 6))  # what is under way at that instant is what this is about
        running = [node for _, node in nodes]
        leads = leader(nodes[0][1], running)
        number = choice.randrange(len(nodes)) if kills or leads is None else running.index(leads)
        role, killed = nodes[number]
        killed.kill()
        nodes[number] = role, there.start("--only", role, env=env)
        kills, of_leaders = kills + 1, of_leaders + (killed is leads)
    return kills, of_leaders
