"""Tasks found by what stands in their data, through every door that stores one."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application
from support import Server, eventually, serving

from taskmill.client import Client

BEFORE = """
from taskmill import Unique

@action(inline=True)
def order(customer: Any = None, city: Any = None, fail: bool = False) -> int:
    if fail:
        raise ValueError("no")
    return 1

@action(inline=True)
def plain(customer: Any = None) -> int:
    return 1

@action(unique=Unique("replace", key="data.city"), queue="")
async def replaced(customer: Any = None, city: str = "") -> None: ...
"""
ACTIONS = (
    BEFORE.replace(
        "(inline=True)\ndef order",
        '(inline=True, index=["data.customer", "data.city.name"], max_attempts=1)\ndef order',
    )
    .replace('queue="")', 'index=["data.customer"])')
)  # fmt: skip


def found(server: Server, query: str) -> list[str]:
    answer = server.get(f"/tasks?{query}")
    assert answer.status == 200, answer.body
    return [task["id"] for task in answer.json()["tasks"]]


def submit(server: Server, customer: object, **fields: object) -> str:
    data = {"customer": customer, **fields.pop("data", {})}  # type: ignore[dict-item]
    answer = server.request("POST", "/tasks", {"action": "order", "data": data, **fields})
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("finding")
    with serving(directory, str(application(directory / "app", ACTIONS))) as server:
        yield server


@pytest.mark.parametrize(
    ("value", "query"),
    [
        (101, "101"),
        ("102", "102"),
        ("a b&c=ü", "a%20b%26c%3D%C3%BC"),
        (True, "true"),
        (1.5, "1.5"),
        ({"b": 1, "a": [2]}, '%7B"a":[2],"b":1%7D'.replace('"', "%22")),
        ("x" * 5_000, "x" * 5_000),
        ("", ""),
    ],
)
def test_a_value_of_any_kind_finds_its_tasks(server: Server, value: object, query: str) -> None:
    id_ = submit(server, value)
    assert found(server, f"data.customer={query}") == [id_]
    assert found(server, f"data.customer={query}&action=order&limit=1") == [id_]
    assert found(server, f"data.customer={query}&action=plain".replace("action=plain", "queue=none")) == []
    assert found(server, f"data.customer={query}x") == []


def test_together_with_the_other_filters_and_page_by_page(server: Server) -> None:
    ids = [
        submit(server, "many", data={"city": {"name": city}, "fail": number % 3 == 0}, tags=["t"])
        for number, city in enumerate(["Oslo", "Rome"] * 6)
    ]
    for id_ in ids:
        server.ended(id_)
    mine = "data.customer=many"
    assert found(server, mine) == ids[::-1]
    assert found(server, f"{mine}&data.city.name=Rome") == ids[1::2][::-1]
    assert found(server, f"{mine}&status=failed") == ids[0::3][::-1]
    expected = [id_ for number, id_ in enumerate(ids) if number % 2 == 0 and number % 3][::-1]
    assert found(server, f"{mine}&tag=t&data.city.name=Oslo&status=completed") == expected
    pages: list[str] = []
    cursor = ""
    while True:
        body = server.get(f"/tasks?{mine}&limit=5{cursor}").json()
        pages += [task["id"] for task in body["tasks"]]
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert pages == ids[::-1]
    with Client(server.url) as client:
        assert [task.id for task in client.list(data={"customer": "many", "city.name": "Rome"})] == ids[1::2][
            ::-1
        ]
        assert client.cancel_many(data={"customer": "many"}, dry_run=True) == 0


def test_cancel_retry_and_prune_by_it(server: Server) -> None:
    ids = [submit(server, 77, delay=3600) for _ in range(3)]
    other = submit(server, 78, delay=3600)
    assert server.request("POST", "/tasks/cancel", {"data.customer": 77, "dry_run": True}).json() == {
        "count": 3
    }
    assert server.request("POST", "/tasks/cancel", {"data.customer": 77}).json() == {"count": 3}
    assert server.get(f"/tasks/{other}").json()["status"] == "scheduled"
    assert server.request("POST", "/tasks/retry", {"data.customer": "77"}).json() == {"count": 3}
    for id_ in ids:
        assert server.ended(id_)["status"] == "completed"
    assert (
        server.request("POST", "/tasks/prune", {"data.customer": 77, "older_than": 3600}).json()["count"] == 0
    )
    assert server.request("POST", "/tasks/prune", {"data.customer": 77}).json() == {"count": 3, "more": False}
    assert server.get(f"/tasks/{ids[0]}").status == 410
    assert found(server, "data.customer=77") == []
    assert found(server, "data.customer=78") == [other]


@pytest.mark.parametrize(
    ("path", "hint"),
    [("data.custome", "did you mean `data.customer`?"), ("data.x", "there are: data.city.name, ")],
)
def test_a_path_that_nobody_has_indexed_is_refused(server: Server, path: str, hint: str) -> None:
    answers = [server.get(f"/tasks?{path}=1")]
    answers += [server.request("POST", f"/tasks/{verb}", {path: 1}) for verb in ("cancel", "retry", "prune")]
    for answer in answers:
        assert answer.status == 400
        (error,) = answer.json()["errors"]
        assert error["path"] == path
        assert hint in error["message"], error
        assert f'index=["{path}"]' in answer.json()["detail"]
    assert server.get("/tasks?action=plain&data.customer=1").status == 400
    assert server.get("/tasks?data.customer=1&data.customer=2").status == 400
    assert server.get("/tasks?data=1").status == 400
    assert server.request("POST", "/tasks/cancel", {"data.customer": 1, "colour": 2}).status == 400


def test_every_door_indexes(server: Server) -> None:
    def body(number: int, **more: object) -> dict[str, object]:
        return {"action": "order", "data": {"customer": f"door {number}"}, **more}

    bulk = server.request(
        "POST", "/tasks/bulk", {"tasks": [body(1), body(1, priority=3), body(1, key="k")]}
    ).json()["ids"]
    assert found(server, "data.customer=door%201") == bulk[::-1]
    lines = b"\n".join(json.dumps(body(2)).encode() for _ in range(3))
    streamed = server.request("POST", "/tasks/bulk", lines, {"Content-Type": "application/x-ndjson"})
    assert (
        found(server, "data.customer=door%202")
        == [json.loads(line)["id"] for line in streamed.body.splitlines()][::-1]
    )
    keyed = server.request("POST", "/tasks", body(3), {"Idempotency-Key": f"find {time.time()}"}).json()["id"]
    assert found(server, "data.customer=door%203") == [keyed]
    schedule = {"cron": "0 0 1 1 *", **body(4)}
    assert server.request("PUT", "/schedules/finding", schedule).status in (200, 201)
    ran = server.request("POST", "/schedules/finding/run").json()["id"]
    assert found(server, "data.customer=door%204") == [ran]
    first = {"action": "replaced", "data": {"customer": "old", "city": "c"}, "delay": 3600}
    id_ = server.request("POST", "/tasks", first).json()["id"]
    again = {**first, "data": {"customer": "new", "city": "c"}}
    assert server.request("POST", "/tasks", again).json()["duplicate"]
    assert (found(server, "data.customer=old"), found(server, "data.customer=new")) == ([], [id_])


def seen(server: Server, query: str) -> list[str] | None:
    """Return what is found, or None while the index is being built."""
    answer = server.get(f"/tasks?{query}")
    assert answer.status in (200, 503), answer.body
    return [task["id"] for task in answer.json()["tasks"]] if answer.status == 200 else None


OTHERS = [pytest.param(name, marks=pytest.mark.long) for name in ("postgres", "mariadb")]


@pytest.mark.parametrize("database", ["sqlite", *OTHERS])
def test_tasks_from_before_the_index_are_found_once_it_is_built(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    url = None if database == "sqlite" else request.getfixturevalue(f"{database}_url")
    app = application(tmp_path / "app", BEFORE, url)
    lines = b"\n".join(
        json.dumps({"action": "order", "data": {"customer": number % 7}}).encode() for number in range(1_000)
    )
    with serving(tmp_path, str(app)) as server:
        answer = server.request(
            "POST", "/tasks/bulk", lines, {"Content-Type": "application/x-ndjson"}, timeout=60
        )
        ids = [json.loads(line)["id"] for line in answer.body.splitlines()]
        assert server.get("/tasks?data.customer=3").status == 400
        server.kill()
    application(tmp_path / "app", ACTIONS, url)
    with serving(tmp_path, str(app)) as server:
        new = submit(server, 3)
        server.kill()  # while it may be building
    with serving(tmp_path, str(app)) as server:
        expected = [new, *ids[3::7][::-1]]
        eventually(lambda: seen(server, "data.customer=3&limit=1000") is not None, 60)
        assert seen(server, "data.customer=3&limit=1000") == expected
        assert server.request("POST", "/tasks/cancel", {"data.customer": 3, "dry_run": True}).status == 200
        for id_ in (new, ids[3]):
            server.ended(id_)
        pruned: dict[str, Any] = server.request("POST", "/tasks/prune", {"data.customer": 3}).json()
        assert pruned["count"] > 0
    application(tmp_path / "app", BEFORE, url)
    with serving(tmp_path, str(app)) as server:  # without it for a while
        missed = submit(server, 5)
        server.terminate()
    application(tmp_path / "app", ACTIONS, url)
    with serving(tmp_path, str(app)) as server:
        eventually(lambda: missed in (seen(server, "data.customer=5&limit=1000") or ()), 60)
