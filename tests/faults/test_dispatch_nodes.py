"""Several nodes on one database and one engine: killed, stopped politely, and of different versions."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from carriers import Carrier, carried, make
from dispatching_load import ACTIONS, Load, enough, twice
from support import Server, eventually, serving

pytestmark = pytest.mark.fault

LED_WITHIN = 10.0  # seconds after the death of a leader


@pytest.fixture(params=["nats", pytest.param("redis", marks=pytest.mark.long)])
def carrier(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Carrier]:
    with ExitStack() as running:
        yield make(request.param, tmp_path, running)


class Nodes:
    """Nodes of one application, each with what it has run in a file of its own."""

    def __init__(self, directory: Path, app: Path, stack: ExitStack) -> None:
        self.notes = directory / "notes"
        self._directory = directory
        self._app = app
        self._stack = stack
        self._count = 0

    def start(self, app: Path | None = None) -> Server:
        self._count += 1
        data = self._directory / f"data-{self._count}"
        env = {"TASKMILL_NOTES": str(self.notes)}
        return self._stack.enter_context(serving(data, directory=app or self._app, env=env))


@pytest.fixture
def nodes(carrier: Carrier, postgres_url: str, tmp_path: Path) -> Iterator[Nodes]:
    with ExitStack() as stack:
        yield Nodes(tmp_path, carried(tmp_path / "app", ACTIONS, carrier, postgres_url, lease=5), stack)


def leads(asked: Server, node: Server) -> bool:
    """Whether a node leads, as another one sees it."""
    found = asked.get("/nodes").json()["nodes"]
    return [one["name"].endswith(f":{node.process.pid}") for one in found if one["leader"]] == [True]


def test_a_leader_is_killed_under_load(nodes: Nodes) -> None:
    first, second = nodes.start(), nodes.start()
    assert leads(second, first)
    load = Load([second], nodes.notes, seconds=0.02)
    with load.running():
        enough(load, 100)
        first.kill()
        killed = time.monotonic()
        eventually(lambda: leads(second, second), 20)
        moved = time.monotonic() - killed
        enough(load, 100)
    runs = load.check(second)
    print(f"the lead moved within {moved:.1f} s")
    assert moved < LED_WITHIN
    # What the dead node had begun is begun again, and nothing else: as much as its consumer holds, or a little more.
    assert len(twice(runs)) <= 20, twice(runs)


def test_a_worker_is_killed_under_load(nodes: Nodes) -> None:
    first, second = nodes.start(), nodes.start()
    load = Load([first], nodes.notes, seconds=0.02)
    with load.running():
        enough(load, 100)
        second.kill()
        enough(load, 100)
    runs = load.check(first)
    assert len(twice(runs)) <= 20, twice(runs)


def test_a_node_that_leaves_gives_back_what_it_has(nodes: Nodes) -> None:
    first, second = nodes.start(), nodes.start()
    load = Load([first], nodes.notes, seconds=0.1)
    with load.running():
        enough(load, 150)
        assert second.terminate() == 0
        began = time.monotonic()
    runs = load.check(first)
    print(f"all had ended {time.monotonic() - began:.1f} s after a node left")
    assert not twice(runs)


def test_an_action_that_a_node_lacks_is_left_to_others(
    nodes: Nodes, carrier: Carrier, postgres_url: str, tmp_path: Path
) -> None:
    old = nodes.start()
    fresh = (
        ACTIONS + "\n@action(inline=True)\ndef fresh(word: str) -> str:\n    note(word)\n    return word\n"
    )
    new = nodes.start(carried(tmp_path / "new", fresh, carrier, postgres_url, lease=5))
    assert leads(new, old), "the old version hands the new one's tasks out"
    words = [f"fresh-{number}" for number in range(30)]
    ids = [
        new.request("POST", "/tasks", {"action": "fresh", "data": {"word": word}}).json()["id"]
        for word in words
    ]
    for id_ in ids:
        assert new.ended(id_, 40)["status"] == "completed"
    assert sorted(nodes.notes.read_text().split()) == sorted(words)
