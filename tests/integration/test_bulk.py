"""Many tasks with one request: all or none as JSON, line by line as a stream."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application, memory
from support import Server, eventually, serving
from wire import Wire

ACTIONS = """
@action(inline=True)
def uppercase(text: str) -> str:
    return text.upper()

@action(unique="refuse")
async def once(n: int) -> int:
    await asyncio.sleep(30)
    return n
"""

NDJSON = {"Content-Type": "application/x-ndjson"}
MIB = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("bulk")
    with serving(directory, str(application(directory / "app", ACTIONS))) as running:
        yield running


def one(text: str, **options: Any) -> dict[str, Any]:
    return {"action": "uppercase", "data": {"text": text}, **options}


def lines(*bodies: Any) -> bytes:
    return b"".join(json.dumps(body).encode() + b"\n" for body in bodies)


def stream(server: Server, body: bytes, **headers: str) -> list[Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = server.request("POST", "/tasks/bulk", body, {**NDJSON, **named}, timeout=60)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"] == NDJSON["Content-Type"]
    return [json.loads(line) for line in answer.body.splitlines()]


def results(server: Server, ids: list[str]) -> list[Any]:
    return [server.ended(id_)["result"] for id_ in ids]


def newest(server: Server) -> list[str]:
    return [task["id"] for task in server.get("/tasks?limit=1").json()["tasks"]]


def test_a_document_is_stored_and_run_in_order(server: Server) -> None:
    texts = [f"t{number}" for number in range(300)]
    answer = server.request("POST", "/tasks/bulk", {"tasks": [one(text) for text in texts]})
    assert answer.status == 202
    ids = answer.json()["ids"]
    assert answer.json()["count"] == len(ids) == 300
    assert ids == sorted(ids)
    assert results(server, ids) == [{"output": text.upper()} for text in texts]


def test_options_of_single_submissions_hold(server: Server) -> None:
    bodies = [one("a", priority=9, tags=["x"]), one("b", delay=3600), one("c"), one("d", key="k")]
    ids = server.request("POST", "/tasks/bulk", {"tasks": bodies}).json()["ids"]
    tasks = [server.get(f"/tasks/{id_}").json() for id_ in ids]
    assert [task["data"]["text"] for task in tasks] == ["a", "b", "c", "d"]
    assert (tasks[0]["priority"], tasks[0]["tags"], tasks[1]["status"], tasks[3]["key"]) == (
        9,
        ["x"],
        "scheduled",
        "k",
    )
    assert results(server, [ids[0], ids[2], ids[3]]) == [{"output": text} for text in "ACD"]


BAD = {
    "data": ({"action": "uppercase", "data": {"txt": "a"}}, "tasks[1].data.txt"),
    "action": ({"action": "upper", "data": {}}, "tasks[1].action"),
    "queue": (one("a", queue="none"), "tasks[1].queue"),
    "field": (one("a", color="red"), "tasks[1].color"),
    "start_by": (one("a", start_by=5), "tasks[1].start_by"),
}


@pytest.mark.parametrize("case", BAD)
def test_one_that_is_wrong_refuses_all_and_is_named(server: Server, case: str) -> None:
    body, path = BAD[case]
    before = newest(server)
    answer = server.request("POST", "/tasks/bulk", {"tasks": [one("a"), body, one("b")]})
    assert answer.status == 400
    assert [error["path"] for error in answer.json()["errors"]] == [path]
    assert newest(server) == before
    refused = stream(server, lines(one("a"), body, one("b")))
    assert ["id" in line for line in refused] == [True, False, True]
    assert refused[1]["line"] == 2
    assert path.partition(".")[2] in refused[1]["error"]


def test_a_unique_key_refuses_all_of_a_document_and_one_line_of_a_stream(server: Server) -> None:
    first = server.request(
        "POST", "/tasks", {"action": "once", "data": {"n": 1}, "key": "only", "delay": 900}
    )
    second = {"action": "once", "data": {"n": 2}, "key": "only"}
    answer = server.request("POST", "/tasks/bulk", {"tasks": [one("unstored"), second]})
    assert answer.status == 409
    assert first.json()["id"] in answer.json()["errors"][0]["message"]
    assert not [
        task
        for task in server.get("/tasks?limit=100").json()["tasks"]
        if task["data"] == {"text": "unstored"}
    ]
    answers = stream(server, lines(one("stored"), second, one("too")))
    assert ["id" in line for line in answers] == [True, False, True]
    server.request("POST", f"/tasks/{first.json()['id']}/cancel")


def test_what_is_no_document_is_refused(server: Server) -> None:
    for body in (
        b"",
        b"[]",
        b"{",
        b'{"tasks": {}}',
        b'{"tasks": [1]}',
        b'{"tasks": [], "x": 1}',
        b'{"tasks": ["\xff"]}',
    ):
        assert server.request("POST", "/tasks/bulk", body).status == 400, body
    assert server.request("POST", "/tasks/bulk", {"tasks": []}).json() == {"ids": [], "count": 0}
    many = b'{"tasks":[' + b",".join([json.dumps(one("x")).encode()] * 10_001) + b"]}"
    assert server.request("POST", "/tasks/bulk", many).status == 400
    assert server.request("POST", "/tasks/bulk", b" " * (17 * MIB)).status == 413
    assert server.request("POST", "/tasks/bulk", b"x", {"Content-Type": "text/csv"}).status == 415


def test_the_same_idempotency_key_answers_the_same_ids(server: Server) -> None:
    headers = {"Idempotency-Key": "bulk-1"}
    body = {"tasks": [one("i1"), one("i2", priority=3)]}
    first = server.request("POST", "/tasks/bulk", body, headers).json()["ids"]
    assert server.request("POST", "/tasks/bulk", body, headers).json()["ids"] == first
    other = server.request("POST", "/tasks/bulk", {"tasks": [one("i1"), one("other")]}, headers)
    assert other.status == 422
    data = lines(*[one(f"s{number}") for number in range(50)])
    half = data[: data.index(b"s25")].rpartition(b"\n")[0]
    begun = stream(server, half, Idempotency_Key="bulk-2")
    whole = stream(server, data, Idempotency_Key="bulk-2")
    assert [one["id"] for one in whole[: len(begun)]] == [one["id"] for one in begun]
    assert [one.get("replayed", False) for one in whole] == [True] * len(begun) + [False] * (50 - len(begun))
    assert len({line["id"] for line in whole}) == 50


def test_answers_come_while_the_request_goes_on(server: Server) -> None:
    head = b"POST /tasks/bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
    with Wire(server.url) as wire:
        wire.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
        for number in range(3):
            piece = lines(one(f"w{number}"))
            wire.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            assert b'{"id":"' in wire.until(b"}\n")
        wire.send(b"0\r\n\r\n")
        wire.until(b"0\r\n\r\n")


def test_empty_lines_and_a_missing_last_end_are_no_matter(server: Server) -> None:
    body = b"\n" + lines(one("a")) + b"  \n\r\n" + json.dumps(one("b")).encode()
    answers = stream(server, body)
    assert len(answers) == 2
    assert all("id" in line for line in answers)
    bad = stream(server, body + b"\n{}\n")
    assert bad[2]["line"] == 6


def test_a_line_that_is_too_long_ends_the_stream(server: Server) -> None:
    body = lines(one("a")) + b'{"action":"uppercase","data":{"text":"' + b"x" * (2 * MIB)
    answers = stream(server, body)
    assert "id" in answers[0]
    assert answers[1]["line"] == 2
    assert "1 MiB" in answers[1]["error"]


def test_a_brief_stream_answers_with_errors_and_a_sum(server: Server) -> None:
    body = lines(*[one(f"b{number}") for number in range(100)], {"action": "none"})
    assert [set(line) for line in stream(server, body, Prefer="return=minimal")] == [
        {"line", "error", "status", "errors"},
        {"count", "errors"},
    ]
    assert stream(server, lines(one("x")), Prefer="return=minimal") == [{"count": 1, "errors": 0}]


def test_single_submissions_beside_a_stream_are_all_run(server: Server) -> None:
    singles: list[str] = []
    going = threading.Event()

    def submit() -> None:
        while not going.is_set():
            singles.append(server.submit("uppercase", {"text": "single"}))

    threads = [threading.Thread(target=submit) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        answers = stream(server, lines(*[one(f"m{number}") for number in range(20_000)]))
    finally:
        going.set()
        for thread in threads:
            thread.join()
    assert len({line["id"] for line in answers}) == 20_000
    eventually(lambda: not server.get("/tasks?status=queued&limit=1").json()["count"], 30)
    assert all(server.ended(id_)["status"] == "completed" for id_ in singles)


def test_a_stream_waits_for_room(tmp_path: Path) -> None:
    app = str(application(tmp_path / "app", ACTIONS))
    options = ["-o", "app:tasks:max_backlog=3000", app]
    with serving(tmp_path, *options) as server:
        answers = stream(server, lines(*[one(f"r{number}") for number in range(20_000)]))
        assert sum("id" in line for line in answers) == 20_000


def test_memory_stays_flat(tmp_path: Path) -> None:
    app = str(application(tmp_path / "app", ACTIONS))
    with serving(tmp_path, "-o", "app:task_consumer:lifecycle.auto_start=false", app) as server:
        portion = lines(*[one(f"r{number}") for number in range(5_000)])
        stream(server, portion, Prefer="return=minimal")
        before = memory(server.process.pid)
        stream(server, portion * 20, Prefer="return=minimal")
        grown = memory(server.process.pid) - before
        assert grown < 40 * MIB, f"{grown / MIB:.1f} MiB"


def test_lines_and_single_submissions_may_have_keys_of_their_own(server: Server) -> None:
    keyed = [one("own", idempotency_key="own-1"), one("other", idempotency_key="own-2"), one("none")]
    first = stream(server, lines(*keyed), Idempotency_Key="the-stream")
    again = stream(server, lines(keyed[1], keyed[0]))
    assert again == [{"id": first[1]["id"], "replayed": True}, {"id": first[0]["id"], "replayed": True}]
    (wrong,) = stream(server, lines(one("changed", idempotency_key="own-1")))
    assert (wrong["line"], wrong["status"]) == (1, 422)
    assert wrong["error"] == "its idempotency key came with another body before"
    body = one("single", idempotency_key="own-3")
    ids = [server.request("POST", "/tasks", body) for _ in range(2)]
    assert ids[0].json()["id"] == ids[1].json()["id"]
    assert ids[1].headers["idempotency-replayed"] == "true"
    assert server.request("POST", "/tasks/bulk", {"tasks": [body]}).json()["ids"] == [ids[0].json()["id"]]
    assert server.request("POST", "/tasks", one("x", idempotency_key=" ")).status == 400
