"""The page on watching is run: its action, its commands, its Python, and a worker in Node under a thousand tasks."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from external import declare
from readme_lines import ADDRESS, ROOT, Example
from support import Server, eventually, require, serving
from test_lines_pages import page, write

PAGE = page("watch")
BIN = Path(sys.executable).parent
SHELL = re.findall(r"```bash\n(.*?)```", PAGE, re.S)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("watch")
    app = directory / "app"
    text = PAGE.replace("```python\nfrom taskmill.client", "```\nfrom taskmill.client")
    declare(write("watch", app, text), (ROOT / "examples" / "workers" / "entries.yaml").read_text())
    with serving(directory, str(app)) as server:
        yield server


def environment(server: Server) -> dict[str, str]:
    return {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "TASKMILL_URL": server.url}


def shell(server: Server, script: str, directory: Path) -> list[str]:
    """Run lines of the page, and return what they print."""
    ran = subprocess.run(
        ["sh", "-eu", "-c", script.replace(ADDRESS, server.url)], cwd=directory,
        env=environment(server), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


def compare(said: list[str], block: str) -> None:
    """Check that all lines that a block shows have been said, in its order."""
    left = iter(said)
    for answer in re.findall(r"^# → (.*)$", block, re.M):
        assert any(Example("", answer).matches(line) for line in left), f"{answer} is not in {said}"


def test_the_commands_say_what_the_page_does(server: Server, tmp_path: Path) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    first, shown, streamed = SHELL[:3]
    said = shell(server, first + 'echo "$id"\n', tmp_path)
    compare(said, first)
    id_ = said[-1]
    for block in (shown, streamed):
        compare(shell(server, f"id={id_}\n" + block.replace("\n# →", "; echo\n# →"), tmp_path), block)


def test_the_python_is_run(server: Server, tmp_path: Path) -> None:
    (script,) = (text for text in re.findall(r"```python\n(.*?)```", PAGE, re.S) if "Client()" in text)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], cwd=tmp_path,
        env=environment(server), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    said = ran.stdout.splitlines()
    wanted = re.findall(r"# → (.*)$", script, re.M)
    assert len(wanted) == 3
    assert set(wanted) <= set(said), said


@pytest.mark.long
def test_a_thousand_tasks_of_a_worker_in_node_are_watched(server: Server, tmp_path: Path) -> None:
    require(shutil.which("jq"), "apt-get install jq")
    node = require(shutil.which("node"), "https://nodejs.org")
    watch, work = SHELL[3:]
    assert work == f"node examples/workers/worker.mjs {ADDRESS}\n"
    watcher = subprocess.Popen(
        ["sh", "-eu", "-c", watch.replace(ADDRESS, server.url)], cwd=tmp_path,
        env=environment(server), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    lines: list[str] = []
    reading = threading.Thread(target=lambda: lines.extend(watcher.stdout or ()), daemon=True)
    worker = None
    try:
        reading.start()
        eventually(lambda: lines, 30)
        worker = subprocess.Popen([node, *work.split()[1:-1], server.url], cwd=ROOT)
        assert watcher.wait(90) == 0
    finally:
        for process in (watcher, worker):
            if process is not None:
                process.kill()
                process.wait(10)
        reading.join(10)
        if watcher.stdout:
            watcher.stdout.close()
    compare([line.rstrip("\n") for line in lines], watch)
    assert sum("  thumbnail  completed" in line for line in lines) > 900
    assert len({line.split()[0] for line in lines if "of 3" in line}) > 500, "tasks whose progress was seen"
    assert not [line for line in lines if "missing" in line]
