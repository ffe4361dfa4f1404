"""Leases: they are kept by heartbeats, run out, and guard what is said of a task."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application
from external import ACTIONS, Worker, declare
from support import Server, eventually, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("leases")
    with serving(directory, str(declare(application(directory / "app", ACTIONS)))) as server:
        yield server


@pytest.fixture
def worker(server: Server) -> Iterator[Worker]:
    worker = Worker(server)
    yield worker
    worker.close()


def claimed(server: Server, worker: Worker, action: str = "resize", **fields: Any) -> Any:
    server.submit(action, {"url": "x"})
    (task,) = worker.claim(**fields)
    return task


def test_an_attempt_whose_lease_runs_out_has_failed_and_the_task_goes_on(
    server: Server, worker: Worker
) -> None:
    old = claimed(server, worker, lease=0.3)
    (new,) = worker.claim(wait=20)
    assert (new["id"], new["attempt"]) == (old["id"], 2)
    assert worker.say("complete", old, result="late") == 409
    assert worker.say("heartbeat", old) == 409
    assert worker.say("fail", old, error={"type": "Late"}) == 409
    assert worker.say("release", old) == 409
    assert worker.say("complete", new, result="in time") == 200
    task = server.get(f"/tasks/{old['id']}").json()
    assert (task["status"], task["result"]) == ("completed", {"output": "in time"})
    errors = [attempt["error"] for attempt in task["attempts"]]
    assert (errors[0]["type"], errors[1]) == ("lease_expired", None)
    assert errors[0]["message"] == "worker 'w' let its lease of 0.3 s run out"


def test_the_last_attempt_whose_lease_runs_out_is_the_end(server: Server, worker: Worker) -> None:
    old = claimed(server, worker, "crop", lease=0.2)
    task = server.ended(old["id"])
    assert (task["status"], task["error"]["type"]) == ("failed", "lease_expired")
    assert worker.say("complete", old) == 409


def test_heartbeats_keep_a_lease_and_all_that_was_claimed_with_it(server: Server, worker: Worker) -> None:
    for _ in range(2):
        server.submit("resize", {"url": "x"})
    first, second = worker.claim(2, lease=0.6)
    began = time.monotonic()
    while time.monotonic() - began < 1.5:
        status, answer = worker.post(f"/tasks/{first['id']}/heartbeat", {"lease": first["lease"]})
        assert status == 200, answer
        assert answer["lease_expires_at"] >= first["lease_expires_at"]
    assert answer["lease_expires_at"] > first["lease_expires_at"]
    for task in (first, second):
        assert worker.say("complete", task) == 200
        assert server.get(f"/tasks/{task['id']}").json()["attempt"] == 1


def test_a_heartbeat_does_not_reach_beyond_the_timeout(server: Server, worker: Worker) -> None:
    task = claimed(server, worker, "brief", lease=10)
    assert task["timeout"] == 0.3
    eventually(lambda: worker.say("heartbeat", task) == 409, 20)
    ended = server.ended(task["id"])
    assert (ended["status"], ended["error"]["type"]) == ("failed", "timeout")


def test_the_same_result_again_is_answered_alike_and_changes_nothing(server: Server, worker: Worker) -> None:
    task = claimed(server, worker)
    assert [worker.say("complete", task, result=number) for number in (1, 2)] == [200, 200]
    assert server.get(f"/tasks/{task['id']}").json()["result"] == {"output": 1}
    assert worker.say("fail", task, error={"type": "Late"}) == 409


def test_a_failed_attempt_runs_again_after_its_backoff(server: Server, worker: Worker) -> None:
    task = claimed(server, worker)
    error = {"type": "Weather", "message": "rain", "traceback": "line 1"}
    status, answer = worker.post(f"/tasks/{task['id']}/fail", {"lease": task["lease"], "error": error})
    assert (status, answer) == (200, {"id": task["id"], "status": "scheduled"})
    (again,) = worker.claim()
    assert (again["id"], again["attempt"]) == (task["id"], 2)
    assert worker.say("fail", again, error=error, after=60) == 200
    shown = server.get(f"/tasks/{task['id']}").json()
    assert (shown["status"], shown["error"]["type"], shown["error"]["message"]) == (
        "scheduled",
        "Weather",
        "rain",
    )
    assert server.request("POST", f"/tasks/{task['id']}/cancel").status == 200


def test_an_error_may_be_the_end(server: Server, worker: Worker) -> None:
    task = claimed(server, worker)
    assert worker.say("fail", task, error={"type": "NotAnImage"}, retry=False) == 200
    shown = server.get(f"/tasks/{task['id']}").json()
    assert (shown["status"], shown["attempt"], shown["error"]["type"]) == ("failed", 1, "NotAnImage")


def test_no_attempt_is_left_after_the_last(server: Server, worker: Worker) -> None:
    task = claimed(server, worker, "crop")
    assert worker.say("fail", task, error={"type": "E"}) == 200
    assert server.get(f"/tasks/{task['id']}").json()["status"] == "failed"


def test_a_task_given_back_waits_in_its_old_place_and_has_lost_no_attempt(
    server: Server, worker: Worker
) -> None:
    ids = [server.submit("resize", {"url": "x"}) for _ in range(3)]
    (first,) = worker.claim()
    assert (first["id"], worker.say("release", first)) == (ids[0], 200)
    eventually(lambda: server.get(f"/tasks/{ids[0]}").json()["status"] == "queued")
    tasks = worker.claim(3)
    assert [(task["id"], task["attempt"]) for task in tasks] == [(id_, 1) for id_ in ids]
    assert worker.say("complete", first) == 409
    assert [worker.say("complete", task) for task in tasks] == [200] * 3


def test_a_cancelled_task_is_refused_and_can_run_again(server: Server, worker: Worker) -> None:
    task = claimed(server, worker)
    assert server.request("POST", f"/tasks/{task['id']}/cancel").status == 200
    status, answer = worker.post(f"/tasks/{task['id']}/heartbeat", {"lease": task["lease"]})
    assert (status, answer["detail"]) == (
        409,
        "The task is cancelled, and not under this lease: drop what you have of it.",
    )
    assert server.request("POST", f"/tasks/{task['id']}/retry").status == 200
    (again,) = worker.claim()
    assert (again["id"], worker.say("complete", task), worker.say("complete", again)) == (
        task["id"],
        409,
        200,
    )


def test_batches_say_which_were_refused(server: Server, worker: Worker) -> None:
    for _ in range(6):
        server.submit("resize", {"url": "x"})
    tasks = worker.claim(6)
    named = [{"id": task["id"], "lease": task["lease"]} for task in tasks]
    foreign = {"id": named[0]["id"], "lease": "0" * 32}
    nobody = {"id": "01a21012-4eb6-7000-8e0c-35a908d79032", "lease": named[0]["lease"]}
    assert worker.post("/tasks/heartbeat", {"tasks": [*named, foreign]}) == (
        200,
        {"count": 6, "refused": [foreign["id"]]},
    )
    results = [{**one, "result": number} for number, one in enumerate([*named[:2], foreign, nobody])]
    assert worker.post("/tasks/complete", {"tasks": results}) == (
        200,
        {"count": 2, "refused": [foreign["id"], nobody["id"]]},
    )
    failures = [{**one, "error": {"type": "E"}, "retry": False} for one in named[1:4]]
    assert worker.post("/tasks/fail", {"tasks": failures}) == (200, {"count": 2, "refused": [named[1]["id"]]})
    assert worker.post("/tasks/release", {"tasks": named[3:]}) == (
        200,
        {"count": 2, "refused": [named[3]["id"]]},
    )
    states = [server.get(f"/tasks/{task['id']}").json() for task in tasks]
    assert [state["status"] for state in states[:4]] == ["completed", "completed", "failed", "failed"]
    assert [state["result"] for state in states[:2]] == [{"output": 0}, {"output": 1}]
    assert sorted(task["id"] for task in worker.claim(6)) == sorted(task["id"] for task in named[4:])


@pytest.mark.parametrize("what", ["heartbeat", "complete", "fail", "release"])
def test_what_is_said_of_no_task_or_by_no_lease(server: Server, worker: Worker, what: str) -> None:
    fields = {"error": {"type": "E"}} if what == "fail" else {}
    nobody = {"id": "01a21012-4eb6-7000-8e0c-35a908d79032", "lease": "0" * 32}
    assert worker.say(what, nobody, **fields) == 404
    assert worker.say(what, {**nobody, "id": "no-id"}, **fields) == 404
    task = claimed(server, worker)
    assert worker.say(what, {**task, "lease": "nonsense"}, **fields) == 409
    # To release without a lease is what clients do with a task that they hold; here there is nothing to let go.
    assert worker.post(f"/tasks/{task['id']}/{what}", fields)[0] == (200 if what == "release" else 400)
    assert worker.say("complete", task) == 200


def test_a_result_is_checked(server: Server, worker: Worker) -> None:
    task = claimed(server, worker)
    deep = "[" * 200 + "]" * 200
    body = f'{{"lease": "{task["lease"]}", "result": {deep}}}'.encode()
    answer = server.request("POST", f"/tasks/{task['id']}/complete", body)
    assert (answer.status, answer.json()["errors"]) == (
        400,
        [{"path": "result", "message": "nested too deeply"}],
    )
    assert worker.say("complete", task) == 200


def test_the_count_of_what_waits_or_runs_stays_true(tmp_path: Path) -> None:
    app = declare(application(tmp_path / "app", ACTIONS))
    index = (app / "_index.yaml").read_text()
    (app / "_index.yaml").write_text(
        index.replace("    kind: task.service\n", "    kind: task.service\n    max_backlog: 4\n")
    )
    with serving(tmp_path, str(app)) as server:
        worker = Worker(server)
        for round_ in range(3):
            for _ in range(4):
                server.submit("crop")
            assert server.request("POST", "/tasks", {"action": "crop"}).status == 503, round_
            tasks = worker.claim(4)
            assert worker.say("complete", tasks[0]) == worker.say("complete", tasks[0]) == 200
            assert worker.say("fail", tasks[1], error={"type": "E"}) == 200
            assert server.request("POST", f"/tasks/{tasks[2]['id']}/cancel").status == 200
            assert worker.say("complete", tasks[3]) == 200
        worker.close()


def test_what_is_no_id_is_named(server: Server, worker: Worker) -> None:
    status, answer = worker.post("/tasks/release", {"tasks": [{"id": "x", "lease": "0" * 32}]})
    assert (status, answer["errors"]) == (400, [{"path": "tasks[0].id", "message": "not an id"}])
