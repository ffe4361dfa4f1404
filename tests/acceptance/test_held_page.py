"""The page on held tasks is run, and its example is killed at each moment."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from readme_lines import ADDRESS, ROOT, Example
from support import Server, eventually, require

PAGE = (ROOT / "docs" / "how-to" / "held.md").read_text()
EXAMPLE = ROOT / "examples" / "held"

# Runs the example, and kills it before or after one of its steps.
KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import shop as example

def killing(step, when):
    def run(*arguments):
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        step(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)
    return run

shop = example.Shop(*sys.argv[2:4])
setattr(shop, sys.argv[4], killing(getattr(shop, sys.argv[4]), sys.argv[5]))
shop.order("a kettle")
"""


def test_the_page(server: Server) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    blocks = re.findall(r"```bash\n(.*?)```", PAGE, re.S)
    assert len(blocks) == 4
    id_ = ""
    for block in blocks:
        command, _, answer = block.partition("\n# → ")
        shell = command.replace(ADDRESS.removeprefix("http://"), server.url.removeprefix("http://")).replace(
            "ID", id_
        )
        ran = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True, timeout=30)
        assert Example(command, answer.strip()).matches(ran.stdout.strip()), ran.stdout
        if '"hold"' in command:
            id_ = json.loads(ran.stdout)["id"]
        elif "release" in command:
            assert server.ended(id_)["result"] == {"output": "A KETTLE"}
    assert server.get(f"/tasks/{id_}").json()["status"] == "cancelled"
    assert server.terminate() == 0


MOMENTS = [("hold", "before"), ("hold", "after"), ("store", "after"), ("release", "after"), ("note", "after")]


@pytest.mark.parametrize(("step", "when"), MOMENTS)
def test_a_kill_at_each_moment_leaves_both_or_neither(
    server: Server, tmp_path: Path, step: str, when: str
) -> None:
    file = tmp_path / "shop.db"
    program = [sys.executable, "-c", KILLED, str(EXAMPLE), server.url, str(file), step, when]
    ran = subprocess.run(program, check=False, capture_output=True, text=True, timeout=30)
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    recover = [sys.executable, str(EXAMPLE / "shop.py"), server.url, str(file), "recover"]
    subprocess.run(recover, check=True, timeout=30)
    with sqlite3.connect(file) as shop:
        orders = [task for (task,) in shop.execute("SELECT task FROM orders WHERE released")]
    shop.close()
    assert len(orders) == (step not in ("hold",))
    for task in orders:
        assert server.ended(task)["result"] == {"output": "A KETTLE"}
    tasks: list[dict[str, Any]] = server.get("/tasks").json()["tasks"]
    others = [task for task in tasks if task["id"] not in orders]
    assert all(task["status"] == "scheduled" and task["held_until"] for task in others)
    assert len(others) == ((step, when) == ("hold", "after"))
    eventually(lambda: server.get("/readyz").status == 200)
