"""What cannot start in time, or finds no room, is refused at once, stores nothing, and is told when to come again."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from apps import memory
from lines import SECOND_QUEUE, fill, hold, recording, rows
from support import Answer, Server, eventually

LIMIT = int(os.environ.get("TASKMILL_MAX_BACKLOG", "2000"))
QUICK = 1.0  # seconds that an answer may take on a busy machine
MIB = 2**20

ACTIONS = """
@action
async def work(label: str = "", seconds: float = 0.02) -> None:
    await take(seconds, label)

@action(rate_limit="2/30s")
async def seldom() -> None:
    await take(0)

@action(inline=True)
def nothing() -> None:
    pass

@action(max_attempts=3, backoff=0.05)
async def fails() -> None:
    raise ValueError("again")
"""

pytestmark = pytest.mark.timeout(120)


def post(
    server: Server, action: str = "work", headers: dict[str, str] | None = None, **fields: Any
) -> Answer:
    return server.request("POST", "/tasks", {"action": action, **fields}, headers)


def retry_after(answer: Answer) -> int:
    assert answer.status == 503, answer.body
    assert answer.json()["status"] == 503
    return int(answer.headers["retry-after"])


def stored(data: Path) -> int:
    return int(rows(data, "SELECT count(*) FROM task")[0][0])


def test_what_would_start_too_late_is_refused_and_stores_nothing(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        fill(server.url, [{"action": "work"}] * 600)  # some six seconds
        eventually(lambda: len(record.starts()) > 60)
        refused = post(server, start_by=0.3)
        assert 2 <= retry_after(refused) <= 30
        assert "would not start within 0.3 s" in refused.json()["detail"]
        accepted = post(server, start_by=60)
        assert accepted.status == 202
        first = post(server, start_by=0.3, priority=9)
        assert first.status == 202, "the line is that before its own place"
        assert server.ended(first.json()["id"])["status"] == "completed"
        assert server.ended(accepted.json()["id"], 60)["status"] == "completed"
        assert server.terminate() == 0
    assert stored(tmp_path) == 602


def test_a_client_that_waits_as_told_is_accepted(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        fill(server.url, [{"action": "work"}] * 400)
        eventually(lambda: len(record.starts()) > 60)
        wait = retry_after(post(server, start_by=1))
        told = monotonic()
        eventually(lambda: post(server, start_by=1).status == 202, 30)
        assert monotonic() - told < 2 * wait + 2


def test_without_a_line_or_knowledge_everything_is_accepted(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, _):
        id_ = post(server, start_by=5).json()["id"]
        assert server.ended(id_)["status"] == "completed"
        assert server.terminate() == 0


def test_what_was_accepted_and_is_not_started_in_time_expires(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        hold(server, record)
        ids = [
            post(server, start_by=0.5).json()["id"],
            post(server, start_by=0.5, expires_in=60).json()["id"],
        ]
        ended = server.ended(ids[0])
        assert (ended["status"], ended["error"]["type"]) == ("failed", "expired")
        record.release()
        assert server.ended(ids[1])["status"] == "completed", "it was given another time"
        assert server.terminate() == 0


def test_a_queue_that_stands_still_starts_nothing_in_time(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS, index=SECOND_QUEUE) as (server, _):
        without = post(server, start_by=3600, queue="second")
        assert retry_after(without) > 1
        assert "has no consumer" in without.json()["detail"]
        assert server.request("POST", "/queues/tasks/pause").status == 200
        paused = post(server, start_by=3600)
        assert retry_after(paused) > 1
        assert "is paused" in paused.json()["detail"]
        assert post(server).status == 202
        assert server.request("POST", "/queues/tasks/resume").status == 200
        assert post(server, start_by=3600).status == 202
        assert server.terminate() == 0
    assert stored(tmp_path) == 2


def test_a_rate_limit_counts_as_well_as_the_line(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        fill(server.url, [{"action": "seldom"}] * 2)
        eventually(lambda: len(record.starts()) == 2)
        assert 10 < retry_after(post(server, "seldom", start_by=5)) <= 30
        assert post(server, "seldom", start_by=40).status == 202


def test_a_task_planned_for_later_than_it_must_start_is_a_mistake(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, _):
        answer = post(server, start_by=5, delay=10)
        assert answer.status == 400
        assert [error["path"] for error in answer.json()["errors"]] == ["start_by"]
        assert post(server, start_by=5, delay=0.01).status == 202
        for wrong in (0, -1, "soon"):
            assert post(server, start_by=wrong).status == 400
        assert server.terminate() == 0


def test_what_was_accepted_once_is_replayed_also_when_a_new_one_would_be_refused(tmp_path: Path) -> None:
    with recording(tmp_path, ACTIONS) as (server, record):
        headers = {"Idempotency-Key": "one"}
        first = post(server, headers=headers, start_by=1)
        assert first.status == 202
        fill(server.url, [{"action": "work"}] * 600)
        eventually(lambda: len(record.starts()) > 60)
        retry_after(post(server, headers={"Idempotency-Key": "two"}, start_by=1))
        again = post(server, headers=headers, start_by=1)
        assert (again.status, again.json()["id"]) == (202, first.json()["id"])
        assert again.headers["idempotency-replayed"] == "true"


def test_F26_the_backlog_has_an_end_and_the_server_stays_quick(tmp_path: Path) -> None:
    """Submit far faster than tasks are worked off, until there is no room; then let them be worked off."""
    bound = ("-o", f"app:tasks:max_backlog={LIMIT}")
    with recording(tmp_path, ACTIONS, *bound) as (server, record):
        hold(server, record)
        fill(server.url, [{"action": "work", "data": {"seconds": 0}}] * (LIMIT - 60))
        before = memory(server.process.pid)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: post(server, data={"seconds": 0}), range(200)))
            statuses = [answer.status for answer in answers]
            assert set(statuses) == {202, 503}
            # Those whose commit was under way together may pass the bound by a few.
            assert 53 <= statuses.count(202) <= 53 + 16
            assert all(retry_after(answer) >= 1 for answer in answers if answer.status == 503)
            flood = [pool.submit(post, server) for _ in range(400)]
            for path in (
                "/healthz",
                "/tasks?limit=10",
                "/readyz",
                "/healthz",
                "/tasks?status=queued&limit=1",
            ):
                began = monotonic()
                assert server.get(path).status == 200
                assert monotonic() - began < QUICK
            assert {one.result().status for one in flood} == {503}
        assert memory(server.process.pid) - before < 20 * MIB
        bulk = post(server, priority=5)
        assert bulk.status == 503, "whatever their options"
        record.release()
        eventually(lambda: post(server, data={"seconds": 0}).status == 202, 60)
        waiting = "/tasks?status=queued&limit=1"
        eventually(lambda: server.get(waiting).json()["count"] == 0, 60)
        fill(server.url, [{"action": "nothing"}] * 200)
        assert server.terminate() == 0
    assert {status for (status,) in rows(tmp_path, "SELECT DISTINCT status FROM task")} == {3}


def test_the_backlog_is_counted_anew_at_the_start(tmp_path: Path) -> None:
    idle = ("-o", "app:task_consumer:lifecycle.auto_start=false")
    with recording(tmp_path, ACTIONS, *idle) as (server, _):
        fill(server.url, [{"action": "work"}] * 100)
        server.kill()
    with recording(tmp_path, ACTIONS, *idle, "-o", "app:tasks:max_backlog=100") as (server, _):
        eventually(lambda: post(server).status == 503)
        server.kill()
    with recording(tmp_path, ACTIONS, *idle, "-o", "app:tasks:max_backlog=null") as (server, _):
        fill(server.url, [{"action": "work"}] * 200)


def test_the_count_follows_whatever_becomes_of_tasks(tmp_path: Path) -> None:
    """Cancelled, expired, failed after retries, run again: in the end there is room for as many as before."""
    with recording(tmp_path, ACTIONS, "-o", "app:tasks:max_backlog=60") as (server, record):

        def room() -> int:
            """Fill what is free, take it away again, and return how much there was."""
            taken = []
            while (answer := post(server, delay=1000)).status == 202:
                taken.append(answer.json()["id"])
            for id_ in taken:
                assert server.request("POST", f"/tasks/{id_}/cancel").status == 200
            return len(taken)

        assert room() == 60
        failed = fill(server.url, [{"action": "fails"}] * 5)
        for id_ in failed:
            assert server.ended(id_)["attempt"] == 3
        eventually(lambda: room() == 60)
        for id_ in failed:
            assert server.request("POST", f"/tasks/{id_}/retry").status == 200
        for id_ in failed:
            assert server.ended(id_)["attempt"] == 6
        eventually(lambda: room() == 60)
        hold(server, record)
        expired = [post(server, expires_in=3).json()["id"] for _ in range(5)]
        cancelled = [post(server).json()["id"] for _ in range(5)]
        assert room() == 60 - 17
        for id_ in cancelled:
            server.request("POST", f"/tasks/{id_}/cancel")
        for id_ in expired:
            assert server.ended(id_)["error"]["type"] == "expired"
        assert room() == 60 - 7
        record.release()
        eventually(lambda: room() == 60)
        assert server.terminate() == 0
