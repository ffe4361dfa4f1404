"""`GET /metrics`: what it counts, on a server that runs, retries, fails, expires and cancels tasks."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application
from external import ACTIONS as FOR_OTHERS
from external import Worker, declare
from nodes import POSTGRES, cluster
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from support import Server, eventually, require, serving

from taskmill.tasks.metrics.families import FAMILIES

ACTIONS = """
@action(inline=True)
def quick() -> str:
    return "done"

@action(max_attempts=2, backoff="10ms")
async def breaks() -> None:
    await asyncio.sleep(0.06)
    raise ValueError("never")

@action
def isolated() -> int:
    return os.getpid()

@action(inline=True)
def takes_batch(batch: dict[str, Any]) -> None:
    pass

@action(name="*", inline=True)
def anything() -> None:
    pass
"""

Samples = dict[tuple[str, tuple[str, ...]], float]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("metrics")
    with serving(place, str(declare(application(place / "app", ACTIONS + FOR_OTHERS)))) as running:
        yield running


def scraped(server: Server) -> Samples:
    """Return all samples: by name and the values of their labels, in the order of the labels' names."""
    answer = server.get("/metrics")
    assert answer.status == 200, answer.body
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in read_text(answer.body.decode())
        for sample in family.samples
    }


def came(server: Server, before: Samples, name: str, *labels: str) -> float:
    """Return by how much a sample has grown."""
    return scraped(server).get((name, labels), 0.0) - before.get((name, labels), 0.0)


def test_ends_are_counted_and_attempts_measured(server: Server) -> None:
    before = scraped(server)
    for action in ["quick"] * 12 + ["breaks"] * 2 + ["isolated", "resize-1", "resize-2"]:
        server.ended(server.submit(action))
    counted = {
        ("quick", "completed"): 12, ("breaks", "failed"): 2, ("isolated", "completed"): 1, ("other", "completed"): 2,
    }  # fmt: skip
    for (action, status), count in counted.items():
        assert came(server, before, "taskmill_tasks_total", action, "tasks", status) == count
        for times in ("waiting", "running"):
            assert came(server, before, f"taskmill_task_{times}_seconds_count", action, "tasks") == count
    assert came(server, before, "taskmill_task_retries_total", "breaks", "tasks") == 2
    assert came(server, before, "taskmill_tasks_submitted_total", "tasks") == 17
    last = came(server, before, "taskmill_task_running_seconds_sum", "breaks", "tasks")
    assert 0.12 <= last < 20  # of the last attempts, not of those before
    assert came(server, before, "taskmill_task_running_seconds_bucket", "breaks", "0.05", "tasks") == 0
    assert came(server, before, "taskmill_task_running_seconds_bucket", "breaks", "+Inf", "tasks") == 2
    assert came(server, before, "taskmill_commit_seconds_count", "app:db") >= 17
    assert came(server, before, "taskmill_commits_failed_total", "app:db") == 0


def test_tasks_are_counted_by_whichever_door_they_come(server: Server) -> None:
    before = scraped(server)
    tasks = [{"action": "quick", **({"priority": 1} if number % 3 else {})} for number in range(30)]
    assert server.request("POST", "/tasks/bulk", {"tasks": tasks}).status == 202
    lines = "\n".join(map(json.dumps, tasks)).encode()
    asked = {"Content-Type": "application/x-ndjson"}
    assert server.request("POST", "/tasks/bulk", lines, asked).status == 200
    last = {"action": "takes_batch", "data": {}}
    body = {"tasks": tasks[:4], "on_complete": last}
    assert server.request("POST", "/batches", body).status == 202
    eventually(lambda: came(server, before, "taskmill_tasks_total", "quick", "tasks", "completed") == 64)
    eventually(lambda: came(server, before, "taskmill_tasks_total", "takes_batch", "tasks", "completed") == 1)
    assert came(server, before, "taskmill_tasks_submitted_total", "tasks") == 65


def test_tasks_that_end_as_rows_are_counted(server: Server) -> None:
    before = scraped(server)
    (late, dropped, unheard) = (
        str(server.request("POST", "/tasks", {"action": "quick", **fields}).json()["id"])
        for fields in ({"delay": 60, "expires_in": 0.1}, {"delay": 60}, {"hold": 0.1})
    )
    assert server.request("POST", f"/tasks/{dropped}/cancel").status == 200
    assert [server.ended(id_)["status"] for id_ in (late, unheard)] == ["failed", "cancelled"]
    eventually(lambda: came(server, before, "taskmill_tasks_total", "quick", "tasks", "failed") == 1)
    eventually(lambda: came(server, before, "taskmill_tasks_total", "quick", "tasks", "cancelled") == 2)


def test_what_workers_outside_tell_is_counted(server: Server) -> None:
    before = scraped(server)
    for _ in range(2):
        server.request("POST", "/tasks", {"action": "resize", "data": {"url": "x"}})
    worker = Worker(server)
    for say in ("complete", "fail", "release", "complete"):
        (task,) = worker.claim(1, wait=20)
        error = {"error": {"type": "E", "message": "m"}} if say == "fail" else {}
        assert worker.say(say, task, **error) == 200
    worker.close()
    assert came(server, before, "taskmill_task_retries_total", "resize", "images") == 1  # no release is one
    assert came(server, before, "taskmill_tasks_total", "resize", "images", "completed") == 2


def test_requests_are_timed_by_route_and_not_by_path(server: Server) -> None:
    before = scraped(server)
    id_ = server.submit("quick")
    for _ in range(3):
        assert server.get(f"/tasks/{id_}").status == 200
    assert server.get("/tasks/none").status == 404
    assert server.get(f"/tasks/{id_}/why").status == 200
    assert server.get("/somewhere/else").status == 404
    assert server.request("POST", "/tasks", {"action": 1}).status == 400
    assert server.request("POST", "/tasks", b"x" * (2**20 + 1)).status == 413

    def answers(method: str, route: str, status: str) -> float:
        return came(
            server, before, "taskmill_http_request_seconds_count", method, route, "app:gateway", status
        )

    assert answers("POST", "/tasks", "2xx") == 1
    assert answers("POST", "/tasks", "4xx") == 1
    assert answers("GET", "/tasks/{id}", "2xx") == 3
    assert answers("GET", "/tasks/{id}", "4xx") == 1
    assert answers("GET", "/tasks/{id}/why", "2xx") == 1
    assert answers("GET", "unmatched", "4xx") == 1
    assert came(server, before, "taskmill_http_turned_away_total", "app:gateway", "413") == 1


def test_the_state_of_the_service_is_told(server: Server) -> None:
    server.request("POST", "/tasks", {"action": "quick", "delay": 3600})
    eventually(lambda: scraped(server)["taskmill_queue_tasks", ("tasks", "scheduled")] >= 1)
    found = scraped(server)
    assert found["taskmill_workers_wanted", ("app:processes",)] == 2
    assert found["taskmill_database_writable", ("app:db",)] == 1
    assert found["taskmill_node_leads", ()] == 1
    assert found["taskmill_http_connections", ("app:gateway",)] >= 1
    assert found["taskmill_database_bytes", ("app:db", "used")] > 10_000
    assert found["process_resident_memory_bytes", ()] > 10_000_000
    eventually(lambda: scraped(server)["taskmill_event_loop_lag_seconds_count", ()] >= 2)


def test_a_worker_process_that_dies_is_counted(server: Server) -> None:
    before = scraped(server)
    pid = server.ended(server.submit("isolated"))["result"]["output"]
    os.kill(pid, signal.SIGKILL)
    eventually(
        lambda: came(server, before, "taskmill_workers_replaced_total", "app:processes", "crashed") == 1
    )


def test_both_formats_are_what_they_say(server: Server) -> None:
    server.ended(server.submit("quick"))
    asked = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer = server.request("GET", "/metrics", headers=asked)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in read_openmetrics(answer.body.decode())}
    assert {family.name.removesuffix("_total").removesuffix("_info") for family in FAMILIES} <= names
    plain = server.get("/metrics")
    assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    promtool = require(shutil.which("promtool"), "apt-get install prometheus")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=plain.body, capture_output=True, check=False, timeout=30
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert server.get("/metrics?since=1").status == 400


@pytest.mark.long
def test_what_nodes_count_adds_up(tmp_path: Path, postgres_url: str) -> None:
    with cluster(tmp_path, postgres_url, POSTGRES, ACTIONS) as nodes:
        servers = [nodes.start(), nodes.start()]
        ids = [servers[number % 2].submit("quick") for number in range(40)]
        for id_ in ids:
            servers[0].ended(id_)

        def in_all(name: str, *labels: str) -> float:
            return sum(scraped(server).get((name, labels), 0) for server in servers)

        eventually(lambda: in_all("taskmill_tasks_total", "quick", "tasks", "completed") == 40)
        assert in_all("taskmill_tasks_submitted_total", "tasks") == 40
        assert in_all("taskmill_task_waiting_seconds_count", "quick", "tasks") == 40
        assert in_all("taskmill_node_leads") == 1
        servers[0].request("POST", "/tasks", {"action": "quick", "delay": 3600})
        for server in servers:
            eventually(
                lambda server=server: scraped(server)["taskmill_queue_tasks", ("tasks", "scheduled")] == 1
            )
            assert scraped(server)["taskmill_database_bytes", ("app:db", "used")] > 10_000
