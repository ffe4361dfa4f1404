"""What waits is started by priority, first come first served within one, and nobody starves."""

from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from lines import HELD, SECOND_QUEUE, fill, hold, recording
from support import eventually

WAITING = 10_000
STARTED_MEANWHILE = 40  # within the 50 to 100 ms of a submission on a busy machine

ACTIONS = """
@action
async def work(label: str = "", seconds: float = 0.01) -> None:
    await take(seconds, label)

@action(priority=4)
async def middling(label: str = "") -> None:
    await take(0.01, label)

@action(inline=True)
def at_once(label: str = "") -> None:
    note("start", label)
    note("stop", label)
"""

pytestmark = pytest.mark.timeout(180)
queues = pytest.mark.parametrize("queue", ["tasks", "second"])
SECOND = {"index": SECOND_QUEUE, "weights": "{tasks_queue: 1, second_queue: 1}"}


def body(label: str, queue: str = "tasks", action: str = "work", **fields: Any) -> dict[str, Any]:
    return {"action": action, "data": {"label": label}, "queue": queue, **fields}


@queues
def test_the_highest_overtakes_ten_thousand_of_the_lowest(tmp_path: Path, queue: str) -> None:
    with recording(tmp_path, ACTIONS, **SECOND) as (server, record):
        fill(server.url, [body("low", queue)] * WAITING)
        before = len(record.starts())
        assert before < WAITING / 2, "they were to wait"
        urgent = server.request("POST", "/tasks", body("urgent", queue, priority=9)).json()["id"]
        eventually(lambda: urgent in record.ids())
        assert record.ids().index(urgent) - before < STARTED_MEANWHILE + HELD


@queues
def test_the_order_is_by_priority_and_first_come_first_served_within_one(tmp_path: Path, queue: str) -> None:
    with recording(tmp_path, ACTIONS, **SECOND) as (server, record):
        hold(server, record, queue)
        priorities = [(7 * number) % 10 for number in range(200)]
        fill(
            server.url, [body(f"{p} {n}", queue, priority=p) for n, p in enumerate(priorities)], connections=1
        )
        record.release()
        eventually(lambda: len(record.starts()) == HELD + 200, 60)
        started = [label for label in record.labels() if label != "block"]
        expected = sorted(enumerate(priorities), key=lambda one: (-one[1], one[0]))
        assert started == [f"{priority} {number}" for number, priority in expected]
        assert server.terminate() == 0


def test_a_plain_task_stands_among_those_of_priority_0(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        hold(server, record)
        plain = [{"action": "work", "data": {"label": f"{number}"}} for number in range(0, 60, 2)]
        ranked = [body(f"{number}", priority=0, tags=["not plain"]) for number in range(1, 60, 2)]
        mixed = [one for pair in zip(plain, ranked, strict=True) for one in pair]
        fill(server.url, [*mixed, body("above", action="middling"), body("first", priority=5)], connections=1)
        record.release()
        eventually(lambda: len(record.starts()) == HELD + 62, 60)
        labels = [label for label in record.labels() if label != "block"]
        assert labels[:2] == ["first", "above"]
        # Within one millisecond those that are plain go first.
        assert sorted(labels[2:], key=int) == [str(number) for number in range(60)]
        assert all(abs(int(label) - place) <= 4 for place, label in enumerate(labels[2:])), labels
        assert server.terminate() == 0


def test_ageing_lifts_what_has_waited_above_what_is_more_urgent(tmp_path: Path) -> None:
    """With 100 ms to a step, a 0 that has waited a second goes before a new 9, though 9s never cease to come."""
    ageing = ("-o", "app:tasks:ageing=100ms")
    with recording(tmp_path, ACTIONS, *ageing) as (server, record):
        sent = 100
        fill(server.url, [body("urgent", priority=9)] * sent)
        low = fill(server.url, [body("low")])[0]
        deadline = monotonic() + 30
        while low not in record.ids() and monotonic() < deadline:
            eventually(lambda: len(record.starts()) > sent - 60)  # noqa: B023
            fill(server.url, [body("urgent", priority=9)] * 40)  # there are always some that wait
            sent += 40
        assert low in record.ids(), "it starves"
        assert len(record.starts()) < sent, "a 9 waits still"


def test_without_such_ageing_the_urgent_ones_go_first(tmp_path: Path) -> None:
    """What the test above shows is due to `ageing`, not to chance."""
    with recording(tmp_path, ACTIONS) as (server, record):
        hold(server, record)
        fill(server.url, [body("urgent", priority=9)] * 100)
        low = fill(server.url, [body("low")])[0]
        fill(server.url, [body("urgent", priority=9)] * 100)
        record.release()
        eventually(lambda: low in record.ids(), 30)
        assert record.ids().index(low) == HELD + 200
        assert server.terminate() == 0


def test_only_what_was_handed_out_goes_before_a_higher_priority(tmp_path: Path) -> None:
    """However much a consumer may hold in reserve, that is all there is between a 9 and the next place."""
    with recording(tmp_path, ACTIONS) as (server, record):
        hold(server, record)
        fill(server.url, [body("low")] * 500)
        urgent = fill(server.url, [body("urgent", priority=9)])[0]
        record.release()
        eventually(lambda: urgent in record.ids())
        assert record.ids().index(urgent) == HELD
        assert server.terminate() == 0


def test_priorities_hold_over_a_kill(tmp_path: Path) -> None:
    idle = ("-o", "app:task_consumer:lifecycle.auto_start=false")
    with recording(tmp_path, ACTIONS, *idle) as (server, record):
        fill(server.url, [body(f"{number % 10}", priority=number % 10) for number in range(300)])
        fill(server.url, [{"action": "at_once", "data": {"label": "0"}} for _ in range(50)])
        server.kill()
    with recording(tmp_path, ACTIONS) as (server, record):
        eventually(lambda: len(record.starts()) == 350, 60)
        labels = record.labels()
        assert labels == sorted(labels, reverse=True)
        assert server.terminate() == 0


def test_an_urgent_task_beyond_the_window_is_first_all_the_same(tmp_path: Path) -> None:
    """The window holds 50; the rest are rows."""
    window = ("-o", "app:queue_driver:max_length=50")
    with recording(tmp_path, ACTIONS, *window) as (server, record):
        hold(server, record)
        fill(server.url, [body("low")] * 1000)
        fill(server.url, [body("middle", priority=5)] * 100)
        fill(server.url, [body("urgent", priority=9)] * 100)
        record.release()
        eventually(lambda: len(record.starts()) == HELD + 1200, 60)
        labels = [label for label in record.labels() if label != "block"]
        assert labels == ["urgent"] * 100 + ["middle"] * 100 + ["low"] * 1000
        assert server.terminate() == 0
