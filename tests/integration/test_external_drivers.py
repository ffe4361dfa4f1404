"""Workers outside are served alike whatever carries the messages and wherever the rows are, and on any node."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from carriers import Started, carried
from external import ACTIONS, Worker, declare
from support import Server, eventually, serving

PAIRS = [("nats", "sqlite"), ("memory", "postgres"), ("nats", "postgres"), ("postgres", "postgres")]
FURTHER = [
    ("redis", "sqlite"),
    ("amqp", "sqlite"),
    ("redis", "postgres"),
    ("memory", "mysql"),
    ("nats", "mysql"),
]
ALL = [
    *(pytest.param(pair, id="-".join(pair)) for pair in PAIRS),
    *(pytest.param(pair, id="-".join(pair), marks=pytest.mark.long) for pair in FURTHER),
]

pytestmark = pytest.mark.timeout(180)


def made(request: pytest.FixtureRequest, carriers: Started, place: Path, pair: tuple[str, str]) -> Path:
    driver, database = pair
    url = None
    if database != "sqlite":
        url = request.getfixturevalue("mariadb" if database == "mysql" else "postgres").create()
    app = declare(carried(place / "app", ACTIONS, carriers(driver), url))
    index = app / "_index.yaml"  # an engine may keep the queues of other tests
    index.write_text(index.read_text().replace("queue_name: tasks\n", f"queue_name: tasks-{place.name}\n"))
    index.write_text(index.read_text().replace("queue_name: images\n", f"queue_name: images-{place.name}\n"))
    return app


@pytest.fixture(scope="module", params=ALL)
def server(
    request: pytest.FixtureRequest, carriers: Started, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("outside")
    with serving(place, str(made(request, carriers, place, request.param))) as server:
        yield server


def queue_of(server: Server, name: str = "images") -> str:
    return next(
        str(queue["name"])
        for queue in server.get("/queues").json()["queues"]
        if queue["name"].startswith(f"{name}-")
    )


@pytest.fixture
def worker(server: Server) -> Iterator[Worker]:
    worker = Worker(server, queue=queue_of(server))
    yield worker
    worker.close()


def test_tasks_are_claimed_and_completed(server: Server, worker: Worker) -> None:
    ids = {server.submit("resize", {"url": str(number)}) for number in range(40)}
    done = {}
    while len(done) < 40:
        for task in worker.claim(15):
            assert worker.say("complete", task, result=task["data"]) == 200
            done[task["id"]] = task["data"]
    assert done.keys() == ids
    assert all(server.get(f"/tasks/{id_}").json()["result"] == data for id_, data in done.items())


def test_a_lease_runs_out_and_guards(server: Server, worker: Worker) -> None:
    id_ = server.submit("resize", {"url": "x"})
    (old,) = worker.claim(lease=0.3)
    (new,) = worker.claim(wait=30)
    assert (new["id"], new["attempt"], worker.say("complete", old)) == (id_, 2, 409)
    assert worker.say("release", new) == 200
    (again,) = worker.claim(wait=30)
    assert (again["id"], again["attempt"], worker.say("heartbeat", new)) == (id_, 2, 409)
    assert worker.say("fail", again, error={"type": "E"}, after=0) == 200
    (last,) = worker.claim(wait=30)
    assert (last["attempt"], worker.say("complete", last, result="done")) == (3, 200)
    task = server.get(f"/tasks/{id_}").json()
    assert task["result"] == {"output": "done"}
    assert [one["error"] and one["error"]["type"] for one in task["attempts"]] == ["lease_expired", "E", None]


def test_a_limit_holds(server: Server, worker: Worker) -> None:
    ids = [server.submit("two") for _ in range(4)]
    first = worker.claim(10)
    while len(first) < 2:
        first += worker.claim(10)
    assert {task["id"] for task in first} == set(ids[:2])
    assert worker.claim(10, wait=0.5) == []
    assert worker.say("complete", first[0]) == 200
    (third,) = worker.claim(10)
    assert third["id"] == ids[2]
    assert server.request("POST", f"/tasks/{first[1]['id']}/cancel").status == 200
    (fourth,) = worker.claim(10)
    assert [worker.say("complete", task) for task in (first[1], third, fourth)] == [409, 200, 200]


def test_a_paused_queue_gives_nothing(server: Server, worker: Worker) -> None:
    path = f"/queues/{worker.queue}"
    assert server.request("POST", f"{path}/pause").status == 200
    id_ = server.submit("crop")
    assert worker.claim(wait=0.5) == []
    assert server.request("POST", f"{path}/resume").status == 200
    (task,) = worker.claim(wait=20)
    assert (task["id"], worker.say("complete", task)) == (id_, 200)


def test_some_actions_alone(server: Server, worker: Worker) -> None:
    crop = server.submit("crop")
    resized = server.submit("resize", {"url": "x"})
    (task,) = worker.claim(5, wait=20, actions=["resize"])
    assert (task["id"], worker.say("complete", task)) == (resized, 200)
    (other,) = worker.claim(5, wait=20, actions=["crop"])
    assert (other["id"], worker.say("complete", other)) == (crop, 200)


def test_consumers_go_on(server: Server) -> None:
    assert server.ended(server.submit("uppercase", {"text": "a"}))["result"] == {"output": "A"}


@pytest.mark.parametrize("pair", [("nats", "postgres"), ("postgres", "postgres")], ids="-".join)
def test_any_node_gives_out_and_takes_results(
    request: pytest.FixtureRequest, carriers: Started, tmp_path: Path, pair: tuple[str, str]
) -> None:
    app = made(request, carriers, tmp_path, pair)
    with ExitStack() as stack:
        nodes = [_node(stack, tmp_path, app, number) for number in range(2)]
        queue = queue_of(nodes[0])
        workers = [Worker(node, f"w{number}", queue) for number, node in enumerate(nodes)]
        for worker in workers:
            stack.callback(worker.close)
        for here, there in ((0, 1), (1, 0)):
            id_ = nodes[here].submit("resize", {"url": "x"})
            (task,) = workers[there].claim(wait=30)
            assert task["id"] == id_
            assert workers[here].say("heartbeat", task) == 200
            assert workers[here].say("release", task) == 200
            (task,) = workers[here].claim(wait=30)
            assert workers[there].say("complete", task, result=there) == 200
            assert nodes[here].get(f"/tasks/{id_}").json()["result"] == {"output": there}
        ids = [nodes[0].submit("two") for _ in range(3)]
        first = [task for worker in workers for task in _claim_until(worker, 1)]
        assert {task["id"] for task in first} == set(ids[:2])
        assert [worker.claim(wait=0.5) for worker in workers] == [[], []]
        assert workers[0].say("complete", first[1]) == 200
        assert workers[1].say("complete", first[0]) == 200
        (third,) = workers[1].claim(wait=30)
        assert third["id"] == ids[2]
        nodes[1].kill()  # the lease is the worker's, not the node's
        assert workers[0].say("complete", third) == 200


def test_a_node_that_does_not_lead_says_who_has_the_tasks(
    request: pytest.FixtureRequest, carriers: Started, tmp_path: Path
) -> None:
    app = made(request, carriers, tmp_path, ("memory", "postgres"))
    with ExitStack() as stack:
        nodes = [_node(stack, tmp_path, app, number) for number in range(2)]
        answers = []
        for node in nodes:
            worker = Worker(node, queue=queue_of(node))
            answers.append(worker.post(f"/queues/{worker.queue}/claim", {"worker": "w"}))
            worker.close()
        assert [status for status, _ in answers] == [200, 503]
        assert "is in the memory of the node that leads" in answers[1][1]["detail"]
        id_ = nodes[1].submit("crop")
        leading = Worker(nodes[0], queue=queue_of(nodes[0]))
        (task,) = leading.claim(wait=20)
        other = Worker(nodes[1], queue=queue_of(nodes[1]))
        assert other.say("release", task) == 200
        (task,) = leading.claim(wait=20)
        assert (task["id"], other.say("complete", task)) == (id_, 200)
        eventually(lambda: nodes[0].get(f"/tasks/{id_}").json()["status"] == "completed")
        leading.close()
        other.close()


def _node(stack: ExitStack, place: Path, app: Path, number: int) -> Server:
    data = place / f"node-{number}"
    data.mkdir()
    return stack.enter_context(serving(data, str(app)))


def _claim_until(worker: Worker, count: int) -> list[object]:
    tasks = worker.claim(count, wait=30)
    assert len(tasks) == count
    return list(tasks)
