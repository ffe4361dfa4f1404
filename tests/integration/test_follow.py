"""Tasks that follow tasks, on every database: when they begin, when they fail, and what is refused."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from apps import application
from external import ENTRIES, Worker, declare
from support import Server, eventually, serving

ACTIONS = """
@action(inline=True)
def stamp() -> float:
    return time.time()

@action(max_attempts=1)
async def gated(gate: str, fail: bool = False) -> float:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    if fail:
        raise ValueError("as it was told")
    return time.time()

@action(backoff=[0.05])
def again(marker: str) -> str:
    if not os.path.exists(marker):
        open(marker, "w").close()
        raise ValueError("once")
    return "at last"
"""


@pytest.fixture(scope="module", params=["sqlite", "postgres", "mariadb"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("follow")
    url = None if request.param == "sqlite" else request.getfixturevalue(request.param).create()
    with serving(place, str(declare(application(place / "app", ACTIONS, url), ENTRIES))) as server:
        yield server
        assert server.terminate() == 0
        print(server.text())
        assert "ERROR" not in server.text()


class Gate:
    """What gated tasks wait for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.data = {"gate": str(path)}

    def open(self) -> None:
        self.path.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    gate = Gate(tmp_path / "gate")
    yield gate
    gate.open()


def submit(server: Server, action: str, data: object = None, **options: Any) -> str:
    answer = server.request("POST", "/tasks", {"action": action, "data": data or {}, **options})
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def get(server: Server, id_: str) -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/tasks/{id_}").json()
    return found


def waits_for(server: Server, id_: str) -> list[str]:
    (reason,) = server.get(f"/tasks/{id_}/why").json()["waiting_for"]
    assert reason["reason"] == "after"
    assert reason["count"] == len(reason["tasks"])
    assert not reason["more"]
    return list(reason["tasks"])


def test_it_begins_when_all_have_completed(server: Server, gate: Gate, tmp_path: Path) -> None:
    other = Gate(tmp_path / "other")
    first, second = (submit(server, "gated", one.data) for one in (gate, other))
    answer = server.request("POST", "/tasks", {"action": "stamp", "after": [first, second]})
    assert (answer.status, answer.json()["status"]) == (202, "scheduled")
    id_ = answer.json()["id"]
    shown = get(server, id_)
    assert (shown["status"], shown["after"], shown["run_at"]) == ("scheduled", [first, second], None)
    assert sorted(waits_for(server, id_)) == sorted([first, second])
    gate.open()
    assert server.ended(first)["status"] == "completed"
    assert waits_for(server, id_) == [second]
    other.open()
    ended = server.ended(id_)
    assert ended["status"] == "completed"
    assert ended["result"]["output"] >= get(server, second)["result"]["output"]


def test_what_has_completed_already_counts_as_done(server: Server) -> None:
    ids = [submit(server, "stamp") for _ in range(3)]
    for id_ in ids:
        server.ended(id_)
    follower = submit(server, "stamp", after=[*ids, ids[0]])
    ended = server.ended(follower)
    assert (ended["status"], ended["after"]) == ("completed", ids)


def test_it_fails_with_the_first_that_fails_and_names_it(server: Server, gate: Gate, tmp_path: Path) -> None:
    door = Gate(tmp_path / "door")
    slow, bad = submit(server, "gated", gate.data), submit(server, "gated", {**door.data, "fail": True})
    follower = submit(server, "stamp", after=[slow, bad])
    chained = submit(server, "stamp", after=[follower])
    anyhow = submit(server, "stamp", after=[follower], on_failure="run")
    door.open()
    ended = server.ended(follower)
    assert (ended["status"], ended["error"]["type"]) == ("failed", "dependency_failed")
    assert bad in ended["error"]["message"]
    assert (ended["attempt"], ended["started_at"]) == (0, None)
    assert get(server, slow)["status"] in ("queued", "running"), "it did not wait for the other one"
    assert server.ended(chained)["error"]["message"].count(follower) == 1
    assert server.ended(anyhow)["status"] == "completed"


def test_run_waits_for_all_of_them_however_they_end(server: Server, gate: Gate) -> None:
    bad = submit(server, "gated", {"gate": "/", "fail": True})
    slow = submit(server, "gated", gate.data)
    follower = submit(server, "stamp", after=[bad, slow], on_failure="run")
    server.ended(bad)
    assert waits_for(server, follower) == [slow]
    gate.open()
    assert server.ended(follower)["status"] == "completed"


def test_a_retry_is_no_end(server: Server, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    first = submit(server, "again", {"marker": str(marker)})
    follower = submit(server, "stamp", after=[first])
    assert server.ended(follower)["status"] == "completed"
    assert get(server, first)["attempt"] == 2


def test_a_cancel_ends_it(server: Server, gate: Gate) -> None:
    running, waiting = submit(server, "gated", gate.data), submit(server, "stamp", delay=600)
    followers = [submit(server, "stamp", after=[one]) for one in (running, waiting)]
    for id_, follower in zip((running, waiting), followers, strict=True):
        assert server.request("POST", f"/tasks/{id_}/cancel").status == 200
        error = server.ended(follower)["error"]
        assert (error["type"], "was cancelled" in error["message"]) == ("dependency_failed", True)


def test_an_expiry_ends_it(server: Server) -> None:
    expiring = submit(server, "stamp", delay=600, expires_in=0.2)
    follower = submit(server, "stamp", after=[expiring])
    assert server.ended(follower)["error"]["type"] == "dependency_failed"
    assert get(server, expiring)["error"]["type"] == "expired"


def test_the_end_of_a_worker_outside_is_one_too(server: Server) -> None:
    worker = Worker(server)
    first, second = submit(server, "crop"), submit(server, "crop")
    good, bad = submit(server, "stamp", after=[first]), submit(server, "stamp", after=[second])
    tasks = worker.claim(2)
    while len(tasks) < 2:
        tasks += worker.claim(1)
    assert [worker.say("complete", one) for one in tasks if one["id"] == first] == [200]
    said = {"error": {"type": "E", "message": "no"}, "retry": False}
    assert [worker.say("fail", one, **said) for one in tasks if one["id"] == second] == [200]
    assert server.ended(good)["status"] == "completed"
    assert server.ended(bad)["error"]["type"] == "dependency_failed"
    worker.close()


def test_it_can_be_cancelled_and_expire_while_it_waits(server: Server, gate: Gate) -> None:
    first = submit(server, "gated", gate.data)
    cancelled = submit(server, "stamp", after=[first])
    late = submit(server, "stamp", after=[first], expires_in=0.2)
    assert server.request("POST", f"/tasks/{cancelled}/cancel").json()["status"] == "cancelled"
    assert server.ended(late)["error"]["type"] == "expired"
    gate.open()
    server.ended(first)
    last = submit(server, "stamp", after=[first])
    server.ended(last)
    assert [get(server, id_)["status"] for id_ in (cancelled, late)] == ["cancelled", "failed"]


def test_one_that_failed_so_can_be_run_again_by_itself(server: Server) -> None:
    bad = submit(server, "gated", {"gate": "/", "fail": True})
    follower = submit(server, "stamp", after=[bad])
    assert server.ended(follower)["status"] == "failed"
    assert server.request("POST", f"/tasks/{follower}/retry").status == 200
    eventually(lambda: get(server, follower)["status"] == "completed", 20)


def test_a_key_makes_it_one_task_that_keeps_waiting(server: Server, gate: Gate) -> None:
    first = submit(server, "gated", gate.data)
    key = str(uuid4())
    one = submit(server, "stamp", key=key, after=[first])
    again = server.request("POST", "/tasks", {"action": "stamp", "data": {}, "key": key}).json()
    assert (again["id"], again["duplicate"]) == (one, True)
    assert get(server, one)["status"] == "scheduled"
    gate.open()
    assert server.ended(one)["status"] == "completed"


def test_a_thousand_followed_by_one_and_one_by_a_thousand(server: Server) -> None:
    tasks = [{"action": "stamp", "data": {}} for _ in range(1_000)]
    ids = server.request("POST", "/tasks/bulk", {"tasks": tasks}, timeout=60).json()["ids"]
    middle = submit(server, "stamp", after=ids)
    tasks = [{"action": "stamp", "data": {}, "after": [middle]} for _ in range(1_000)]
    answer = server.request("POST", "/tasks/bulk", {"tasks": tasks}, timeout=60)
    assert answer.status == 202, answer.body
    began = time.monotonic()
    last = submit(server, "stamp", after=answer.json()["ids"])
    assert server.ended(last, 60)["status"] == "completed"
    print(f"a thousand after one, and one after them: {time.monotonic() - began:.2f} s")
    assert get(server, middle)["result"]["output"] >= max(
        get(server, id_)["result"]["output"] for id_ in (ids[0], ids[500], ids[-1])
    )


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"after": ["0"]}, "after[0]"),
        ({"after": [str(uuid4())]}, "after[0]"),
        ({"after": ["KNOWN", str(uuid4())]}, "after[1]"),
        ({"after": ["KNOWN"] * 1_001}, "after"),
        ({"after": ["KNOWN"], "delay": 5}, "delay"),
        ({"after": ["KNOWN"], "start_by": 5}, "start_by"),
        ({"after": ["KNOWN"], "on_failure": "stop"}, "on_failure"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_its_path(
    server: Server, body: dict[str, Any], path: str
) -> None:
    known = submit(server, "stamp")
    if "after" in body:
        body = {**body, "after": [known if one == "KNOWN" else one for one in body["after"]]}
    answer = server.request("POST", "/tasks", {"action": "stamp", "data": {}, **body})
    assert (answer.status, [error["path"] for error in answer.json()["errors"]]) == (400, [path])
    many = {"tasks": [{"action": "stamp", "data": {}}, {"action": "stamp", "data": {}, **body}]}
    if "start_by" not in body:
        answer = server.request("POST", "/tasks/bulk", many)
        assert answer.status == 400
        assert answer.json()["errors"][0]["path"] == f"tasks[1].{path}"
