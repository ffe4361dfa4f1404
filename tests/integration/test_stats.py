"""`GET /stats` over HTTP: what it counts, on a server that runs, retries and fails tasks of two queues."""

from collections.abc import Iterator
from typing import Any

import pytest
from apps import application
from support import Server, eventually, serving

ACTIONS = """
@action(inline=True)
def quick() -> str:
    return "done"

@action(max_attempts=2, backoff="10ms")
async def breaks() -> None:
    await asyncio.sleep(0.1)
    raise ValueError("never")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("stats")
    with serving(place, directory=application(place / "app", ACTIONS)) as running:
        yield running


def stats(server: Server) -> Any:
    answer = server.get("/stats")
    assert answer.status == 200, answer.body
    return answer.json()


def test_it_counts_by_status_and_queue_and_measures(server: Server) -> None:
    for _ in range(20):
        server.ended(server.submit("quick"))
    for _ in range(2):
        server.ended(server.submit("breaks"))
    eventually(lambda: stats(server)["counts"]["failed"] == 2)
    found = stats(server)
    assert found["counts"]["completed"] == 20
    (queue,) = found["queues"]
    assert (queue["completed"], queue["failed"], queue["retried"]) == (20, 2, 2)
    assert sum(minute["completed"] for minute in queue["history"]) == 20
    assert 0 < queue["throughput"] == found["throughput"] < 22.001
    assert queue["running"]["p50"] < 0.09 <= queue["running"]["p99"]
    assert queue["waiting"]["p50"] <= queue["waiting"]["p95"] <= queue["waiting"]["p99"]


def test_it_counts_what_waits(server: Server) -> None:
    server.request("POST", "/tasks", {"action": "quick", "delay": 3600})
    eventually(lambda: stats(server)["queues"][0]["depth"]["scheduled"] == 1)
    eventually(lambda: stats(server)["counts"]["scheduled"] == 1)


def test_it_takes_no_parameters(server: Server) -> None:
    assert server.get("/stats?since=1").status == 400
