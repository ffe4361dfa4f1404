"""`GET /tasks/{id}/why` says what a task waits for, and when it may start."""

from datetime import datetime
from pathlib import Path
from time import time
from typing import Any

import pytest
from lines import HELD, SECOND_QUEUE, fill, hold, recording
from support import Server, eventually

ACTIONS = """
@action
async def work(label: str = "", seconds: float = 0.01) -> None:
    await take(seconds, label)

@action(concurrency=1)
async def alone() -> None:
    await take(60)

@action(concurrency=1, concurrency_key="data.customer")
async def alone_for(customer: str) -> None:
    await take(60)

@action(rate_limit="2/30s")
async def seldom() -> None:
    await take(0)

@action
def isolated() -> None:
    time.sleep(60)
"""

IDLE = ("-o", "app:task_consumer:lifecycle.auto_start=false")
pytestmark = pytest.mark.timeout(120)


def why(server: Server, id_: str) -> dict[str, Any]:
    answer = server.get(f"/tasks/{id_}/why")
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    assert found["id"] == id_
    return found


def reasons(server: Server, id_: str) -> dict[str, dict[str, Any]]:
    return {one["reason"]: one for one in why(server, id_)["waiting_for"]}


def seconds_until(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() - time()


def test_a_place_in_line_and_an_estimate(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        ids = fill(server.url, [{"action": "work", "data": {"seconds": 0.02}}] * 400)
        eventually(lambda: len(record.starts()) > 60)
        last = why(server, ids[-1])
        done = len(record.starts())
        assert last["status"] == "queued"
        (place,) = last["waiting_for"]
        assert place["reason"] == "place"
        assert place["queue"] == "tasks"
        assert place["more"] is False
        # Fifty or so may have been under way, or have ended since; connections race for the last places.
        assert 400 - done - 60 <= place["ahead"] <= 400 - done + 60
        estimate = seconds_until(last["estimated_start"])
        asked = time()
        eventually(lambda: ids[-1] in record.ids(), 60)
        taken = time() - asked
        assert 0.4 * taken - 1 < estimate < 2.5 * taken + 1
        eventually(lambda: why(server, ids[-1])["waiting_for"] == [])


def test_nothing_is_estimated_before_anything_is_known(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        hold(server, record)
        last = fill(server.url, [{"action": "work"}] * 5, connections=1)[-1]
        place = {"reason": "place", "queue": "tasks", "ahead": HELD - 2 + 4, "more": False}
        eventually(
            lambda: why(server, last)["waiting_for"] == [place]
        )  # those that run are shown in a moment
        assert why(server, last)["estimated_start"] is None
        record.release()
        assert server.ended(last)["status"] == "completed"
        ended = why(server, last)
        assert (ended["status"], ended["waiting_for"], ended["estimated_start"]) == ("completed", [], None)
        assert server.terminate() == 0


def test_a_priority_and_a_plain_task_know_who_is_before_them(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS, *IDLE) as (server, _):
        plain = fill(server.url, [{"action": "work"}] * 20, connections=1)
        high = fill(server.url, [{"action": "work", "priority": 5}] * 10, connections=1)
        late = fill(server.url, [{"action": "work"}] * 5, connections=1)
        aheads = {id_: reasons(server, id_)["place"]["ahead"] for id_ in (*plain, *high, *late)}
        assert [aheads[id_] for id_ in high] == list(range(10))
        assert [aheads[id_] for id_ in plain] == list(range(10, 30))
        assert [aheads[id_] for id_ in late] == list(range(30, 35))


def test_more_than_ten_thousand_are_not_counted(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS, *IDLE) as (server, _):
        ids = fill(server.url, [{"action": "work"}] * 10_050 + [{"action": "work", "tags": ["x"]}] * 20)
        place = reasons(server, ids[-1])["place"]
        assert (place["ahead"], place["more"]) == (10_000, True)
        assert why(server, ids[-1])["estimated_start"] is None
        assert reasons(server, ids[0])["place"]["more"] is False


def test_a_paused_queue_says_by_whom_and_since_when(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, _):
        assert server.request("POST", "/queues/tasks/pause", {"by": "ann"}).status == 200
        id_ = server.submit("work")
        paused = reasons(server, id_)["paused"]
        assert (paused["queue"], paused["by"]) == ("tasks", "ann")
        assert -60 < seconds_until(paused["since"]) <= 0
        assert why(server, id_)["estimated_start"] is None
        assert server.request("POST", "/queues/tasks/resume").status == 200
        assert server.ended(id_)["status"] == "completed"


def test_a_queue_without_a_consumer(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS, index=SECOND_QUEUE) as (server, _):
        id_ = fill(server.url, [{"action": "work", "queue": "second"}])[0]
        found = reasons(server, id_)
        assert found["no_consumer"] == {"reason": "no_consumer", "queue": "second"}
        assert why(server, id_)["estimated_start"] is None


def test_a_concurrency_limit_names_who_runs(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, _):
        first = server.submit("alone")
        eventually(lambda: why(server, first)["status"] == "running")
        running = why(server, first)
        assert running["waiting_for"] == []
        assert running["running"]["on"] == "loop"
        assert -60 < seconds_until(running["running"]["since"]) <= 0
        second = server.submit("alone")
        limit = reasons(server, second)["limit"]
        assert limit.pop("running") == [first]
        assert limit == {
            "reason": "limit", "limit": "alone", "key": None, "kind": "concurrency", "next_at": None,
        }  # fmt: skip
        assert why(server, second)["estimated_start"] is None
        assert server.ended(server.submit("work"))["status"] == "completed", "others are not held up"


def test_a_limit_of_a_key_names_the_key(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        first = server.submit("alone_for", {"customer": "acme"})
        eventually(lambda: first in record.ids())
        limit = reasons(server, server.submit("alone_for", {"customer": "acme"}))["limit"]
        assert (limit["limit"], limit["key"], limit["running"]) == ("alone_for", "acme", [first])
        assert server.ended(server.submit("work"))["status"] == "completed"


def test_a_rate_limit_says_when_the_next_starts_and_estimates_all_after_it(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        ids = fill(server.url, [{"action": "seldom"}] * 5, connections=1)
        eventually(lambda: len(record.starts()) == 2)
        limit = reasons(server, ids[2])["limit"]
        assert limit["kind"] == "rate"
        assert 15 < seconds_until(limit["next_at"]) <= 31
        estimates = [seconds_until(why(server, id_)["estimated_start"]) for id_ in ids[2:]]
        assert all(15 < one <= 31 for one in estimates[:2])
        assert 45 < estimates[2] <= 61


def test_a_scheduled_task_says_when(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, _):
        id_ = fill(server.url, [{"action": "work", "delay": 30}])[0]
        found = why(server, id_)
        assert found["status"] == "scheduled"
        assert [one["reason"] for one in found["waiting_for"]] == ["scheduled"]
        assert 20 < seconds_until(found["waiting_for"][0]["run_at"]) <= 30
        assert found["estimated_start"] == found["waiting_for"][0]["run_at"]


def test_an_action_that_is_no_more(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS, *IDLE) as (server, _):
        plain = server.submit("work")
        ranked = fill(server.url, [{"action": "work", "priority": 3}])[0]
        server.kill()
    with recording(tmp_path, "") as (server, _):
        for id_ in (plain, ranked):
            assert reasons(server, id_)["no_action"] == {"reason": "no_action", "action": "work"}
            assert why(server, id_)["estimated_start"] is None


def test_a_running_def_says_that_it_runs_in_a_process(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, _):
        id_ = server.submit("isolated")
        eventually(lambda: why(server, id_)["status"] == "running")
        assert why(server, id_)["running"]["on"] == "process"


@pytest.mark.parametrize("id_", ["01a20f0e-15cd-7000-9b4c-658070ddb5e6", "nonsense"])
def test_an_unknown_task_is_not_found(server: Server, id_: str) -> None:
    assert server.get(f"/tasks/{id_}/why").status == 404


def test_there_are_no_parameters(server: Server) -> None:
    id_ = server.submit("uppercase", {"text": "x"})
    assert server.get(f"/tasks/{id_}/why?x=1").status == 400
