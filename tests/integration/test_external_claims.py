"""Claims: which tasks a worker outside is given, when, and how many."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application
from external import ACTIONS, Worker, declare
from support import Server, eventually, serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("claims")
    with serving(directory, str(declare(application(directory / "app", ACTIONS)))) as server:
        yield server


@pytest.fixture
def worker(server: Server) -> Iterator[Worker]:
    worker = Worker(server)
    yield worker
    while tasks := worker.claim(1000, wait=0):  # what a test has left
        for task in tasks:
            worker.say("complete", task)
    worker.close()


def submit(server: Server, action: str, **fields: object) -> str:
    answer = server.request("POST", "/tasks", {"action": action, **fields})
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def test_a_claimed_task_is_the_workers_to_complete(server: Server, worker: Worker) -> None:
    id_ = submit(server, "resize", data={"url": "x"})
    (task,) = worker.claim()
    assert (task["id"], task["data"], task["attempt"], task["queue"]) == (id_, {"url": "x"}, 1, "images")
    assert server.get(f"/tasks/{id_}").json()["status"] == "running"
    assert worker.say("complete", task, result={"width": 5}) == 200
    done = server.get(f"/tasks/{id_}").json()
    assert (done["status"], done["result"], done["attempt"]) == ("completed", {"width": 5}, 1)
    assert done["started_at"] <= done["finished_at"]


def test_what_is_no_object_becomes_output(server: Server, worker: Worker) -> None:
    for result, stored in (("text", {"output": "text"}), ([1], {"output": [1]}), (None, {"output": None})):
        id_ = submit(server, "crop")
        (task,) = worker.claim()
        assert worker.say("complete", task, result=result) == 200
        assert server.get(f"/tasks/{id_}").json()["result"] == stored


def test_nobody_is_given_a_task_twice(server: Server, worker: Worker) -> None:
    ids = {submit(server, "crop") for _ in range(30)}
    others = [Worker(server, f"w{number}") for number in range(3)]
    claimed = [task["id"] for _ in range(5) for other in others for task in other.claim(4, wait=0)]
    assert sorted(claimed) == sorted(ids)
    for other in others:
        other.close()


def test_a_claim_waits_for_the_first_task_and_no_longer(server: Server, worker: Worker) -> None:
    began = time.monotonic()
    assert worker.claim(wait=0.3) == []
    assert 0.3 <= time.monotonic() - began < 5
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.extend(worker.claim(5, wait=30)))
    thread.start()
    waiting = lambda: next(  # noqa: E731
        queue["consumers"] for queue in server.get("/queues").json()["queues"] if queue["name"] == "images"
    )
    eventually(waiting)
    id_ = submit(server, "crop")
    thread.join(20)
    assert [task["id"] for task in found] == [id_]  # type: ignore[index]
    eventually(lambda: waiting() == 0)


def test_the_best_come_first(server: Server, worker: Worker) -> None:
    ids = [submit(server, "crop", priority=priority) for priority in (0, 5, 9, 0)]
    tasks = worker.claim(10)
    assert [task["id"] for task in tasks] == [ids[2], ids[1], ids[0], ids[3]]


def test_keys_take_turns(server: Server, worker: Worker) -> None:
    many = [submit(server, "crop", fair_key="many") for _ in range(6)]
    few = [submit(server, "crop", fair_key="few") for _ in range(2)]
    first = [task["id"] for task in worker.claim(5)]
    assert set(few) < set(first)
    assert first[0] == many[0]


def test_a_limit_holds_outside_too(server: Server, worker: Worker) -> None:
    ids = [submit(server, "two") for _ in range(5)]
    first = worker.claim(10)
    assert [task["id"] for task in first] == ids[:2]
    assert worker.claim(10, wait=0.2) == []
    assert worker.say("complete", first[0]) == 200
    assert [task["id"] for task in worker.claim(10)] == [ids[2]]
    assert server.request("POST", f"/tasks/{first[1]['id']}/cancel").status == 200
    assert [task["id"] for task in worker.claim(10)] == [ids[3]]


def test_a_paused_queue_gives_nothing(server: Server, worker: Worker) -> None:
    assert server.request("POST", "/queues/images/pause").status == 200
    id_ = submit(server, "crop")
    assert worker.claim(wait=0.3) == []
    assert server.request("POST", "/queues/images/resume").status == 200
    assert [task["id"] for task in worker.claim()] == [id_]


def test_a_claim_may_name_actions(server: Server, worker: Worker) -> None:
    crops = [submit(server, "crop") for _ in range(3)]
    resized = submit(server, "resize", data={"url": "x"})
    assert [task["id"] for task in worker.claim(10, actions=["resize", "unheard-of"])] == [resized]
    assert worker.claim(10, wait=0.3, actions=["resize"]) == []
    assert [task["id"] for task in worker.claim(10, actions=["crop", "resize"])] == crops


def test_a_cancelled_task_is_not_given_out(server: Server, worker: Worker) -> None:
    id_ = submit(server, "crop")
    assert server.request("POST", f"/tasks/{id_}/cancel").status == 200
    assert worker.claim(wait=0.2) == []
    assert server.request("POST", f"/tasks/{id_}/retry").status == 200
    assert [task["id"] for task in worker.claim()] == [id_]


def test_tasks_of_ordinary_actions_may_be_claimed_while_consumers_are_busy(server: Server) -> None:
    long = [server.submit("takes", {"seconds": 600}) for _ in range(20)]
    plain = server.submit("uppercase", {"text": "a"})
    worker = Worker(server, queue="tasks")
    claimed = [task for _ in range(20) for task in worker.claim(3, wait=0.2)]
    assert plain in {task["id"] for task in claimed}
    for task in claimed:
        assert worker.say("complete", task, result="outside") == 200
    assert server.get(f"/tasks/{plain}").json()["result"] == {"output": "outside"}
    for id_ in long:
        server.request("POST", f"/tasks/{id_}/cancel")
    worker.close()
    assert server.ended(server.submit("uppercase", {"text": "b"}))["result"] == {"output": "B"}


def test_who_hangs_up_while_waiting_takes_nothing_along(server: Server, worker: Worker) -> None:
    hasty = Worker(server)
    hasty._connection.request("POST", "/queues/images/claim", b'{"worker": "hasty", "wait": 60}')
    consumers = lambda: next(  # noqa: E731
        queue["consumers"] for queue in server.get("/queues").json()["queues"] if queue["name"] == "images"
    )
    eventually(consumers)
    hasty.close()
    eventually(lambda: consumers() == 0)
    id_ = submit(server, "crop")
    assert [task["id"] for task in worker.claim(wait=5)] == [id_]


def test_a_claim_that_waits_does_not_hold_up_the_end_of_the_server(tmp_path: Path) -> None:
    with serving(tmp_path, str(declare(application(tmp_path / "app", ACTIONS)))) as server:
        worker = Worker(server)
        worker._connection.request("POST", "/queues/images/claim", b'{"worker": "w", "wait": 60}')
        eventually(lambda: any(queue["consumers"] for queue in server.get("/queues").json()["queues"][:1]))
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 8
        answer = worker._connection.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"tasks":[]}')
        worker.close()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "worker"),
        ({"worker": "w", "limit": 0}, "limit"),
        ({"worker": "w", "limit": 1001}, "limit"),
        ({"worker": "w", "wait": -1}, "wait"),
        ({"worker": "w", "lease": 0}, "lease"),
        ({"worker": "w", "lesae": 1}, "lesae"),
        ({"worker": "w", "actions": []}, "actions"),
    ],
)
def test_a_bad_claim_names_its_field(server: Server, worker: Worker, body: object, field: str) -> None:
    status, answer = worker.post("/queues/images/claim", body)
    assert status == 400
    assert [error["path"] for error in answer["errors"]] == [field]


def test_an_unknown_queue_is_told(server: Server, worker: Worker) -> None:
    status, answer = worker.post("/queues/image/claim", {"worker": "w"})
    assert (status, answer["detail"]) == (404, "No queue has this name. Did you mean `images`?")
