"""Actions that the registry declares with a schema and no function: only workers outside serve them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application
from external import ACTIONS, ENTRIES, Worker, declare
from support import Server, serving

from taskmill import application as loading
from taskmill.registry import RegistryError


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("actions")
    with serving(directory, str(declare(application(directory / "app", ACTIONS)))) as server:
        yield server


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        ({"url": "x", "width": 0}, "data.width", "0 is less than the minimum of 1"),
        ({"width": 1}, "data", '"url" is a required property'),
        ({"url": 5}, "data.url", '5 is not of type "string"'),
        (
            {"url": "x", "size": 1},
            "data",
            "Additional properties are not allowed ('size' was unexpected)",
        ),
    ],
)
def test_data_is_validated_as_it_is_submitted(server: Server, data: object, path: str, message: str) -> None:
    answer = server.request("POST", "/tasks", {"action": "resize", "data": data})
    assert (answer.status, answer.json()["errors"]) == (400, [{"path": path, "message": message}])
    bulk = server.request("POST", "/tasks/bulk", {"tasks": [{"action": "resize", "data": data}]})
    assert (bulk.status, bulk.json()["errors"]) == (400, [{"path": f"tasks[0].{path}", "message": message}])


def test_its_schema_and_options_are_shown(server: Server) -> None:
    actions = {action["name"]: action for action in server.get("/actions").json()["actions"]}
    resize = actions["resize"]
    assert resize["description"] == "Make an image smaller."
    assert resize["data"]["properties"]["width"] == {"type": "integer", "minimum": 1}
    assert (resize["options"]["runs"], resize["options"]["queue"]) == ("outside", "images")
    assert actions["uppercase"]["options"]["runs"] == "inline"
    schemas = server.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["resize_data"]["required"] == ["url"]
    assert schemas["resize_Submission"]["properties"]["action"] == {"const": "resize"}


def test_its_tasks_stay_in_its_queue(server: Server) -> None:
    answer = server.request("POST", "/tasks", {"action": "crop", "queue": "tasks"})
    assert answer.status == 400
    assert answer.json()["errors"] == [{"path": "queue", "message": "not the queue of its action"}]
    assert "in queue images" in answer.json()["detail"]


def test_an_ordinary_task_may_wait_for_workers_outside_too(server: Server) -> None:
    body = {"action": "uppercase", "data": {"text": "a"}, "queue": "images"}
    id_ = server.request("POST", "/tasks", body).json()["id"]
    worker = Worker(server)
    (task,) = worker.claim()
    assert (task["id"], task["action"], worker.say("complete", task)) == (id_, "uppercase", 200)
    worker.close()


def test_no_consumer_may_take_its_queue(tmp_path: Path) -> None:
    app = declare(application(tmp_path / "app", ACTIONS))
    declare(
        app, "\n  - name: greedy\n    kind: queue.consumer\n    queue: images_queue\n    func: process_task\n"
    )
    with pytest.raises(AssertionError) as ended, serving(tmp_path, str(app)):
        pass
    assert "no consumer may take queue `images`: workers outside serve its action" in str(ended.value)
    assert "give the consumer another queue, or the action" in str(ended.value)


def test_its_tasks_wait_over_a_restart_and_while_it_is_not_declared(tmp_path: Path) -> None:
    app = declare(application(tmp_path / "app", ACTIONS))
    index = (app / "_index.yaml").read_text()
    with serving(tmp_path, str(app)) as server:
        id_ = server.submit("crop")
        assert server.terminate() == 0
    (app / "_index.yaml").write_text(index.replace(ENTRIES, ""))
    with serving(tmp_path, str(app)) as server:
        assert server.get(f"/tasks/{id_}").json()["status"] == "queued"
        assert server.terminate() == 0
    (app / "_index.yaml").write_text(index)
    with serving(tmp_path, str(app)) as server:
        worker = Worker(server)
        (task,) = worker.claim()
        assert (task["id"], worker.say("complete", task)) == (id_, 200)
        worker.close()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("    schema: {type: objekt}\n", "no JSON Schema: "),
        ("    schema: {$ref: 'http://127.0.0.1:1/x'}\n", "Retrieval is disabled"),
        ("    rate_limit: often\n", "`rate_limit` 'often' is no rate"),
        ("    concurrency_key: data.x\n", "`concurrency_key` needs a `concurrency` or a `rate_limit`"),
    ],
)
def test_what_is_wrong_with_it_is_found_before_the_start(tmp_path: Path, lines: str, message: str) -> None:
    entry = "\n  - name: bad\n    kind: task.action\n    tasks: tasks\n    queue: images_queue\n" + lines
    app = declare(declare(application(tmp_path / "app", ACTIONS)), entry)
    with pytest.raises(RegistryError) as found:
        loading.read(app)
    assert message in str(found.value)
