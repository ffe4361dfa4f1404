"""Batches, on every database: their members, their ends, the task that runs then, and what is refused."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from apps import application
from submitting import look, submit, until
from support import Answer, Server, eventually, serving

ACTIONS = """
from taskmill import Unique

@action(inline=True)
def double(n: int) -> int:
    return 2 * n

@action(inline=True, max_attempts=1)
def wrong(why: str) -> None:
    raise ValueError(why)

@action(inline=True)
def long(n: int) -> str:
    return "x" * n

@action
async def gated(gate: str) -> str:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return "through"

@action(inline=True)
def total(batch: dict[str, Any], of: str = "") -> Any:
    results = batch["results"]
    found = None if results is None else [None if one["result"] is None else one["result"]["output"] for one in results]
    return {"of": of, "results": found, **{name: batch[name] for name in ("id", "name", "total", "completed", "failed",
            "cancelled")}}

@action(inline=True, unique=Unique("return", key="data.n"))
def single(n: int) -> int:
    return n
"""


SERVERS = [pytest.param(name, marks=pytest.mark.long) for name in ("postgres", "mariadb")]


@pytest.fixture(scope="module", params=["sqlite", *SERVERS])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    place = tmp_path_factory.mktemp("batches")
    url = None if request.param == "sqlite" else request.getfixturevalue(request.param).create()
    with serving(place, str(application(place / "app", ACTIONS, url))) as server:
        yield server
        assert server.terminate() == 0
        assert "ERROR" not in server.text()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    gate = tmp_path / "gate"
    yield gate
    gate.touch()


def post(server: Server, body: object, headers: dict[str, str] | None = None) -> Answer:
    return server.request("POST", "/batches", body, headers)


def make(server: Server, tasks: list[Any], **fields: Any) -> dict[str, Any]:
    answer = post(server, {"tasks": tasks, **fields})
    assert answer.status == 202, answer.body
    made: dict[str, Any] = answer.json()
    assert len(made["ids"]) == made["count"] == len(tasks)
    return made


def doubles(*numbers: int, **options: Any) -> list[dict[str, Any]]:
    return [{"action": "double", "data": {"n": number}, **options} for number in numbers]


def get(server: Server, id_: str) -> dict[str, Any]:
    batch: dict[str, Any] = server.get(f"/batches/{id_}").json()
    return batch


def ended(server: Server, id_: str) -> dict[str, Any]:
    eventually(lambda: get(server, id_)["status"] == "ended", 20)
    return get(server, id_)


LAST = {"action": "total", "data": {"of": "all"}}


@pytest.mark.parametrize("size", [0, 1, 3, 300])
def test_the_last_task_runs_once_with_the_results_of_all(server: Server, size: int) -> None:
    made = make(server, doubles(*range(size)), name=f"of {size}", on_complete=LAST)
    last = until(server, made["on_complete"], "completed")
    expected = {"of": "all", "results": [2 * n for n in range(size)], "id": made["id"], "name": f"of {size}",
                "total": size, "completed": size, "failed": 0, "cancelled": 0}  # fmt: skip
    assert last["result"] == expected
    assert last["attempt"] == 1
    batch = ended(server, made["id"])
    assert (batch["progress"], batch["counts"]["completed"]) == ({"done": size, "total": size}, size)
    assert (batch["failed"], batch["more"], batch["on_complete"]) == ([], False, made["on_complete"])
    assert batch["closed_at"] <= batch["ended_at"]


def test_lost_members_are_named_and_count_as_ended(server: Server, gate: Path) -> None:
    tasks = [
        *doubles(1),
        {"action": "wrong", "data": {"why": "bad weather"}, "name": "north"},
        {"action": "gated", "data": {"gate": str(gate)}, "name": "south"},
    ]
    made = make(server, tasks, on_complete=LAST)
    until(server, made["ids"][1], "failed")
    until(server, made["ids"][0], "completed")
    before = get(server, made["id"])
    assert (before["status"], before["progress"]) == ("running", {"done": 2, "total": 3})
    waits = server.get(f"/tasks/{made['on_complete']}/why").json()["waiting_for"]
    assert waits == [{"reason": "batch", "batch": made["id"], "name": None}]
    assert server.request("POST", f"/tasks/{made['ids'][2]}/cancel").status == 200
    last = until(server, made["on_complete"], "completed")["result"]
    assert (last["completed"], last["failed"], last["cancelled"]) == (1, 1, 1)
    assert last["results"] == [2, None, None]
    batch = ended(server, made["id"])
    assert [(one["id"], one["name"], one["status"]) for one in batch["failed"]] == [
        (made["ids"][1], "north", "failed"), (made["ids"][2], "south", "cancelled")]  # fmt: skip
    assert batch["failed"][0]["error"]["message"] == "bad weather"
    member = look(server, made["ids"][1])
    assert (member["batch"], member["name"]) == (made["id"], "north")


def test_an_open_batch_takes_tasks_until_it_is_closed(server: Server) -> None:
    made = make(server, doubles(1), open=True, on_complete=LAST)
    until(server, made["ids"][0], "completed")
    path = f"/batches/{made['id']}"
    added = server.request("POST", f"{path}/tasks", {"tasks": doubles(2, 3)})
    assert (added.status, added.json()["count"]) == (202, 2)
    for id_ in added.json()["ids"]:
        until(server, id_, "completed")
    assert get(server, made["id"])["status"] == "open"
    assert look(server, made["on_complete"])["status"] == "scheduled"
    assert server.request("POST", f"{path}/close").status == 200
    assert until(server, made["on_complete"], "completed")["result"]["results"] == [2, 4, 6]
    late = server.request("POST", f"{path}/tasks", {"tasks": doubles(4)})
    assert late.status == 409
    assert ended(server, made["id"])["progress"]["total"] == 3
    assert server.request("POST", f"{path}/close").status == 200


def test_a_batch_is_cancelled_with_its_last_task(server: Server, gate: Path) -> None:
    tasks = [*doubles(1), *doubles(2, delay=600), {"action": "gated", "data": {"gate": str(gate)}}]
    made = make(server, tasks, open=True, on_complete=LAST)
    until(server, made["ids"][0], "completed")
    until(server, made["ids"][2], "running")
    answer = server.request("POST", f"/batches/{made['id']}/cancel")
    assert answer.status == 200, answer.body
    batch = ended(server, made["id"])
    assert (batch["counts"]["completed"], batch["counts"]["cancelled"]) == (1, 2)
    assert batch["cancelled_at"] is not None
    assert [look(server, id_)["status"] for id_ in made["ids"]] == ["completed", "cancelled", "cancelled"]
    assert look(server, made["on_complete"])["status"] == "cancelled"
    assert server.request("POST", f"/batches/{made['id']}/cancel").status == 409


def test_long_results_are_to_be_fetched_a_page_at_a_time(server: Server) -> None:
    made = make(server, [{"action": "long", "data": {"n": 1_500_000}}] * 3, on_complete=LAST)
    assert until(server, made["on_complete"], "completed")["result"]["results"] is None
    found: list[Any] = []
    cursor = ""
    while cursor is not None:
        page = server.get(
            f"/batches/{made['id']}/results?limit=2" + (f"&cursor={cursor}" if cursor else "")
        ).json()
        assert page["count"] == len(page["results"])
        found += page["results"]
        cursor = page["next"]
    assert [one["id"] for one in found] == made["ids"]
    assert {len(one["result"]["output"]) for one in found} == {1_500_000}


def test_the_list_goes_from_the_newest_a_page_at_a_time(server: Server) -> None:
    ids = [make(server, doubles(n), name=f"page {n}")["id"] for n in range(3)]
    first = server.get("/batches?limit=2").json()
    assert [one["id"] for one in first["batches"]] == [ids[2], ids[1]]
    second = server.get(f"/batches?limit=1&cursor={first['next']}").json()
    assert [one["name"] for one in second["batches"]] == ["page 0"]


def test_a_batch_that_is_sent_again_with_its_key_is_the_same(server: Server) -> None:
    body = {"tasks": doubles(1, 2), "name": "once", "on_complete": LAST}
    headers = {"Idempotency-Key": uuid4().hex}
    first, second = post(server, body, headers), post(server, body, headers)
    assert first.status == second.status == 202
    assert first.json() == second.json()
    assert post(server, {**body, "name": "twice"}, headers).status == 422


def test_members_may_follow_others_and_be_retried(server: Server) -> None:
    first = submit(server, "double", {"n": 1}, delay=0.3)
    made = make(server, doubles(5, after=[first], priority=9, tags=["member"]), on_complete=LAST)
    assert until(server, made["on_complete"], "completed")["result"]["results"] == [10]
    assert look(server, first)["status"] == "completed"


REFUSED = {
    "no action": ({"tasks": [{"action": "nothing"}]}, 400, "tasks[0].action"),
    "bad data": ({"tasks": [*doubles(1), {"action": "double", "data": {"n": "a"}}]}, 400, "tasks[1].data.n"),
    "unknown field": ({"taks": []}, 400, "taks"),
    "last without batch": (
        {"on_complete": {"action": "double", "data": {"n": 1}}},
        400,
        "on_complete.data.batch",
    ),
    "last with delay": ({"on_complete": {**LAST, "delay": 1}}, 400, "on_complete.delay"),
    "last told": ({"on_complete": {"action": "total", "data": {"batch": {}}}}, 400, "on_complete.data.batch"),
    "last is no object": ({"on_complete": 5}, 400, "on_complete"),
    "nothing to follow": ({"tasks": doubles(1, after=[str(uuid4())])}, 400, "tasks[0].after[0]"),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_what_cannot_be_a_batch_is_refused_whole(server: Server, refused: str) -> None:
    body, status, path = REFUSED[refused]
    before = server.get("/batches?limit=1").json()["batches"]
    answer = post(server, body)
    assert (answer.status, answer.json()["errors"][0]["path"]) == (status, path), answer.body
    assert server.get("/batches?limit=1").json()["batches"] == before


def test_a_member_that_is_there_already_is_refused(server: Server) -> None:
    first = submit(server, "single", {"n": 7}, delay=600)
    answer = post(server, {"tasks": [*doubles(1), {"action": "single", "data": {"n": 7}}]})
    assert (answer.status, answer.json()["errors"][0]["path"]) == (409, "tasks[1]")
    server.request("POST", f"/tasks/{first}/cancel")
    assert post(server, [json.dumps([])]).status == 400
    assert server.get(f"/batches/{uuid4()}").status == 404
    for path in ("close", "cancel", "tasks"):
        assert server.request("POST", f"/batches/{uuid4()}/{path}", {}).status == 404
