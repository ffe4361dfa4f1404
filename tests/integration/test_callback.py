"""A URL is told how a task has ended: what comes there, how often, and what is refused."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from apps import application
from callbacks import ACTIONS, ENTRIES, about, deliveries, delivery, submit, told, verified
from external import Worker, declare
from receiver import Answer, Came, Receiver, receiving
from support import Server, eventually, serving
from typer.testing import CliRunner

from taskmill.cli import app as cli
from taskmill.client import Client, Submission

MORE = """
@action(inline=True, callback="URL/of-the-action")
def declared() -> None:
    pass

@action(inline=True, callback={"url": "URL/of-the-action", "events": ["task.failed"]}, max_attempts=1)
def failing(fail: bool) -> None:
    if fail:
        raise ValueError

@action(inline=True)
def last(batch: dict[str, Any]) -> int:
    return len(batch)

from taskmill import submit as submit_inside

@action(inline=True)
def submits(url: str) -> str:
    return submit_inside("shout", {"text": "inside"}, callback=url).id
"""
QUEUES = """
    queues: {slow: URL/of-the-queue}

  - name: slow_queue
    kind: queue.queue
    driver: queue_driver
    queue_name: slow

  - name: slow_workers
    kind: queue.consumer
    queue: slow_queue
    func: process_task

  - name: outside_queue
    kind: queue.queue
    driver: queue_driver
    queue_name: images

  - name: outside
    kind: task.action
    tasks: tasks
    queue: outside_queue
    callback: URL/of-the-entry
"""


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("callback")
    made = application(place / "app", ACTIONS + MORE.replace("URL", receiver.url))
    index = made / "_index.yaml"
    own, more = "    queue: tasks_queue\n", "    queues: [slow_queue]\n"
    text = index.read_text()
    assert text.count(own + "    host") == 1
    index.write_text(text.replace(own + "    host", own + more + "    host"))
    directory = declare(made, ENTRIES + QUEUES.replace("URL", receiver.url))
    with serving(place, directory=directory) as server:
        yield server


@pytest.fixture(autouse=True)
def empty(receiver: Receiver) -> None:
    receiver.came.clear()
    receiver.answers = lambda _: (200, {}, b"a secret of the receiver")


@pytest.fixture
def url(receiver: Receiver) -> str:
    return f"{receiver.url}/of-the-task"


def test_the_whole_task_is_told_signed(server: Server, receiver: Receiver, url: str) -> None:
    id_ = submit(server, data={"text": "\u00e9"}, callback=url, tags=["a"])
    message = told(receiver, id_)
    shown = server.ended(id_)
    assert message == {"type": "task.completed", "timestamp": shown["finished_at"], "data": shown}
    assert shown["result"] == {"output": "\u00c9"}
    sent = delivery(server, id_)
    (came,) = receiver.came
    assert (came.path, came.headers["webhook-id"]) == ("/of-the-task", sent["id"])
    assert (sent["queue"], sent["after"], sent["data"]) == ("hooks", [id_], {"task": id_, "url": url})
    assert sent["result"] == {"sent": True, "type": "task.completed", "status": 200}
    assert "a secret of the receiver" not in json.dumps(sent), "an answer is not for who names the URL"
    assert deliveries(server, sent["id"]) == [], "nobody is told that somebody was told"


def test_each_end_has_its_word(server: Server, receiver: Receiver, url: str) -> None:
    failed = submit(server, data={"fail": True}, callback=url)
    cancelled = submit(server, delay=600, callback=url)
    expired = submit(server, delay=600, expires_in=0.1, callback=url)
    forsaken = submit(server, after=[failed], callback=url)
    server.request("POST", f"/tasks/{cancelled}/cancel")
    message = told(receiver, failed)
    assert (message["type"], message["data"]["error"]["message"]) == ("task.failed", "as it was told")
    assert "traceback" not in message["data"]["error"]
    assert [one["error"]["traceback"] for one in message["data"]["attempts"]] == [""], "for readers alone"
    assert server.ended(failed)["attempts"][0]["error"]["traceback"], "which are there"
    assert told(receiver, cancelled)["type"] == "task.cancelled"
    for id_, why in ((expired, "expired"), (forsaken, "dependency_failed")):
        message = told(receiver, id_)
        assert (message["type"], message["data"]["error"]["type"]) == ("task.failed", why)


def test_a_message_that_is_not_taken_comes_again(server: Server, receiver: Receiver, url: str) -> None:
    def answer(_: Came) -> Answer:
        return [(500, {}, b"oh"), (429, {"Retry-After": "0"}, b""), (204, {}, b"")][len(receiver.came) - 1]

    receiver.answers = answer
    id_ = submit(server, callback=url)
    told(receiver, id_)
    sent = delivery(server, id_)
    assert (sent["status"], sent["attempt"], sent["result"]["status"]) == ("completed", 3, 204)
    assert {came.headers["webhook-id"] for came in about(receiver, id_)} == {sent["id"]}
    assert len({came.body for came in about(receiver, id_)}) == 1
    assert [verified(came)["type"] for came in about(receiver, id_)] == ["task.completed"] * 3
    assert (
        server.get(f"/tasks/{sent['id']}").json()["attempts"][0]["error"]["message"] == f"{url} answered 500"
    )


def test_gone_stops_it_and_a_redrive_sends_it_again(server: Server, receiver: Receiver, url: str) -> None:
    receiver.answers = lambda _: (410, {}, b"gone")
    id_ = submit(server, callback=url)
    told(receiver, id_)
    sent = delivery(server, id_)
    assert (sent["status"], sent["attempt"], sent["error"]["message"]) == ("failed", 1, f"{url} answered 410")
    receiver.answers = lambda _: (200, {}, b"")
    assert server.request("POST", f"/tasks/{sent['id']}/retry").status == 200
    eventually(lambda: server.get(f"/tasks/{sent['id']}").json()["status"] == "completed", 20)
    assert {came.headers["webhook-id"] for came in about(receiver, id_)} == {sent["id"]}


def test_the_end_of_a_task_that_is_run_again_is_told_too(
    server: Server, receiver: Receiver, url: str
) -> None:
    id_ = submit(server, data={"fail": True}, callback={"url": url, "events": ["task.failed"]})
    for times in (1, 2):
        eventually(lambda times=times: len(about(receiver, id_)) == times, 20)
        eventually(lambda: all(one["status"] == "completed" for one in deliveries(server, id_)), 20)
        assert len(deliveries(server, id_)) == times
        assert server.request("POST", f"/tasks/{id_}/retry").status == 200
    eventually(lambda: len(about(receiver, id_)) == 3, 20)
    waiting = submit(server, delay=600, callback=url)
    for _ in range(3):
        server.request("POST", f"/tasks/{waiting}/cancel")
        server.request("POST", f"/tasks/{waiting}/retry")
    eventually(lambda: about(receiver, waiting), 20)
    eventually(lambda: all(one["status"] == "completed" for one in deliveries(server, waiting)), 20)
    assert {verified(came)["type"] for came in about(receiver, waiting)} <= {
        "task.cancelled",
        "task.completed",
    }
    assert "task.completed" in {verified(came)["type"] for came in about(receiver, waiting)}, (
        "its last end is told"
    )


def test_some_ends_alone(server: Server, receiver: Receiver, url: str) -> None:
    wanted = {"url": url, "events": ["task.failed", "task.cancelled"]}
    good, bad = submit(server, callback=wanted), submit(server, data={"fail": True}, callback=wanted)
    assert told(receiver, bad)["type"] == "task.failed"
    sent = delivery(server, good)
    assert sent["result"] == {"sent": False, "why": "task.completed is not among its events"}
    assert not about(receiver, good)


def test_actions_and_queues_name_a_url_for_all_theirs(server: Server, receiver: Receiver, url: str) -> None:
    worker = Worker(server)
    ids = {
        "/of-the-action": submit(server, "declared"),
        "/of-the-queue": submit(server, queue="slow"),
        "/of-the-task": submit(server, "declared", queue="slow", callback=url),
        "/of-the-entry": submit(server, "outside"),
    }
    (claimed,) = worker.claim()
    assert worker.say("complete", claimed) == 200
    worker.close()
    for path, id_ in ids.items():
        assert told(receiver, id_)["type"] == "task.completed"
        assert [came.path for came in about(receiver, id_)] == [path]
    quiet, loud = (submit(server, "failing", {"fail": fail}) for fail in (False, True))
    told(receiver, loud)
    assert delivery(server, quiet)["result"]["sent"] is False


def test_whichever_way_a_task_comes(server: Server, receiver: Receiver, url: str) -> None:
    body = {"action": "shout", "data": {}, "callback": url}
    ids = list(server.request("POST", "/tasks/bulk", {"tasks": [body, {"action": "declared"}]}).json()["ids"])
    lines = (json.dumps(body) + "\n" + json.dumps({"action": "declared"}) + "\n").encode()
    headers = {"Content-Type": "application/x-ndjson"}
    answer = server.request("POST", "/tasks/bulk", lines, headers).body
    ids += [json.loads(line)["id"] for line in answer.splitlines()]
    batch = {"tasks": [body, {"action": "declared"}], "on_complete": {"action": "last", "callback": url}}
    made = server.request("POST", "/batches", batch).json()
    ids += [*made["ids"], made["on_complete"]]
    schedule = {"cron": "0 3 1 1 *", "action": "declared"}
    assert server.request("PUT", "/schedules/yearly", schedule).status == 201
    ids.append(server.request("POST", "/schedules/yearly/run").json()["id"])
    ids.append(server.ended(submit(server, "submits", {"url": url}))["result"]["output"])
    keyed = {"Idempotency-Key": "callback"}
    again = [server.request("POST", "/tasks", body, keyed).json()["id"] for _ in range(2)]
    assert again[0] == again[1]
    for id_ in [*ids, again[0]]:
        assert told(receiver, id_)["type"] == "task.completed"
    assert len(deliveries(server, again[0])) == 1


def test_the_clients_and_the_command_name_one(server: Server, receiver: Receiver, url: str) -> None:
    with Client(server.url) as client:
        one = client.submit("shout", {"text": "a"}, callback=url)
        several = client.submit_many(
            [
                Submission("shout", {}, callback={"url": url, "events": ["task.completed"]}),
                Submission("shout"),
            ]
        )
    said = CliRunner().invoke(cli, ["submit", "shout", "--callback", url, "--url", server.url])
    assert said.exit_code == 0, said.output
    for id_ in (one.id, several[0].id, said.output.split()[0]):
        assert told(receiver, id_)["type"] == "task.completed"
    assert deliveries(server, several[1].id) == []


@pytest.mark.parametrize(
    ("callback", "path", "said"),
    [
        ("ftp://there/", "callback", "begins with https"),
        ("https://", "callback", "names a host"),
        ("https://there:0/", "callback", "no port 0"),
        ("https://there:x/", "callback", "no URL"),
        ("https://[::1/", "callback", "no URL"),
        ("https://me:word@there/", "callback", "user's name"),
        ("https://there/\r\nx: y", "callback", "control characters"),
        ("https://there/\u00e9", "callback", "%C3%A9"),
        ("https://" + "a" * 2_000, "callback", "<= 2000"),
        ({"url": "https://there/", "events": []}, "callback.events", ">= 1"),
        ({"url": "https://there/", "events": ["task.started"]}, "callback.events[0]", "Invalid enum"),
        ({"url": "https://there/", "method": "PUT"}, "callback.method", "unknown field"),
        ({"url": "http://169.254.169.254/latest"}, "callback.url", "not on the public internet"),
        ("http://[::ffff:10.0.0.1]/", "callback", "not on the public internet"),
        ("http://127.0.0.2/", "callback", "not on the public internet"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused_at_once(server: Server, callback: Any, path: str, said: str) -> None:
    answer = server.request("POST", "/tasks", {"action": "shout", "callback": callback})
    assert answer.status == 400, answer.body
    (error,) = answer.json()["errors"]
    assert error["path"] == path
    assert said in error["message"]


@pytest.mark.parametrize("host", ["2130706434", "0177.0.0.2", "0x7f000002"])
def test_f33_an_address_in_disguise_is_not_sent_to(server: Server, receiver: Receiver, host: str) -> None:
    port = receiver.url.rpartition(":")[2]
    id_ = submit(server, callback=f"http://{host}:{port}/")
    server.ended(id_)
    sent = delivery(server, id_)
    assert (sent["status"], sent["attempt"]) == ("failed", 1)
    assert "is not on the public internet" in sent["error"]["message"]
    assert "127.0.0.2" not in sent["error"]["message"], "where a name leads inside is not told"
    assert receiver.came == []


def test_f33_a_redirect_inward_is_not_followed(server: Server, receiver: Receiver, url: str) -> None:
    receiver.answers = lambda _: (307, {"Location": "http://169.254.169.254/latest"}, b"")
    id_ = submit(server, callback=url)
    told(receiver, id_)
    sent = delivery(server, id_)
    assert (sent["status"], sent["attempt"]) == ("failed", 1)
    assert "is not on the public internet" in sent["error"]["message"]


def test_its_own_action_is_for_nobody_to_submit(server: Server) -> None:
    data = {"task": "01981a3e-77d0-7c4f-8f04-0a5c2f9f6a11", "url": "https://example.com/"}
    body = {"action": "taskmill.callback", "data": data}
    answer = server.request("POST", "/tasks", body)
    assert (answer.status, answer.json()["errors"][0]["path"]) == (400, "action")
    assert "Name a `callback`" in answer.json()["detail"]
    assert server.request("POST", "/tasks/bulk", {"tasks": [body]}).status == 400
    schedule = {**body, "every": "1h"}
    assert server.request("PUT", "/schedules/mine", schedule).status == 400
    assert "taskmill.callback" not in [one["name"] for one in server.get("/actions").json()["actions"]]
    document = server.get("/openapi.json").json()
    assert "taskmill.callback_data" not in document["components"]["schemas"]
    message = document["webhooks"]["task_ended"]["post"]["requestBody"]["content"]["application/json"]
    assert message["schema"] == {"$ref": "#/components/schemas/Told"}


def test_a_task_that_was_pruned_before_it_was_told_is_said_to_be(
    server: Server, receiver: Receiver, url: str
) -> None:
    server.request("POST", "/queues/hooks/pause", {})
    try:
        id_ = submit(server, callback=url)
        server.ended(id_)
        (sent,) = deliveries(server, id_)
        eventually(lambda: server.get(f"/tasks/{sent['id']}").json()["status"] == "queued", 20)
        assert server.request("POST", "/tasks/prune", {"older_than": 0}).status == 200
    finally:
        server.request("POST", "/queues/hooks/resume")
    ended = server.ended(sent["id"])
    assert (ended["status"], ended["attempt"]) == ("failed", 1)
    assert f"task {id_} was pruned before" in ended["error"]["message"]
    assert receiver.came == []
