"""What a new version of an application does with tasks of the old one: said before, mended, parked; never dropped."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from apps import application
from support import Server, eventually, serving

OLD = """
@action
async def greet(name: str) -> str:
    return f"hello {name}"

@action
async def resize(width: int) -> int:
    return width

@action(inline=True)
def gone(number: int = 0) -> int:
    return number

@action(priority=3, queue="")
async def gone_ranked(number: int = 0) -> int:
    return number
"""
NEW = """
def upgrade(data: Any) -> Any:
    first, _, last = data.pop("name").partition(" ")
    return {"first": first, "last": last}

@action(upgrade=upgrade)
def greet(first: str, last: str = "") -> str:
    return f"hello {first} {last}"

@action
async def resize(width: int, height: int) -> int:
    return width * height
"""


def check(app: Path, data: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "taskmill", "check", str(app), "--queued", "--data", str(data), *options]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert not ran.stderr, ran.stderr
    return ran.returncode, ran.stdout


def submit(server: Server, action: str, data: dict[str, object], **fields: object) -> str:
    answer = server.request("POST", "/tasks", {"action": action, "data": data, **fields})
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def show(server: Server, id_: str) -> dict[str, Any]:
    task: dict[str, Any] = server.get(f"/tasks/{id_}").json()
    return task


OTHERS = [pytest.param(name, marks=pytest.mark.long) for name in ("postgres", "mariadb")]


@pytest.mark.parametrize("database", ["sqlite", *OTHERS])
def test_the_tasks_of_an_older_version(tmp_path: Path, database: str, request: pytest.FixtureRequest) -> None:
    url = None if database == "sqlite" else request.getfixturevalue(f"{database}_url")
    old = application(tmp_path / "old", OLD, url)
    new = application(tmp_path / "new", NEW, url)
    data = tmp_path / "data"
    with serving(tmp_path, str(old), "--data", str(data)) as server:
        assert server.request("POST", "/queues/tasks/pause").status == 200
        assert check(old, data) == (0, "0 tasks wait; 0 of them would run\n")
        greets = [submit(server, "greet", {"name": "Ada Lovelace"}) for _ in range(3)]
        sizes = [submit(server, "resize", {"width": 5}, delay=3600) for _ in range(7)]
        lost = [submit(server, "gone", {"number": number}) for number in range(2)]
        ranked = [submit(server, "gone_ranked", {"number": number}) for number in range(2)]
        assert check(old, data) == (0, "14 tasks wait; 14 of them would run\n")
        status, text = check(new, data)  # while the old one serves
        assert status == 1
        assert text.startswith("14 tasks wait; 3 of them would run, 3 once `upgrade` has mended them\n7 of ")
        assert "2 of action 'gone': no action of this name" in text
        found = json.loads(check(new, data, "--json")[1])
        resize = found["troubles"][0]
        assert (resize["count"], resize["first"]) == (7, sizes[:5])
        assert "height" in resize["why"]
        assert server.request("POST", "/queues/tasks/resume").status == 200
        server.kill()
    with serving(tmp_path, str(new), "--data", str(data)) as server:
        for id_ in greets:
            task = server.ended(id_)
            assert task["result"]["output"] in ("hello Ada Lovelace", "hello Ada Lovelace ".strip())
        waiting = [id_ for id_ in lost + ranked if show(server, id_)["status"] == "queued"]
        for id_ in waiting:
            reasons = server.get(f"/tasks/{id_}/why").json()["waiting_for"]
            assert "no_action" in [reason["reason"] for reason in reasons]
        assert server.request("POST", "/tasks", {"action": "gone"}).status == 400
        assert server.terminate() == 0
    with serving(tmp_path, str(old), "--data", str(data)) as server:
        for number, id_ in enumerate(lost):
            assert server.ended(id_)["result"] == {"output": number}
        for number, id_ in enumerate(ranked):
            assert server.ended(id_)["result"] == {"output": number}
        assert waiting or database


def test_a_task_that_ran_when_its_action_went_is_taken_up_when_it_is_back(tmp_path: Path) -> None:
    slow = (
        OLD
        + "\n@action(max_attempts=5)\nasync def slow() -> int:\n    await asyncio.sleep(60)\n    return 1\n"
    )
    quick = slow.replace("asyncio.sleep(60)", "asyncio.sleep(0)")
    data = tmp_path / "data"
    with serving(tmp_path, str(application(tmp_path / "app", slow)), "--data", str(data)) as server:
        id_ = submit(server, "slow", {})
        eventually(lambda: show(server, id_)["status"] == "running")
        server.kill()
    with serving(tmp_path, str(application(tmp_path / "app", NEW)), "--data", str(data)) as server:
        reasons = server.get(f"/tasks/{id_}/why").json()["waiting_for"]
        assert [reason["reason"] for reason in reasons] == ["no_action"]
        assert "this application has no action 'slow'" in server.text()
        assert server.terminate() == 0
    with serving(tmp_path, str(application(tmp_path / "app", quick)), "--data", str(data)) as server:
        task = server.ended(id_)
        assert (task["status"], task["attempt"]) == ("completed", 2)


def test_rows_keep_the_schema_that_their_data_has_passed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for actions in (OLD, NEW):
        with serving(tmp_path, str(application(tmp_path / "app", actions)), "--data", str(data)) as server:
            server.ended(submit(server, "resize", {"width": 1, **({"height": 1} if actions is NEW else {})}))
            bulk = {"tasks": [{"action": "greet", "data": {"name" if actions is OLD else "first": "x"}}]}
            assert server.request("POST", "/tasks/bulk", bulk).status == 202
            assert server.terminate() == 0
    query = "SELECT t.action, s.hash FROM tasks t JOIN action_schema s ON s.number = t.version ORDER BY t.id"
    command = [sys.executable, "-m", "taskmill", "sql", query, "--json"]
    command += ["--app", str(tmp_path / "app"), "--data", str(data)]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [row["action"] for row in rows] == ["resize", "greet", "resize", "greet"]
    assert len({row["hash"] for row in rows}) == 4
