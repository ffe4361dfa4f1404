"""Cancelling and running again by filter: the right tasks, each once, in steps that let others through."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from apps import application, memory
from backlogs import fill
from support import Answer, Server, eventually, serving

ACTIONS = """
@action(max_attempts=1)
async def slow() -> str:
    await asyncio.sleep(60)
    return "late"

@action(inline=True, max_attempts=1)
def broken(number: int = 0) -> str:
    if os.path.exists("mended"):
        return "mended"
    if os.path.exists("other"):
        raise KeyError(number)
    raise ValueError(number)

@action(inline=True, max_attempts=1)
def good() -> str:
    return "good"
"""
IDLE = ("-o", "app:task_consumer:lifecycle.auto_start=false")
MANY = 20_000


def post(server: Server, verb: str, **body: Any) -> Answer:
    return server.request("POST", f"/tasks/{verb}", body, timeout=60)


def count(server: Server, verb: str, **body: Any) -> int:
    answer = post(server, verb, **body)
    assert answer.status == 200, answer.body
    assert answer.json().keys() == {"count"}
    return int(answer.json()["count"])


def number_of(server: Server, status: str, action: str = "") -> int:
    page = server.get(f"/tasks?limit=1000&status={status}" + (f"&action={action}" if action else ""))
    return int(page.json()["count"])


def failed(server: Server, action: str, number: int) -> list[str]:
    ids = [server.submit(action, {"number": one}) for one in range(number)]
    for id_ in ids:
        assert server.ended(id_)["status"] == "failed"
    return ids


def test_cancelling_by_filter_takes_what_waits_and_stops_what_runs(tmp_path: Path) -> None:
    with serving(tmp_path, directory=application(tmp_path / "app", ACTIONS)) as server:
        running = server.submit("slow")
        eventually(lambda: server.get(f"/tasks/{running}").json()["status"] == "running")
        delayed = server.request("POST", "/tasks", {"action": "slow", "delay": 3600}).json()["id"]
        other = server.request("POST", "/tasks", {"action": "good", "delay": 3600}).json()["id"]
        done = server.submit("good")
        server.ended(done)
        assert count(server, "cancel", action="slow", dry_run=True) == 2
        assert server.get(f"/tasks/{running}").json()["status"] == "running"
        assert count(server, "cancel", action="slow") == 2
        assert server.get(f"/tasks/{running}").json()["status"] == "cancelled"
        assert server.get(f"/tasks/{delayed}").json()["status"] == "cancelled"
        assert server.get(f"/tasks/{other}").json()["status"] == "scheduled"
        assert server.get(f"/tasks/{done}").json()["status"] == "completed"
        assert server.ended(server.submit("good"))["status"] == "completed", "the places are free again"
        assert count(server, "cancel", action="slow") == 0
        assert server.terminate() == 0


def test_twenty_thousand_waiting_tasks_are_cancelled_while_others_submit(tmp_path: Path) -> None:
    with serving(tmp_path, *IDLE, directory=application(tmp_path / "app", ACTIONS)) as server:
        fill(server.url, MANY, "good", {})
        before = memory(server.process.pid)
        waits: list[float] = []
        done = threading.Event()

        def submit() -> None:
            while not done.is_set():
                began = time.monotonic()
                server.submit("broken")
                waits.append(time.monotonic() - began)

        thread = threading.Thread(target=submit)
        thread.start()
        try:
            eventually(lambda: len(waits) > 5)
            began = time.monotonic()
            assert count(server, "cancel", action="good") == MANY
            seconds = time.monotonic() - began
        finally:
            done.set()
            thread.join()
        print(f"{MANY / seconds:,.0f} a second; the longest submit meanwhile took {max(waits):.3f} s")
        assert max(waits) < max(2.0, seconds / 2), "others wait for a batch, never for all of it"
        assert memory(server.process.pid) - before < 60 * 2**20
        assert number_of(server, "queued", "good") == 0
        assert number_of(server, "cancelled", "broken") == 0


def test_no_cancelled_task_runs_afterwards(tmp_path: Path) -> None:
    actions = ACTIONS + (
        "\n@action(inline=True)\ndef mark(number: int = 0) -> None:\n    open('ran', 'a').write(f'{number}\\n')\n"
    )
    directory = application(tmp_path / "app", actions)
    with serving(tmp_path, directory=directory) as server:
        assert server.request("POST", "/queues/tasks/pause").status == 200
        fill(server.url, 12_000, "mark", {"number": 1})  # more than the window holds
        assert count(server, "cancel", action="mark") == 12_000
        assert server.request("POST", "/queues/tasks/resume").status == 200
        server.ended(server.submit("mark", {"number": 2}))
        assert (directory / "ran").read_text() == "2\n"
        assert count(server, "cancel", status="queued") == 0
        assert server.terminate() == 0


def test_retrying_by_filter_meets_each_task_once_though_they_fail_again(tmp_path: Path) -> None:
    directory = application(tmp_path / "app", ACTIONS)
    with serving(tmp_path, directory=directory) as server:
        ids = failed(server, "broken", 250)
        assert count(server, "retry", status="failed", action="broken") == 250
        eventually(lambda: number_of(server, "failed") == 250)
        assert {server.get(f"/tasks/{id_}").json()["attempt"] for id_ in ids} == {2}
        (directory / "mended").touch()
        assert count(server, "retry", action="broken") == 250
        for id_ in ids:
            assert server.ended(id_)["result"] == {"output": "mended"}
        assert count(server, "retry", action="broken") == 0
        assert server.terminate() == 0


def test_a_limit_does_a_part_and_a_cursor_the_rest(tmp_path: Path) -> None:
    with serving(tmp_path, *IDLE, directory=application(tmp_path / "app", ACTIONS)) as server:
        ids = [server.submit("good") for _ in range(10)]
        first = post(server, "cancel", action="good", limit=4).json()
        assert first == {"count": 4, "next": ids[6]}, "the newest first"
        rest = post(server, "cancel", action="good", limit=10, cursor=first["next"]).json()
        assert rest == {"count": 6, "next": None}


@pytest.mark.parametrize("verb", ["cancel", "retry"])
@pytest.mark.parametrize(
    ("body", "path", "said"),
    [
        ({}, None, "at least one of `status`"),
        ({"dry_run": True}, None, "at least one of `status`"),
        ({"acton": "x"}, "acton", "did you mean `action`?"),
        ({"status": "completed"}, "status", "only these can be"),
        ({"status": "done"}, "status", "unknown status"),
        ({"action": 5}, "action", "Expected `str | null`, got `int`"),
        ({"action": "x", "limit": 0}, "limit", ">= 1"),
        ({"action": "x", "cursor": "y"}, "cursor", "not a cursor"),
    ],
)
def test_what_is_not_meant_is_refused(
    shared: Server, verb: str, body: dict[str, Any], path: str | None, said: str
) -> None:
    answer = post(shared, verb, **body)
    assert answer.status == 400
    problem = answer.json()
    assert said in (problem["detail"] if path is None else problem["errors"][0]["message"])
    assert [error["path"] for error in problem.get("errors", [])] == ([] if path is None else [path])


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [(b"{", "application/json", 400), (b"[]", "application/json", 400), (b"{}", "text/plain", 415)],
)
def test_a_body_that_is_none_is_refused(shared: Server, body: bytes, content_type: str, status: int) -> None:
    answer = shared.request("POST", "/tasks/cancel", body, {"Content-Type": content_type})
    assert answer.status == status
    assert shared.request("POST", "/tasks/cancel?action=x", {"action": "x"}).status == 400


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with serving(tmp_path_factory.mktemp("refused")) as server:
        yield server


def test_a_canary_that_fails_as_before_stops_the_rest(tmp_path: Path) -> None:
    with serving(tmp_path, directory=application(tmp_path / "app", ACTIONS)) as server:
        failed(server, "broken", 20)
        answer = post(server, "retry", status="failed", canary=5).json()
        assert (answer["count"], answer["stopped"]) == (5, True)
        canary = answer["canary"]
        assert (canary["completed"], canary["failed"], canary["waiting"]) == (0, 5, 0)
        assert canary["error"]["type"] == "ValueError"
        tried = [task["attempt"] for task in server.get("/tasks?action=broken").json()["tasks"]]
        assert tried == [2] * 5 + [1] * 15


@pytest.mark.parametrize(("file", "completed"), [("mended", 5), ("other", 0)])
def test_a_canary_that_lives_or_fails_otherwise_lets_the_rest_follow(
    tmp_path: Path, file: str, completed: int
) -> None:
    directory = application(tmp_path / "app", ACTIONS)
    with serving(tmp_path, directory=directory) as server:
        ids = failed(server, "broken", 20)
        (directory / file).touch()
        answer = post(server, "retry", action="broken", canary=5).json()
        assert (answer["count"], answer["stopped"]) == (20, False)
        assert (answer["canary"]["completed"], answer["canary"]["failed"]) == (completed, 5 - completed)
        eventually(lambda: all(server.get(f"/tasks/{id_}").json()["attempt"] == 2 for id_ in ids))


def test_a_canary_of_more_than_there_are(tmp_path: Path) -> None:
    with serving(tmp_path, directory=application(tmp_path / "app", ACTIONS)) as server:
        assert post(server, "retry", status="failed", canary=5).json() == {
            "count": 0, "stopped": False, "canary": {"completed": 0, "failed": 0, "waiting": 0, "error": None},
        }  # fmt: skip
        failed(server, "broken", 2)
        assert post(server, "retry", status="failed", canary=5).json()["canary"]["failed"] == 2


def test_an_expired_task_that_is_run_again_does_not_expire_at_once(tmp_path: Path) -> None:
    directory = application(tmp_path / "app", ACTIONS)
    with serving(tmp_path, directory=directory) as server:
        server.request("POST", "/queues/tasks/pause")
        id_ = server.request("POST", "/tasks", {"action": "good", "expires_in": 0.05}).json()["id"]
        assert server.ended(id_)["error"]["type"] == "expired", "also while its queue is paused"
        server.request("POST", "/queues/tasks/resume")
        assert count(server, "retry", status="failed") == 1
        eventually(lambda: server.get(f"/tasks/{id_}").json()["status"] == "completed")
