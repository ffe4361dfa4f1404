"""One consumer of two queues takes their tasks by weight, while both have work; and everything of one that is alone."""

from pathlib import Path

import pytest
from lines import HELD, SECOND_QUEUE, fill, hold, recording
from support import eventually

ACTIONS = """
@action
async def work(label: str = "") -> None:
    await take(0.002, label)

@action(inline=True, queue="second")
def at_once(label: str = "") -> None:
    note("start", label)
    note("stop", label)
"""

pytestmark = pytest.mark.timeout(120)


@pytest.mark.parametrize(
    ("weights", "share"),
    [("{tasks_queue: 3, second_queue: 1}", 0.75), ("{tasks_queue: 1, second_queue: 9}", 0.1)],
)
def test_tasks_are_started_by_the_weights_of_their_queues(tmp_path: Path, weights: str, share: float) -> None:
    with recording(tmp_path, ACTIONS, index=SECOND_QUEUE, weights=weights) as (server, record):
        hold(server, record)
        fill(server.url, [{"action": "work", "data": {"label": "first"}}] * 200)
        fill(server.url, [{"action": "at_once", "data": {"label": "second"}}] * 100)
        fill(server.url, [{"action": "work", "data": {"label": "second"}, "queue": "second"}] * 100)
        record.release()
        eventually(lambda: len(record.starts()) == HELD + 400, 60)
        labels = record.labels()[HELD:]
        both = 200  # starts in which both queues have work, with either weight
        for end in range(40, both + 1, 40):
            assert abs(labels[:end].count("first") - share * end) <= 3
        assert server.terminate() == 0


def test_a_heavy_queue_does_not_starve_a_light_one_and_an_empty_one_costs_nothing(tmp_path: Path) -> None:
    weights = "{tasks_queue: 1000, second_queue: 1}"
    with recording(tmp_path, ACTIONS, index=SECOND_QUEUE, weights=weights) as (server, record):
        fill(server.url, [{"action": "work", "data": {"label": "second"}, "queue": "second"}] * 100)
        eventually(lambda: len(record.starts()) == 100, 30)
        hold(server, record)
        fill(server.url, [{"action": "work", "data": {"label": "first"}}] * 2100)
        fill(server.url, [{"action": "work", "data": {"label": "second"}, "queue": "second"}] * 5)
        record.release()
        eventually(lambda: len(record.starts()) == 100 + HELD + 2105, 60)
        labels = record.labels()[100 + HELD :]
        assert labels[:2050].count("second") == 2
        assert server.terminate() == 0


def test_a_paused_queue_leaves_every_place_to_the_other(tmp_path: Path) -> None:
    weights = "{tasks_queue: 9, second_queue: 1}"
    with recording(tmp_path, ACTIONS, index=SECOND_QUEUE, weights=weights) as (server, record):
        assert server.request("POST", "/queues/tasks/pause").status == 200
        fill(server.url, [{"action": "work", "data": {"label": "first"}}] * 50)
        fill(server.url, [{"action": "work", "data": {"label": "second"}, "queue": "second"}] * 200)
        eventually(lambda: len(record.starts()) == 200, 30)
        assert set(record.labels()) == {"second"}
        assert server.request("POST", "/queues/tasks/resume").status == 200
        eventually(lambda: len(record.starts()) == 250, 30)
        assert server.terminate() == 0
