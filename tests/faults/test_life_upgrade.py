"""F12: a database that the version before wrote, opened by this one: nothing is lost, the unfinished goes on."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application
from support import Server, serving

pytestmark = pytest.mark.fault

WRITTEN = Path(__file__).parents[1] / "fixtures" / "written_by_0_1" / "tasks.db"
ACTIONS = """
@action(inline=True)
def uppercase(text: str) -> str:
    return text.upper()

@action(inline=True, backoff=0)
def broken(text: str) -> str:
    raise ValueError("no good: " + text)

@action
async def slow(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    shutil.copy(WRITTEN, tmp_path / "tasks.db")
    with serving(tmp_path, directory=application(tmp_path / "app", ACTIONS)) as running:
        yield running


def listed(server: Server, query: str) -> list[dict[str, Any]]:
    tasks: list[dict[str, Any]] = server.get(f"/tasks?limit=100{query}").json()["tasks"]
    return tasks


def test_F12_what_waited_is_completed_and_what_ran_runs_again(server: Server) -> None:
    tasks = listed(server, "")
    assert len(tasks) == 40
    ended = [server.ended(task["id"]) for task in tasks]
    counts: dict[tuple[str, str, int], int] = {}
    for task in ended:
        what = (task["action"], task["status"], task["attempt"])
        counts[what] = counts.get(what, 0) + 1
    assert counts == {
        ("uppercase", "completed", 1): 35, ("slow", "completed", 2): 2, ("broken", "failed", 1): 3,
    }  # fmt: skip
    for task in ended:
        if task["action"] == "uppercase":
            assert task["result"] == {"output": task["data"]["text"].upper()}


def test_F12_old_tasks_are_shown_with_the_fields_that_are_new(server: Server) -> None:
    done = [task for task in listed(server, "&status=completed") if task["action"] == "uppercase"]
    task = server.get(f"/tasks/{done[-1]['id']}").json()
    assert task["queue"] == "tasks"
    assert (task["priority"], task["key"], task["fair_key"], task["tags"], task["timeout"]) == (
        0,
        None,
        None,
        [],
        None,
    )
    assert (task["run_at"], task["expires_at"]) == (None, None)
    assert [(attempt["attempt"], attempt["error"]) for attempt in task["attempts"]] == [(1, None)]
    (failed, *_) = listed(server, "&status=failed")
    assert failed["error"]["type"] == "ValueError"
    assert "traceback" not in failed["error"]


def test_F12_old_tasks_can_be_redriven_and_new_ones_have_greater_ids(server: Server) -> None:
    old = listed(server, "")
    fresh = server.submit("uppercase", {"text": "new"})
    assert fresh > max(task["id"] for task in old)
    assert server.ended(fresh)["status"] == "completed"
    failed = next(task["id"] for task in old if task["status"] == "failed")
    assert server.request("POST", f"/tasks/{failed}/retry").status == 200
    task = server.ended(failed)
    assert (task["status"], task["attempt"], task["max_attempts"]) == ("failed", 4, 4)
    assert [attempt["attempt"] for attempt in task["attempts"]] == [2, 3, 4]


def test_F12_the_next_start_has_nothing_left_to_do(tmp_path: Path, server: Server) -> None:
    for task in listed(server, ""):
        server.ended(task["id"])
    before = listed(server, "")
    assert "migrations applied" in server.text()
    assert server.terminate() == 0
    with serving(tmp_path, directory=tmp_path / "app") as again:
        assert listed(again, "") == before
        assert "migrations applied" not in again.text()
