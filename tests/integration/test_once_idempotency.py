"""F11: whoever is not sure that a submission arrived sends it again, with the same `Idempotency-Key`."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from submitting import post, submit
from support import Answer, Server, serving

DAY = 24 * 3_600_000  # milliseconds
KEY = {"Idempotency-Key": "3f0e4c1a-order-17"}


def send(server: Server, text: str = "once", key: dict[str, str] = KEY) -> Answer:
    return post(server, "uppercase", {"text": text}, headers=key)


def replayed(answer: Answer) -> bool:
    return answer.headers.get("idempotency-replayed") == "true"


def ids_listed(server: Server) -> list[str]:
    return [task["id"] for task in server.get("/tasks?action=uppercase").json()["tasks"]]


def grow_older(data: Path, milliseconds: int) -> None:
    """Set the keys' times back, in a database that no server has open."""
    connection = sqlite3.connect(data / "tasks.db")
    with connection:
        assert connection.execute(
            "UPDATE idempotency SET created_at = created_at - ?", (milliseconds,)
        ).rowcount
    connection.close()


def test_F11_fifty_at_once_store_one_task_and_so_does_a_retry_after_a_kill(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        with ThreadPoolExecutor(50) as clients:
            answers = list(clients.map(lambda _: send(server), range(50)))
        assert {answer.status for answer in answers} == {202}
        (id_,) = {answer.json()["id"] for answer in answers}
        assert sorted(map(replayed, answers)) == [False] + [True] * 49
        assert ids_listed(server) == [id_]
        server.kill()
    with serving(tmp_path) as server:
        again = send(server)
        assert (again.status, again.json()["id"], replayed(again)) == (202, id_, True)
        assert ids_listed(server) == [id_]
        assert server.ended(id_)["result"] == {"output": "ONCE"}


def test_F11_a_replay_tells_the_state_of_the_task_now(server: Server) -> None:
    id_ = send(server).json()["id"]
    server.ended(id_)
    again = send(server)
    assert again.json() == {"id": id_, "status": "completed"}
    assert again.headers["location"] == f"/tasks/{id_}"


def test_F11_another_body_with_the_key_is_refused(server: Server) -> None:
    id_ = send(server).json()["id"]
    other = send(server, "another")
    assert other.status == 422
    assert other.headers["content-type"] == "application/problem+json"
    assert "new key" in other.json()["detail"]
    assert ids_listed(server) == [id_]
    assert send(server).json()["id"] == id_, "the first stays what the key stands for"


def test_F11_the_keys_of_two_tasks_are_two_tasks(server: Server) -> None:
    first, second = send(server), send(server, key={"Idempotency-Key": "another"})
    assert first.json()["id"] != second.json()["id"]
    assert not replayed(second)


def test_F11_a_refused_body_does_not_use_the_key_up(server: Server) -> None:
    assert post(server, "uppercase", {"text": 5}, headers=KEY).status == 400
    assert not replayed(send(server))


def test_F11_a_key_is_known_for_24_hours_and_then_forgotten(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        first = send(server).json()["id"]
        server.ended(first)
        assert server.terminate() == 0
    grow_older(tmp_path, DAY - 60_000)
    with serving(tmp_path) as server:
        assert send(server).json()["id"] == first
        assert server.terminate() == 0
    grow_older(tmp_path, 60_000)
    with serving(tmp_path) as server:
        fresh = send(server, "another body, since nobody knows the first")
        assert (fresh.status, replayed(fresh)) == (202, False)
        assert fresh.json()["id"] != first
        again = send(server, "another body, since nobody knows the first")
        assert (again.json()["id"], replayed(again)) == (fresh.json()["id"], True)


def test_F11_options_and_delays_are_replayed_too(server: Server) -> None:
    answers = [
        post(server, "uppercase", {"text": "later"}, headers=KEY, delay=60, priority=3) for _ in range(3)
    ]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [answer.json()["status"] for answer in answers] == ["scheduled"] * 3
    assert len(ids_listed(server)) == 1


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "tab\tin it", "é"])
def test_F11_what_is_no_key_is_refused(server: Server, key: str) -> None:
    answer = post(server, "uppercase", {"text": "x"}, headers={"Idempotency-Key": key.encode()})
    assert answer.status == 400
    assert answer.json()["errors"] == [{"path": "Idempotency-Key", "message": "not a key"}]
    assert submit(server, "uppercase", {"text": "without one"})
