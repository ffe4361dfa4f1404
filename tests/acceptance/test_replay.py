"""A capsule of a task, and the task run again out of it."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

from apps import application
from readme_lines import ROOT
from support import serving

PAGE = (ROOT / "docs" / "how-to" / "replay.md").read_text()
ACTIONS = """
from taskmill import current_task

@action(max_attempts=1)
def divide(a: int, b: int) -> float:
    print("attempt", current_task().attempt, file=sys.stderr)
    return a / b

@action(inline=True, batch=10)
def many(items: list[int]) -> list[int]:
    return [item * 2 for item in items]

@action
async def wait(text: str) -> str:
    await asyncio.sleep(0)
    return text + current_task().id[:2]
"""


def run(command: str, directory: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "taskmill", *shlex.split(command)[1:]]
    return subprocess.run(
        arguments, check=False, capture_output=True, text=True, timeout=60, cwd=directory, input=typed
    )


def test_the_page_and_the_debugger(tmp_path: Path) -> None:
    take, replay = re.findall(r"^(taskmill .*)$", PAGE, re.M)
    app = application(tmp_path / "shop", ACTIONS)
    with serving(tmp_path, str(app)) as server:
        ids = {
            action: server.submit(action, data)
            for action, data in {"divide": {"a": 1, "b": 0}, "many": 4, "wait": {"text": "ü"}}.items()
        }
        for action, id_ in ids.items():
            server.ended(id_)
            command = take.partition(" >")[0].replace("ID", id_).replace("http://localhost:8080", server.url)
            taken = run(command, tmp_path)
            (tmp_path / f"{action}.json").write_text(taken.stdout)
        capsule = json.loads((tmp_path / "divide.json").read_text())
        assert (capsule["capsule"], capsule["task"]["data"]) == (1, {"a": 1, "b": 0})
        assert capsule["task"]["attempts"][0]["error"]["type"] == "ZeroDivisionError"
        assert capsule["data_schema"]["schema"]
        assert server.get("/tasks/019ab000-0000-7000-8000-000000000000/capsule").status == 404
    ended = run(replay.replace("failed", "divide"), tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "attempt 1" in ended.stderr
    assert "ZeroDivisionError" in ended.stderr
    debugged = run(replay.replace("failed", "divide") + " --pdb", tmp_path, "p (a, b)\nq\n")
    assert "(1, 0)" in debugged.stdout
    assert json.loads(run(replay.replace("failed", "many"), tmp_path).stdout) == {"output": 8}
    assert json.loads(run(replay.replace("failed", "wait"), tmp_path).stdout) == {"output": "ü01"}


def test_what_has_changed_is_said(tmp_path: Path) -> None:
    app = application(
        tmp_path / "shop", "@action\ndef divide(a: int, b: int = 1) -> float:\n    return a / b\n"
    )
    packed = {
        "task": {"id": "x", "action": "divide", "data": {"a": 4}, "attempt": 2},
        "data_schema": {"hash": "0"},
    }
    (tmp_path / "failed.json").write_text(json.dumps(packed))
    ran = run(f"taskmill replay failed.json --app {app}", tmp_path)
    assert (ran.returncode, json.loads(ran.stdout)) == (0, {"output": 4.0})
    assert "has changed" in ran.stderr
    for broken in ("{}", "", json.dumps({"task": {**packed["task"], "action": "gone"}})):
        (tmp_path / "failed.json").write_text(broken)
        assert run(f"taskmill replay failed.json --app {app}", tmp_path).returncode == 2
