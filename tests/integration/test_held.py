"""Held tasks: stored, run once they are released, and cancelled where that does not come."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from apps import application
from nodes import MEMORY, cluster, leader
from support import Server, eventually, serving

from taskmill.client import Client, ProblemError

ACTIONS = """
@action
async def quick(number: int = 0) -> int:
    return number

@action(unique="return", concurrency=1)
async def single() -> None: ...

@action(unique=__import__("taskmill").Unique(key="data.number"))
async def keyed(number: int = 0) -> None: ...

@action(fair_key="data.number", queue="")
async def fair(number: int = 0) -> int:
    return number
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("held")
    with serving(directory, str(application(directory / "app", ACTIONS))) as server:
        yield server


def hold(server: Server, hold: object = 3600, **fields: object) -> str:
    answer = server.request("POST", "/tasks", {"action": "quick", "hold": hold, **fields})
    assert answer.status == 202, answer.body
    assert answer.json()["status"] == "scheduled"
    return str(answer.json()["id"])


def show(server: Server, id_: str) -> dict[str, Any]:
    task: dict[str, Any] = server.get(f"/tasks/{id_}").json()
    return task


def release(server: Server, id_: str, status: int = 200) -> None:
    answer = server.request("POST", f"/tasks/{id_}/release")
    assert answer.status == status, answer.body


@pytest.mark.parametrize("value", [3600, 3600.5, "3600s", "60m", "1h"])
def test_a_held_task_runs_once_it_is_released(server: Server, value: object) -> None:
    id_ = hold(server, value, data={"number": 7}, tags=["t"], priority=3)
    task = show(server, id_)
    assert (task["status"], task["run_at"], task["attempt"]) == ("scheduled", None, 0)
    assert task["created_at"] < task["held_until"]
    why = server.get(f"/tasks/{id_}/why").json()
    assert why["waiting_for"] == [{"reason": "held", "until": task["held_until"]}]
    assert why["estimated_start"] is None
    release(server, id_)
    assert server.ended(id_)["result"] == {"output": 7}
    assert show(server, id_)["held_until"] is None
    release(server, id_)  # again: it is as it should be
    assert server.request("DELETE", f"/tasks/{id_}").status == 409


@pytest.mark.parametrize("fields", [{"action": "fair", "data": {"number": 1}}, {"action": "single"}])
def test_those_with_fair_shares_and_limits_run_too(server: Server, fields: dict[str, object]) -> None:
    ids = [hold(server, **fields) for _ in range(3)]
    for id_ in ids:
        release(server, id_)
    assert {server.ended(id_)["status"] for id_ in ids} == {"completed"}


def test_its_own_time_is_waited_for_after_the_release(server: Server) -> None:
    id_ = hold(server, delay=3000)
    later = show(server, id_)
    assert later["run_at"] < later["held_until"]
    release(server, id_)
    task = show(server, id_)
    assert (task["status"], task["run_at"], task["held_until"]) == ("scheduled", later["run_at"], None)
    passed = hold(server, delay=0.01)
    eventually(lambda: show(server, passed)["run_at"] < _now())
    assert show(server, passed)["status"] == "scheduled"
    release(server, passed)
    assert server.ended(passed)["status"] == "completed"


def test_the_end_of_the_hold_cancels_it_and_tells_who_waits(server: Server) -> None:
    id_ = hold(server, 0.5)
    task = server.request("GET", f"/tasks/{id_}?wait=30", timeout=40).json()
    assert (task["status"], task["error"]["type"]) == ("cancelled", "hold_ended")
    assert task["held_until"] is None
    release(server, id_, 409)
    again = server.request("POST", f"/tasks/{id_}/retry").json()
    assert (again["status"], again["held_until"]) == ("queued", None)
    assert server.ended(id_)["status"] == "completed"


def test_a_held_task_is_dropped_and_to_drop_it_again_does_no_harm(server: Server) -> None:
    id_ = hold(server)
    for _ in range(2):
        answer = server.request("DELETE", f"/tasks/{id_}")
        assert answer.status == 200
        assert answer.json()["error"]["type"] == "dropped"
    release(server, id_, 409)
    other = hold(server)
    assert server.request("POST", f"/tasks/{other}/cancel").json()["status"] == "cancelled"
    expired = hold(server, expires_in=0.2)
    assert server.ended(expired)["error"]["type"] == "expired"
    unknown = "019ab000-0000-7000-8000-000000000000"
    assert server.request("DELETE", f"/tasks/{unknown}").status == 404
    release(server, unknown, 404)


def test_of_a_release_and_a_drop_at_once_one_counts(server: Server) -> None:
    for _ in range(20):
        id_ = hold(server)
        asked = [("POST", f"/tasks/{id_}/release"), ("DELETE", f"/tasks/{id_}")]
        with ThreadPoolExecutor(2) as threads:
            statuses = [answer.status for answer in threads.map(lambda one: server.request(*one), asked)]
        assert sorted(statuses) == [200, 409]
        server.ended(id_)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"hold": 0}, "hold"),
        ({"hold": "0s"}, "hold"),
        ({"hold": "soon"}, "hold"),
        ({"hold": True}, "hold"),
        ({"hold": 60, "key": "k"}, "hold"),
        ({"hold": 60, "start_by": 5}, "hold"),
        ({"hold": 60, "action": "keyed"}, "hold"),
    ],
)
def test_what_cannot_be_held_is_refused(server: Server, fields: dict[str, object], path: str) -> None:
    body = {"action": "quick", **fields}
    one = server.request("POST", "/tasks", body)
    assert (one.status, one.json()["errors"][0]["path"]) == (400, path), one.body
    many = server.request("POST", "/tasks/bulk", {"tasks": [body]})
    assert (many.status, many.json()["errors"][0]["path"]) == (400, f"tasks[0].{path}"), many.body


def test_every_door_holds(server: Server) -> None:
    body = {"action": "quick", "hold": "1h", "data": {"number": 3}}
    ids = server.request("POST", "/tasks/bulk", {"tasks": [body, body]}).json()["ids"]
    lines = server.request(
        "POST", "/tasks/bulk", json.dumps(body).encode(), {"Content-Type": "application/x-ndjson"}
    )
    ids.append(json.loads(lines.body)["id"])
    key = {"Idempotency-Key": f"held {time.time()}"}
    first = server.request("POST", "/tasks", body, key).json()["id"]
    assert server.request("POST", "/tasks", body, key).json()["id"] == first
    for id_ in (*ids, first):
        assert show(server, id_)["held_until"]
        release(server, id_)
        assert server.ended(id_)["result"] == {"output": 3}


def test_the_client_holds_releases_and_drops(server: Server) -> None:
    with Client(server.url) as client:
        handle = client.submit("quick", {"number": 5}, hold="1h")
        assert handle.get().held_until is not None
        handle.release()
        assert handle.result(20) == 5
        dropped = client.submit("quick", hold=3600)
        assert dropped.drop().status == "cancelled"
        with pytest.raises(ProblemError, match="submit it again"):
            dropped.release()


def test_holds_outlive_a_kill_and_end_in_time_also_while_nobody_serves(tmp_path: Path) -> None:
    app = str(application(tmp_path / "app", ACTIONS))
    with serving(tmp_path, app) as server:
        ids = [hold(server, data={"number": number}) for number in range(5)]
        short = hold(server, 1)
        release(server, ids[0])
        server.kill()  # at once after the answer: the release is kept
    with serving(tmp_path, app) as server:
        assert server.ended(ids[0])["result"] == {"output": 0}
        assert server.ended(short)["error"]["type"] == "hold_ended"
        assert [show(server, id_)["status"] for id_ in ids[1:]] == ["scheduled"] * 4
        for id_ in ids[1:]:
            release(server, id_)
        assert [server.ended(id_)["result"]["output"] for id_ in ids] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("database", ["postgres", "mariadb"])
def test_any_node_releases_and_drops(tmp_path: Path, database: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(f"{database}_url")
    with cluster(tmp_path, url, MEMORY, ACTIONS) as nodes:
        first, second = nodes.start(), nodes.start()
        leads = eventually(lambda: leader(first, nodes.nodes), 30)
        other = second if leads is first else first
        ids = [hold(leads, data={"number": 1}), hold(other, data={"number": 1})]
        for id_ in ids:
            release(other, id_)
        for id_ in ids:
            assert leads.ended(id_)["result"] == {"output": 1}
        gone, short = hold(leads), hold(other, 0.3)
        assert other.request("DELETE", f"/tasks/{gone}").status == 200
        assert leads.ended(gone)["error"]["type"] == "dropped"
        assert other.ended(short)["error"]["type"] == "hold_ended"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
