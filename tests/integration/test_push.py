"""Actions that are run by sending their data to a URL: what goes out, what comes back, what is refused."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application
from external import declare
from receiver import Answer, Came, Receiver, receiving
from standardwebhooks import Webhook
from support import Server, eventually, serving

from taskmill.application import read
from taskmill.registry import RegistryError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"
ENTRIES = """
  - name: charge
    kind: task.push
    tasks: tasks
    url: URL/charge?shop=1
    secret: ${env:PUSH_SECRET}
    allow: [127.0.0.0/8]
    schema:
      type: object
      properties: {amount: {type: integer}}
      required: [amount]
    backoff: [50ms]
    answer_within: 500ms
    answer_size: 64KiB

  - name: inside
    kind: task.push
    tasks: tasks
    url: URL/secrets

  - name: metadata
    kind: task.push
    tasks: tasks
    url: http://169.254.169.254/latest/meta-data
"""
JSON = {"Content-Type": "application/json; charset=utf-8"}


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("push")
    directory = declare(application(place / "app", ""), ENTRIES.replace("URL", receiver.url))
    with serving(place, directory=directory, env={"PUSH_SECRET": SECRET}) as server:
        yield server


@pytest.fixture(autouse=True)
def empty(receiver: Receiver) -> None:
    receiver.came.clear()


def run(server: Server, action: str = "charge", data: object = None) -> dict[str, Any]:
    return server.ended(server.submit(action, data or {"amount": 5}))


def test_the_data_is_sent_signed_and_the_answer_is_the_result(server: Server, receiver: Receiver) -> None:
    receiver.answers = lambda _: (201, JSON, b'{"receipt": "r-1"}')
    task = run(server, data={"amount": 12, "note": "\u00e9"})
    assert (task["status"], task["result"], task["attempt"]) == ("completed", {"receipt": "r-1"}, 1)
    (came,) = receiver.came
    assert came.path == "/charge?shop=1"
    assert Webhook(SECRET).verify(came.body, came.headers) == {"amount": 12, "note": "\u00e9"}
    assert (came.headers["webhook-id"], came.headers["taskmill-action"]) == (task["id"], "charge")
    assert came.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("answer", "output"),
    [((200, {}, b"done"), "done"), ((204, {}, b""), ""), ((200, JSON, b"[1, 2]"), [1, 2])],
)
def test_other_answers_are_results_too(
    server: Server, receiver: Receiver, answer: Answer, output: object
) -> None:
    receiver.answers = lambda _: answer
    assert run(server)["result"] == {"output": output}


def test_what_may_go_well_later_is_tried_again(server: Server, receiver: Receiver) -> None:
    def answer(_: Came) -> Answer:
        return [(500, {}, b"oh"), (429, {"Retry-After": "0"}, b""), (200, {}, b"at last")][
            len(receiver.came) - 1
        ]

    receiver.answers = answer
    task = run(server)
    assert (task["status"], task["attempt"]) == ("completed", 3)
    first, second, _ = task["attempts"]
    assert first["error"]["message"] == f"{receiver.url}/charge?shop=1 answered 500: oh"
    assert second["error"]["type"] == "Retry"
    assert {came.headers["webhook-id"] for came in receiver.came} == {task["id"]}, "one message, sent again"
    assert [came.headers["taskmill-attempt"] for came in receiver.came] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((400, {}, b"no such shop"), "answered 400: no such shop"),
        ((302, {"Location": "/elsewhere"}, b""), "answered 302"),
        ((307, {"Location": "/charge"}, b""), "more than 3 redirects"),
        ((307, {"Location": "ftp://there/"}, b""), "is no http:// or https:// URL"),
        (
            (308, {"Location": "http://169.254.169.254/"}, b""),
            "169.254.169.254, which is not on the public internet",
        ),
        ((200, {}, b"x" * 70_000), "answered more than 64KiB"),
        ((200, JSON, b"{"), "is no JSON, though it says so"),
    ],
)
def test_what_would_be_the_same_again_fails_at_once(
    server: Server, receiver: Receiver, answer: Answer, said: str
) -> None:
    receiver.answers = lambda _: answer
    task = run(server)
    assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 1, "Fail")
    assert said in task["error"]["message"]


def test_an_answer_that_does_not_come_is_not_waited_for(server: Server, receiver: Receiver) -> None:
    def slow(_: Came) -> Answer:
        time.sleep(2)
        return 200, {}, b""

    receiver.answers = slow
    task = run(server)
    assert (task["status"], task["attempt"]) == ("failed", 3)
    assert "did not answer within 0.5 s" in task["error"]["message"]


@pytest.mark.parametrize("action", ["inside", "metadata"])
def test_f35_what_is_inside_is_not_sent_to(server: Server, receiver: Receiver, action: str) -> None:
    task = run(server, action)
    assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 1, "Fail")
    assert "is not on the public internet: `allow` of the entry" in task["error"]["message"]
    assert receiver.came == []


def test_data_is_checked_before_it_is_taken(server: Server, receiver: Receiver) -> None:
    answer = server.request("POST", "/tasks", {"action": "charge", "data": {"amount": "5"}})
    assert (answer.status, answer.json()["errors"][0]["path"]) == (400, "data.amount")
    assert receiver.came == []


def test_a_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    with receiving() as gone:
        pass
    entries = ENTRIES.replace("URL", gone.url).replace(
        "backoff: [50ms]", "backoff: [50ms]\n    max_attempts: 2"
    )
    directory = declare(application(tmp_path / "app", ""), entries)
    with serving(tmp_path, directory=directory, env={"PUSH_SECRET": SECRET}) as server:
        task = run(server)
        assert (task["status"], task["attempt"]) == ("failed", 2)
        assert "cannot be reached" in task["error"]["message"]
        assert SECRET.removeprefix("whsec_") not in json.dumps(task) + server.text()


def test_a_kill_in_the_middle_has_it_sent_again(tmp_path: Path) -> None:
    with receiving() as receiver:
        directory = declare(application(tmp_path / "app", ""), ENTRIES.replace("URL", receiver.url))

        def slow(came: Came) -> Answer:
            time.sleep(0.4 if len(receiver.came) == 1 else 0)
            return 200, {}, b"done"

        receiver.answers = slow
        with serving(tmp_path, directory=directory, env={"PUSH_SECRET": SECRET}) as server:
            id_ = server.submit("charge", {"amount": 1})
            eventually(lambda: receiver.came)
            server.kill()
        with serving(tmp_path, directory=directory, env={"PUSH_SECRET": SECRET}) as server:
            assert server.ended(id_)["result"] == {"output": "done"}
        assert {came.headers["webhook-id"] for came in receiver.came} == {id_}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ("secret: short", "secret"), ("allow: [10.0.0.1/8]", "allow"), ("url: ftp://there", "url"),
        ("url: http://me@there", "url"), ("schema: {type: nothing}", "schema"), ("rate_limit: often", "rate_limit"),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_the_start(tmp_path: Path, wrong: str, field: str) -> None:
    given = wrong if wrong.startswith("url") else f"url: https://example.com\n    {wrong}"
    directory = declare(
        application(tmp_path / "app", ""),
        f"\n  - name: one\n    kind: task.push\n    tasks: tasks\n    {given}\n",
    )
    with pytest.raises(RegistryError, match=field):
        read(directory)
