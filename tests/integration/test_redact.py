"""Fields that are hidden: whoever runs a task has them, and nobody else is shown them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application
from callbacks import ENTRIES as HOOKS
from callbacks import told
from external import Worker
from receiver import receiving
from submitting import post, submit, until
from support import Server, serving

ACTIONS = """
from taskmill import current_task

@action(inline=True)
def pays(card: dict[str, str], out: str) -> dict[str, str]:
    with open(out, "w") as file:
        file.write(card["number"])
    return {"token": "t-" + card["number"], "paid": "yes"}

@action(inline=True)
def sums(batch: dict[str, Any]) -> list[str]:
    return [member["result"]["token"][-4:] for member in batch["results"]]

@action(max_attempts=2, backoff=0)
def breaks(card: dict[str, str]) -> None:
    raise ValueError("the bank refuses " + card["number"])

@action(max_attempts=1)
async def tells(card: dict[str, str]) -> None:
    current_task().progress(1, 2, "at " + card["number"])
    current_task().log("charging " + card["number"])
"""
ENTRIES = """
  - name: outside_queue
    kind: queue.queue
    driver: queue_driver
    queue_name: outside
  - name: outside
    kind: task.action
    tasks: tasks
    queue: outside_queue
    max_attempts: 1
"""
NUMBER = "4111222233334444"
CARD = {"number": NUMBER, "owner": "me"}
SHOWN = {"number": "[redacted]", "owner": "me"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("redact")
    index = application(directory / "app", ACTIONS) / "_index.yaml"
    service = "    kind: task.service\n"
    redact = "    redact: [data.card.number, result.token]\n"
    index.write_text(index.read_text().replace(service, service + redact) + ENTRIES + HOOKS)
    with serving(directory, str(directory / "app")) as server:
        yield server


def get(server: Server, path: str) -> Any:
    answer = server.get(path)
    assert answer.status == 200, answer.body
    assert NUMBER not in answer.body.decode()
    return answer.json()


def test_the_action_has_what_nobody_is_shown(server: Server, tmp_path: Path) -> None:
    data = {"card": CARD, "out": str(tmp_path / "out")}
    answer = post(server, "pays", data, {"Prefer": "wait=10"})
    assert answer.status == 200
    waited = answer.json()
    assert (tmp_path / "out").read_text() == NUMBER
    one = get(server, f"/tasks/{waited['id']}")
    (listed,) = get(server, "/tasks?action=pays")["tasks"]
    replayed = get(server, f"/tasks/{waited['id']}/capsule")["task"]
    for task in (waited, one, listed, replayed):
        assert task["data"] == {**data, "card": SHOWN}
        assert task["result"] == {"token": "[redacted]", "paid": "yes"}
    secret = server.get(f"/tasks/{waited['id']}/capsule?secrets=true").json()["task"]
    assert (secret["data"], secret["result"]["token"]) == (data, f"t-{NUMBER}")


def test_what_an_attempt_says_is_stored_without(server: Server) -> None:
    id_ = submit(server, "breaks", {"card": CARD})
    until(server, id_, "failed")
    task = get(server, f"/tasks/{id_}")
    assert task["error"]["message"] == "the bank refuses [redacted]"
    assert [one["error"]["message"] for one in task["attempts"]] == ["the bank refuses [redacted]"] * 2
    assert "refuses [redacted]" in task["attempts"][0]["error"]["traceback"]
    told = submit(server, "tells", {"card": CARD})
    until(server, told, "completed")
    assert get(server, f"/tasks/{told}")["progress"]["message"] == "at [redacted]"
    assert "charging [redacted]" in json.dumps(get(server, f"/tasks/{told}/log"))
    cancelled = submit(server, "tells", {"card": CARD}, delay=3600)
    answer = server.request("POST", f"/tasks/{cancelled}/cancel")
    assert (answer.status, answer.json()["data"]) == (200, {"card": SHOWN})


def test_a_worker_outside_has_them(server: Server) -> None:
    id_ = submit(server, "outside", {"card": CARD})
    worker = Worker(server, queue="outside")
    (task,) = worker.claim()
    assert task["data"] == {"card": CARD}
    failed = {"type": "Broken", "message": f"no {NUMBER}"}
    assert worker.say("fail", task, error=failed, retry=False) == 200
    worker.close()
    assert get(server, f"/tasks/{id_}")["error"]["message"] == "no [redacted]"


def test_schedules_are_shown_without(server: Server) -> None:
    body = {"every": 3600, "action": "tells", "data": {"card": CARD}}
    answer = server.request("PUT", "/schedules/nightly", body)
    assert answer.json()["data"] == {"card": SHOWN}
    assert get(server, "/schedules/nightly")["data"] == {"card": SHOWN}
    assert get(server, "/schedules")["schedules"][0]["data"] == {"card": SHOWN}
    assert server.request("POST", "/schedules/nightly/run").status in (200, 202)
    id_ = get(server, "/schedules/nightly")["last_task_id"]
    until(server, id_, "completed")
    secret = server.get(f"/tasks/{id_}/capsule?secrets=true").json()["task"]
    assert secret["data"] == {"card": CARD}


def test_what_tasks_of_a_batch_came_to_is_shown_without(server: Server, tmp_path: Path) -> None:
    members = [{"action": "pays", "data": {"card": CARD, "out": str(tmp_path / "out")}}] * 2
    answer = server.request("POST", "/batches", {"tasks": members, "on_complete": {"action": "sums"}})
    last = until(server, answer.json()["on_complete"], "completed")
    assert last["result"] == {"output": [NUMBER[-4:]] * 2}
    results = get(server, f"/batches/{answer.json()['id']}/results")["results"]
    for shown in (results, get(server, f"/tasks/{last['id']}")["data"]["batch"]["results"]):
        assert [one["result"] for one in shown] == [{"token": "[redacted]", "paid": "yes"}] * 2


def test_a_url_is_told_without(server: Server, tmp_path: Path) -> None:
    with receiving() as receiver:
        data = {"card": CARD, "out": str(tmp_path / "out")}
        message = told(receiver, submit(server, "pays", data, callback=f"{receiver.url}/hook"))
    assert NUMBER not in json.dumps(message)
    assert message["data"]["result"] == {"token": "[redacted]", "paid": "yes"}
