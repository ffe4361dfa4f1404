"""Answers that wait for a task to end: `Prefer: wait` and `?wait=`."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application
from support import Answer, Server, eventually, serving
from wire import Wire, post

ACTIONS = """
import gc

@action(inline=True)
def quick() -> str:
    return "ran"

@action(inline=True, max_attempts=1)
def broken() -> None:
    raise ValueError("no")

@action
async def gated(gate: str) -> str:
    while not os.path.exists(gate):
        await asyncio.sleep(0.005)
    return "through"

@action(inline=True, max_attempts=3, backoff=["50ms", "50ms"])
def third_time(lately: str) -> str:
    with open(lately, "a") as file:
        file.write("x")
    if os.path.getsize(lately) < 3:
        raise ValueError("not yet")
    return "third"

@action(max_attempts=2, backoff="50ms")
def deadly_once(mark: str) -> str:
    if not os.path.exists(mark):
        open(mark, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"

@action(inline=True)
def waiters() -> int:
    return sum(type(one).__name__ == "Waiter" for one in gc.get_objects())
"""
SOON = (
    5.0  # seconds in which an answer comes that waits for nothing more; one that waits for its time has TIME
)
TIME = 30


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = application(tmp_path_factory.mktemp("app"), ACTIONS)
    index = (made / "_index.yaml").read_text()
    assert "concurrency: 2" in index
    (made / "_index.yaml").write_text(index.replace("concurrency: 2", "concurrency: 8"))
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, app: Path) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("data"), str(app)) as server:
        yield server


def submit(action: str, data: object = None, *headers: str, wait: int = TIME, **options: Any) -> bytes:
    """Write a submission that would rather wait."""
    body = {"action": action, "data": data or {}, **options}
    return post(json.dumps(body).encode(), f"Prefer: wait={wait}", *headers)


def look(id_: str, wait: float = TIME) -> bytes:
    """Write a look that waits."""
    return f"GET /tasks/{id_}?wait={wait} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def within(answer: float, began: float) -> bool:
    return time.monotonic() - began < answer


def held_by(server: Server) -> int:
    """Return how many wait, as the server's memory says."""
    task = server.ended(server.submit("waiters"))
    return int(task["result"]["output"])


def held(server: Server, count: int) -> None:
    eventually(lambda: held_by(server) == count, 20)


def submitted(server: Server, gate: Path, **options: Any) -> str:
    answer = server.request("POST", "/tasks", {"action": "gated", "data": {"gate": str(gate)}, **options})
    assert answer.status == 202
    return str(answer.json()["id"])


def later(server: Server) -> str:
    """Submit a task that will not end while the test runs."""
    answer = server.request("POST", "/tasks", {"action": "quick", "delay": 600})
    assert answer.status == 202
    return str(answer.json()["id"])


@pytest.mark.parametrize("options", [{}, {"priority": 5}, {"key": "one"}, {"delay": 0.05}, {"tags": ["a"]}])
def test_a_submission_is_answered_with_the_task_once_it_has_ended(
    server: Server, options: dict[str, Any]
) -> None:
    began = time.monotonic()
    with Wire(server.url) as wire:
        answer = wire.send(submit("quick", **options)).reply()
        assert within(SOON, began)
        task = answer.json()
        assert (answer.status, task["status"], task["result"]) == (200, "completed", {"output": "ran"})
        assert answer.headers["preference-applied"] == f"wait={TIME}"
        assert answer.headers["location"] == f"/tasks/{task['id']}"
        assert task == server.get(f"/tasks/{task['id']}").json()
        assert wire.send(submit("broken")).reply().json()["error"]["message"] == "no", (
            "the connection goes on"
        )


def test_a_submission_is_accepted_where_its_time_is_over(server: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    began = time.monotonic()
    with Wire(server.url) as wire:
        answer = wire.send(submit("gated", {"gate": str(gate)}, wait=1)).reply()
    assert time.monotonic() - began >= 0.9
    assert (answer.status, set(answer.json())) == (202, {"id", "status"})
    assert answer.headers["preference-applied"] == "wait=1"
    gate.touch()
    assert server.ended(answer.json()["id"])["status"] == "completed"


@pytest.mark.parametrize(
    ("prefer", "applied"),
    [("wait=0", "wait=0"), ("respond-async", None), ("wait=soon", None), ("wait=-1", None), ("wait", None)],
)
def test_what_does_not_wait_is_accepted_at_once(server: Server, prefer: str, applied: str | None) -> None:
    answer = server.request("POST", "/tasks", {"action": "quick"}, {"Prefer": prefer})
    headers = {name.lower(): value for name, value in answer.headers.items()}
    assert (answer.status, headers.get("preference-applied")) == (202, applied)


def test_what_is_refused_is_refused_at_once(server: Server) -> None:
    began = time.monotonic()
    for body in ({"action": "unheard of"}, {"action": "quick", "colour": 1}):
        assert server.request("POST", "/tasks", body, {"Prefer": "wait=20"}).status == 400
    assert within(SOON, began)


def test_a_look_is_held_until_the_task_has_ended(server: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    id_ = submitted(server, gate)
    with Wire(server.url, TIME + 10) as one, Wire(server.url, TIME + 10) as other:
        one.send(look(id_)).send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        other.send(look(id_))
        held(server, 2)
        began = time.monotonic()
        gate.touch()
        for wire in (one, other):
            task = wire.reply().json()
            assert (task["status"], task["result"]) == ("completed", {"output": "through"})
        assert one.reply().json() == {"status": "ok"}, "what stood behind it is answered, too"
        assert within(SOON, began)
        assert other.send(look(id_)).reply().json() == task, "it has ended: there is nothing to wait for"
        assert within(SOON, began)
    held(server, 0)


def test_a_look_shows_the_task_as_it_is_where_its_time_is_over(server: Server, tmp_path: Path) -> None:
    id_ = submitted(server, tmp_path / "gate")
    eventually(lambda: server.get(f"/tasks/{id_}").json()["status"] == "running")
    began = time.monotonic()
    assert server.get(f"/tasks/{id_}?wait=0.3").json()["status"] == "running"
    assert 0.3 <= time.monotonic() - began < SOON
    held(server, 0)
    (tmp_path / "gate").touch()
    server.ended(id_)


@pytest.mark.parametrize("query", ["wait=61", "wait=-1", "wait=soon", "wait=nan", "wait=1&wait=2", "wiat=1"])
def test_a_wrong_wait_is_refused(server: Server, query: str) -> None:
    answer = server.get(f"/tasks/{server.submit('quick')}?{query}")
    assert answer.status == 400
    assert answer.json()["errors"][0]["path"] in ("wait", "wiat")


@pytest.mark.parametrize("id_", ["nonsense", "019ab000-0000-7000-8000-000000000000"])
def test_nobody_waits_for_what_is_not_there(server: Server, id_: str) -> None:
    began = time.monotonic()
    assert server.get(f"/tasks/{id_}?wait={TIME}").status == 404
    assert within(SOON, began)
    held(server, 0)


def test_a_task_that_is_cancelled_or_expires_has_ended(server: Server, tmp_path: Path) -> None:
    id_ = submitted(server, tmp_path / "never")
    with Wire(server.url) as waiting, Wire(server.url) as expiring:
        waiting.send(look(id_))
        expiring.send(submit("quick", delay=60, expires_in=0.5))
        assert expiring.reply().json()["error"]["type"] == "expired"
        assert server.request("POST", f"/tasks/{id_}/cancel").status == 200
        assert waiting.reply().json()["status"] == "cancelled"


def test_a_task_is_waited_for_until_its_last_attempt(server: Server, tmp_path: Path) -> None:
    with Wire(server.url) as wire:
        task = wire.send(submit("third_time", {"lately": str(tmp_path / "file")})).reply().json()
    assert (task["status"], task["attempt"], task["result"]) == ("completed", 3, {"output": "third"})
    assert [attempt["error"] is None for attempt in task["attempts"]] == [False, False, True]


def test_a_worker_that_is_killed_meanwhile_is_no_end(server: Server, tmp_path: Path) -> None:
    with Wire(server.url, 30) as wire:
        task = wire.send(submit("deadly_once", {"mark": str(tmp_path / "mark")})).reply().json()
    assert (task["status"], task["attempt"], task["result"]) == ("completed", 2, {"output": "survived"})


def test_a_replay_and_a_duplicate_wait_for_the_first(server: Server) -> None:
    again = submit("quick", {}, "Idempotency-Key: once", key="k", delay=1)
    with Wire(server.url) as first, Wire(server.url) as replayed, Wire(server.url) as duplicate:
        first.send(again)
        held(server, 1)
        replayed.send(again)
        duplicate.send(submit("quick", key="k", delay=1))
        held(server, 3)
        answers = [wire.reply() for wire in (first, replayed, duplicate)]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert [answer.status for answer in answers] == [200, 200, 200]
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert answers[2].json() == answers[0].json()
    with Wire(server.url) as late:
        began = time.monotonic()
        assert late.send(again).reply().json() == answers[0].json(), "it had ended before"
        assert within(SOON, began)


def test_clients_that_go_leave_nothing_behind(server: Server) -> None:
    id_ = later(server)
    wires = [Wire(server.url) for _ in range(20)]
    for number, wire in enumerate(wires):
        wire.send(look(id_) if number % 2 else submit("quick", delay=60))
    held(server, 20)
    for wire in wires:
        wire.socket.close()
    held(server, 0)


def test_a_server_that_stops_answers_all_at_once(tmp_path: Path, app: Path) -> None:
    with serving(tmp_path, str(app)) as server:
        with Wire(server.url) as submitting, Wire(server.url) as looking:
            submitting.send(submit("quick", delay=60))
            looking.send(look(later(server)))
            held(server, 2)
            began = time.monotonic()
            server.process.terminate()
            accepted, task = submitting.reply(), looking.reply()
            assert within(SOON, began)
            assert (accepted.status, accepted.headers["connection"]) == (202, "close")
            assert (task.status, task.json()["status"]) == (200, "scheduled")
        assert server.process.wait(20) == 0


def test_other_ways_to_the_same_path_do_not_wait(server: Server, tmp_path: Path) -> None:
    id_ = submitted(server, tmp_path / "gate")
    began = time.monotonic()
    for path in (f"/%74asks/{id_}?wait=20", f"/tasks/{id_.replace('-', '%2D')}?wait=20"):
        answer: Answer = server.get(path)
        assert (answer.status, answer.json()["id"]) == (200, id_)
    assert server.request("HEAD", f"/tasks/{id_}?wait=20").status == 200
    assert within(SOON, began)
    (tmp_path / "gate").touch()
    server.ended(id_)
