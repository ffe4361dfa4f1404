"""Ends are told though processes are killed in between, by nodes that share a database, and out of encrypted rows."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application
from callbacks import ACTIONS, ENTRIES, about, deliveries, submit, told, verified
from external import declare
from nodes import POSTGRES, cluster
from receiver import Answer, Came, Receiver, receiving
from support import Server, eventually, serving

KEY = "first:" + "A" * 43 + "="
pytestmark = [pytest.mark.long, pytest.mark.timeout(180)]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def ids_of(receiver: Receiver) -> set[str]:
    return {verified(came)["data"]["id"] for came in list(receiver.came)}


@pytest.mark.fault
def test_a_kill_between_an_end_and_its_message_loses_none(tmp_path: Path, receiver: Receiver) -> None:
    directory = declare(application(tmp_path / "app", ACTIONS), ENTRIES)
    with serving(tmp_path, directory=directory) as server:
        server.request("POST", "/queues/hooks/pause", {})
        ids = [submit(server, callback=receiver.url) for _ in range(20)]
        for id_ in ids:
            server.ended(id_)
        server.kill()
    assert receiver.came == []

    def slow(_: Came) -> Answer:
        time.sleep(1 if len(receiver.came) <= 10 else 0)
        return 200, {}, b""

    receiver.answers = slow
    with serving(tmp_path, directory=directory) as server:
        server.request("POST", "/queues/hooks/resume")
        eventually(lambda: receiver.came, 20)
        server.kill()  # what has come was not answered
    with serving(tmp_path, directory=directory) as server:
        eventually(lambda: ids_of(receiver) == set(ids), 30)
        for id_ in ids:
            (sent,) = deliveries(server, id_)
            assert server.ended(sent["id"])["status"] == "completed"
            assert {came.headers["webhook-id"] for came in about(receiver, id_)} == {sent["id"]}
        assert any(len(about(receiver, id_)) == 2 for id_ in ids), "what was not answered came again"


@pytest.mark.fault
def test_each_task_that_was_accepted_is_told_over_kills(tmp_path: Path, receiver: Receiver) -> None:
    directory = declare(application(tmp_path / "app", ACTIONS), ENTRIES)
    accepted: list[str] = []
    for number in range(2):
        with serving(tmp_path, directory=directory) as server:
            before = len(accepted)

            def load(server: Server = server) -> None:
                body = {"action": "shout", "data": {}, "callback": receiver.url}
                try:
                    while True:
                        accepted.append(server.request("POST", "/tasks", body).json()["id"])
                except (OSError, ValueError):  # it was killed
                    return

            thread = threading.Thread(target=load)
            thread.start()
            eventually(lambda before=before, number=number: len(accepted) > before + 20 + 17 * number, 30)
            server.kill()
            thread.join(20)
    with serving(tmp_path, directory=directory) as server:
        eventually(lambda: set(accepted) <= ids_of(receiver), 60)
        for id_ in accepted:
            assert len(deliveries(server, id_)) == 1, "each has one message, however often it was sent"
    print(f"{len(accepted)} tasks, {len(receiver.came)} requests")


def test_nodes_tell_of_each_other_s_tasks(tmp_path: Path, postgres_url: str, receiver: Receiver) -> None:
    with cluster(tmp_path, postgres_url, POSTGRES, ACTIONS) as there:
        declare(there.application, ENTRIES)
        door, worker = there.start("--only", "http"), there.start("--only", "workers")
        ids = [submit(door, data={"fail": number % 3 == 0}, callback=receiver.url) for number in range(30)]
        cancelled = submit(door, delay=600, callback=receiver.url)
        door.request("POST", f"/tasks/{cancelled}/cancel")
        eventually(lambda: ids_of(receiver) == {*ids, cancelled}, 60)
        failed = ids[0]
        assert told(receiver, failed)["type"] == "task.failed"
        assert door.request("POST", f"/tasks/{failed}/retry").status == 200
        eventually(lambda: len(about(receiver, failed)) == 2, 30)
        assert sorted(one["id"] for one in deliveries(door, failed)) == sorted(
            came.headers["webhook-id"] for came in about(receiver, failed)
        )
        assert worker.terminate() == door.terminate() == 0


def test_mariadb_and_encryption_make_no_difference(
    tmp_path: Path, mariadb_url: str, receiver: Receiver
) -> None:
    made = application(tmp_path / "app", ACTIONS, mariadb_url)
    index = made / "_index.yaml"
    own = "    queue: tasks_queue\n    host"
    assert index.read_text().count(own) == 1
    hidden = "    encrypt: {keys: '${env:KEYS}'}\n    redact: [data.text]\n"
    index.write_text(index.read_text().replace(own, hidden + own))
    directory = declare(made, ENTRIES)
    with serving(tmp_path, directory=directory, env={"KEYS": KEY}) as server:
        id_ = submit(server, data={"text": "hide", "fail": True}, callback=receiver.url)
        message = told(receiver, id_)
        assert (message["type"], message["data"]["data"]["text"]) == ("task.failed", "[redacted]")
        server.ended(id_)
        assert server.request("POST", f"/tasks/{id_}/retry").status == 200
        eventually(lambda: len({came.headers["webhook-id"] for came in about(receiver, id_)}) == 2, 30)
        bulk = {"tasks": [{"action": "shout", "callback": receiver.url}] * 3}
        for one in server.request("POST", "/tasks/bulk", bulk).json()["ids"]:
            assert told(receiver, one)["type"] == "task.completed"
