"""Tasks with one `key` are one task while the first waits, or as their action declares."""

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from apps import application
from submitting import look, post, submit, until
from support import Server, serving

HOUR = 3_600_000  # milliseconds
ACTIONS = """
from taskmill import Unique

async def gated(gate: str) -> str:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return "through"

@action(inline=True)
def waiting(number: int) -> int:
    return number

@action
async def opens(gate: str) -> str:
    return await gated(gate)

@action(unique=Unique(over="unfinished"))
async def unfinished(gate: str) -> str:
    return await gated(gate)

@action(inline=True, unique="refuse")
def refuses(number: int) -> int:
    return number

@action(inline=True, unique=Unique(within="1h"))
def hourly(number: int) -> int:
    return number

@action(inline=True, unique=Unique(key="data.customer.id"))
def of_customer(customer: dict[str, Any], number: int = 0) -> int:
    return number

@action(inline=True, unique=Unique(key="data"))
def whole(a: int = 0, b: int = 0) -> int:
    return a + b
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = application(tmp_path_factory.mktemp("app"), ACTIONS)
    with serving(directory, directory=directory) as running:
        yield running


def test_fifty_at_once_with_one_key_are_one_task(server: Server) -> None:
    def one(number: int) -> tuple[str, bool]:
        answer = post(server, "waiting", {"number": number}, key="race", delay=60)
        assert answer.status == 202
        return answer.json()["id"], answer.json().get("duplicate", False)

    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(one, range(50)))
    assert len({id_ for id_, _ in answers}) == 1
    assert sorted(duplicate for _, duplicate in answers) == [False] + [True] * 49


def test_a_second_one_is_told_of_the_first_which_stays_as_it_is(server: Server) -> None:
    first = submit(server, "waiting", {"number": 1}, key="told", delay=60)
    answer = post(server, "waiting", {"number": 2}, key="told", delay=1)
    assert answer.json() == {"id": first, "status": "scheduled", "duplicate": True}
    assert answer.headers["location"] == f"/tasks/{first}"
    assert look(server, first)["data"] == {"number": 1}


def test_a_key_is_free_once_the_task_has_ended_or_was_cancelled(server: Server) -> None:
    first = submit(server, "waiting", {"number": 1}, key="free")
    server.ended(first)
    second = submit(server, "waiting", {"number": 2}, key="free", delay=60)
    assert second != first
    assert server.request("POST", f"/tasks/{second}/cancel").status == 200
    assert submit(server, "waiting", {"number": 3}, key="free", delay=60) not in (first, second)


def test_a_key_is_one_action_s(server: Server) -> None:
    first = submit(server, "waiting", {"number": 1}, key="shared", delay=60)
    assert submit(server, "refuses", {"number": 1}, key="shared", delay=60) != first


def test_what_runs_is_no_longer_waiting_but_unfinished(server: Server, tmp_path: Path) -> None:
    gate = {"gate": str(tmp_path / "gate")}
    running = submit(server, "opens", gate, key="run")
    until(server, running, "running")
    follower = post(server, "opens", gate, key="run", delay=60)
    assert "duplicate" not in follower.json()
    assert follower.json()["id"] != running
    only = submit(server, "unfinished", gate, key="run")
    until(server, only, "running")
    again = post(server, "unfinished", gate, key="run")
    assert again.json() == {"id": only, "status": "running", "duplicate": True}
    (tmp_path / "gate").touch()
    server.ended(only)
    assert submit(server, "unfinished", gate, key="run") != only


def test_an_action_may_refuse_a_second(server: Server) -> None:
    first = submit(server, "refuses", {"number": 1}, key="refused", delay=60)
    answer = post(server, "refuses", {"number": 2}, key="refused")
    assert answer.status == 409
    assert first in answer.json()["detail"]
    assert answer.json()["errors"] == [{"path": "key", "message": "taken"}]
    assert look(server, first)["data"] == {"number": 1}
    assert server.request("POST", f"/tasks/{first}/cancel").status == 200
    assert submit(server, "refuses", {"number": 3}, key="refused")


def test_a_key_may_be_taken_from_the_data(server: Server) -> None:
    def send(customer: object, number: int) -> tuple[str, bool, str | None]:
        data = {"customer": customer, "number": number}
        answer = post(server, "of_customer", data, delay=60)
        assert answer.status == 202, answer.body
        id_ = answer.json()["id"]
        return id_, answer.json().get("duplicate", False), look(server, id_)["key"]

    first = send({"id": "c-1", "name": "one"}, 1)
    assert first[1:] == (False, "c-1")
    assert send({"id": "c-1", "name": "renamed"}, 2) == (first[0], True, "c-1")
    assert send({"id": "c-2"}, 3)[1:] == (False, "c-2")
    assert send({"id": 7}, 4)[1:] == (False, "7")
    without = {send({}, number)[0] for number in (5, 6)}
    assert len(without) == 2, "nothing at that place: no key"
    data = {"customer": {"id": "c-1"}}
    given = post(server, "of_customer", data, key="given", delay=60).json()
    assert "duplicate" not in given, "the key that is sent goes before the data's"


def test_all_of_the_data_may_be_the_key_however_it_is_written(server: Server) -> None:
    first = submit(server, "whole", {"a": 1, "b": 2}, delay=60)
    same = server.request("POST", "/tasks", b'{"delay":60,"data":{ "b":2,"a" : 1},"action":"whole"}')
    assert same.json() == {"id": first, "status": "scheduled", "duplicate": True}
    assert submit(server, "whole", {"a": 2, "b": 2}, delay=60) != first


def test_within_a_window_an_ended_task_counts_too(tmp_path: Path) -> None:
    application(tmp_path, ACTIONS)
    with serving(tmp_path, directory=tmp_path) as server:
        first = submit(server, "hourly", {"number": 1}, key="w")
        server.ended(first)
        again = post(server, "hourly", {"number": 2}, key="w")
        assert again.json() == {"id": first, "status": "completed", "duplicate": True}
        assert server.terminate() == 0
    connection = sqlite3.connect(tmp_path / "tasks.db")
    with connection:
        connection.execute("UPDATE task SET created_at = created_at - ?", (HOUR,))
    connection.close()
    with serving(tmp_path, directory=tmp_path) as server:
        assert submit(server, "hourly", {"number": 3}, key="w") != first


def test_a_key_outlives_a_kill(tmp_path: Path) -> None:
    application(tmp_path, ACTIONS)
    with serving(tmp_path, directory=tmp_path) as server:
        first = submit(server, "waiting", {"number": 1}, key="k", delay=60)
        server.kill()
    with serving(tmp_path, directory=tmp_path) as server:
        assert post(server, "waiting", {"number": 2}, key="k").json()["duplicate"]
        assert look(server, first)["status"] == "scheduled"
