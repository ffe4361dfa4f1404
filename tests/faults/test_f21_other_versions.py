"""F21: rows that this version of an application cannot run: nothing is lost, and nothing is held up."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from apps import application
from support import Server, eventually, serving

pytestmark = pytest.mark.fault

BEFORE = """
@action(inline=True)
def renamed(text: str) -> str:
    return text.upper()

@action(inline=True, backoff="50ms")
def changed(text: str) -> str:
    return text.upper()

@action(backoff="50ms")
def isolated(text: str) -> str:
    return text.upper()

@action(inline=True, backoff="50ms")
def kept(text: str) -> str:
    return text.upper()
"""
OLD, NEW = "(text: str) -> str:\n    return text.upper()", "(number: int) -> str:\n    return str(number)"
AFTER = BEFORE.replace("def renamed", "def its_new_name")
for name in ("changed", "isolated"):
    AFTER = AFTER.replace(f"def {name}{OLD}", f"def {name}{NEW}")
NO_CONSUMER = ("-o", "app:task_consumer:lifecycle.auto_start=false")


@contextmanager
def running(data: Path, actions: str, *options: str) -> Iterator[Server]:
    directory = application(data / "app", actions)
    with serving(data, *options, directory=directory) as server:
        yield server


def look(server: Server, id_: str) -> dict[str, Any]:
    task: dict[str, Any] = server.get(f"/tasks/{id_}").json()
    return task


def damage(data: Path, id_: str, change: str) -> None:
    """Change a task's row in a database that no server has open."""
    connection = sqlite3.connect(data / "tasks.db")
    with connection:
        sql = f"UPDATE task SET {change} WHERE id = ?"
        assert connection.execute(sql, (bytes.fromhex(id_.replace("-", "")),)).rowcount == 1
    connection.close()


def test_F21_tasks_of_an_action_that_is_gone_wait_seen_and_run_when_it_is_back(tmp_path: Path) -> None:
    with running(tmp_path, BEFORE, *NO_CONSUMER) as server:
        plain = [server.submit("renamed", {"text": str(number)}) for number in range(30)]
        body = {"action": "renamed", "data": {"text": "later"}, "delay": 1, "priority": 9}
        ranked = server.request("POST", "/tasks", body).json()["id"]
        behind = server.submit("kept", {"text": "behind"})
        server.kill()
    with running(tmp_path, AFTER) as server:
        assert server.ended(behind)["status"] == "completed"
        eventually(lambda: look(server, ranked)["status"] == "queued")
        eventually(lambda: server.text().count("this application") >= 2)
        assert "'renamed'" in server.text()
        for id_ in (*plain, ranked):
            task = look(server, id_)
            assert (task["status"], task["attempt"], task["error"]) == ("queued", 0, None)
        assert server.request("POST", "/tasks", {"action": "renamed"}).status == 400
        later = server.submit("kept", {"text": "later"})
        assert server.ended(later)["status"] == "completed"
        assert server.terminate() == 0
    with running(tmp_path, BEFORE) as server:
        for number, id_ in enumerate(plain):
            assert server.ended(id_)["result"] == {"output": str(number)}
        assert server.ended(ranked)["result"] == {"output": "LATER"}


def test_F21_one_that_ran_when_its_action_went_is_kept_too(tmp_path: Path) -> None:
    slow = BEFORE + "\n@action\nasync def slow() -> None:\n    await asyncio.sleep(60)\n"
    with running(tmp_path, slow) as server:
        id_ = server.submit("slow")
        eventually(lambda: look(server, id_)["status"] == "running")
        server.kill()
    with running(tmp_path, BEFORE) as server:
        eventually(lambda: "no action 'slow'" in server.text())
        assert server.ended(server.submit("kept", {"text": "x"}))["status"] == "completed"
        assert look(server, id_)["status"] == "running"
        assert server.request("POST", f"/tasks/{id_}/cancel").status == 200, (
            "an operator may put an end to it"
        )
        assert look(server, id_)["status"] == "cancelled"


@pytest.mark.parametrize("action", ["changed", "isolated"])
def test_F21_data_of_an_older_schema_is_retried_and_then_failed_with_the_reason(
    tmp_path: Path, action: str
) -> None:
    with running(tmp_path, BEFORE, *NO_CONSUMER) as server:
        old = [server.submit(action, {"text": "old"}) for _ in range(5)]
        behind = server.submit("kept", {"text": "behind"})
        server.kill()
    with running(tmp_path, AFTER) as server:
        assert server.ended(behind)["status"] == "completed"
        for id_ in old:
            task = server.ended(id_)
            assert (task["status"], task["attempt"]) == ("failed", 3)
            assert task["error"]["type"] == "ValidationError"
            assert "text" in task["error"]["message"]
        good = server.submit(action, {"number": 5})
        assert server.ended(good)["result"] == {"output": "5"}


def damaged(tmp_path: Path, change: str) -> tuple[str, list[str]]:
    """Leave a database with a row that is changed so, in the middle of others; return their ids."""
    with running(tmp_path, BEFORE, *NO_CONSUMER) as server:
        ids = [server.submit("kept", {"text": str(number)}) for number in range(7)]
        assert server.terminate() == 0
    odd = ids.pop(3)
    damage(tmp_path, odd, change)
    return odd, ids


@pytest.mark.parametrize("text", ['{"text": ', "", '{"text": "x"} 2', "NaN"])
def test_F21_a_row_that_is_no_json_holds_nobody_up(tmp_path: Path, text: str) -> None:
    odd, others = damaged(tmp_path, f"data = '{text}'")
    with running(tmp_path, BEFORE) as server:
        for id_ in others:
            assert server.ended(id_)["status"] == "completed"
        task = server.ended(odd)
        assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 3, "DecodeError")
        assert task["data"] == text, "shown as a string, so that the answer is JSON all the same"
        assert server.get("/tasks?limit=10").json()["count"] == 7


def test_F21_a_row_that_is_no_text_holds_nobody_up(tmp_path: Path) -> None:
    odd, others = damaged(tmp_path, "data = CAST(x'7b2274657874223a22ff227d' AS TEXT)")
    with running(tmp_path, BEFORE) as server:
        for id_ in others:
            assert server.ended(id_)["status"] == "completed"
        task = server.ended(odd)
        assert (task["status"], task["error"]["type"]) == ("failed", "DecodeError"), "not run with other data"
        assert task["data"] == r'{"text":"\xff"}'
        assert server.get("/tasks?limit=10").json()["count"] == 7
