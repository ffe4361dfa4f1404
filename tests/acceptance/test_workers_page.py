"""The page on workers is run, and so are the workers among the examples: in shell, Node and Go."""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from apps import application
from external import declare
from readme_lines import ADDRESS, ROOT
from support import Server, require, serving

PAGE = (ROOT / "docs" / "how-to" / "workers.md").read_text()
EXAMPLES = ROOT / "examples" / "workers"
ACTION = "@action(inline=True)\ndef uppercase(text: str) -> str:\n    return text.upper()\n"

pytestmark = pytest.mark.timeout(180)


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.S)
    assert found
    return found[1]


@pytest.fixture
def thumbnails(tmp_path: Path) -> Iterator[Server]:
    app = declare(application(tmp_path / "app", ACTION), "\n" + block("yaml"))
    with serving(tmp_path, str(app)) as server:
        yield server


def test_the_lines_answer_what_the_page_says(thumbnails: Server) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    require(shutil.which("jq"), "apt-get install jq")
    answers = re.findall(r"^# → (.*)$", block("bash"), re.M)
    assert len(answers) == 5
    script = re.sub(r"^# → .*$", "echo", block("bash"), flags=re.M).replace(ADDRESS, thumbnails.url)
    script = script.replace("curl ", "curl --silent --max-time 30 ")
    run = subprocess.run(["sh", "-eu", "-c", script], capture_output=True, text=True, check=True, timeout=60)
    said = run.stdout.split("\n")
    lines = [line for line in said if line]
    assert len(lines) == 5, run.stdout
    for line, answer in zip(lines, answers, strict=True):
        assert re.fullmatch(".*".join(map(re.escape, answer.split("…"))), line), f"{line} is not {answer}"


def test_the_examples_declare_what_the_page_does() -> None:
    assert (EXAMPLES / "entries.yaml").read_text().strip("\n") == block("yaml").strip("\n")


def test_a_shell_worker(thumbnails: Server) -> None:
    require(shutil.which("curl"), "apt-get install curl")
    require(shutil.which("jq"), "apt-get install jq")
    with running("sh", str(EXAMPLES / "worker.sh"), thumbnails.url):
        serves(thumbnails, 3)


def test_a_node_worker(thumbnails: Server) -> None:
    node = require(shutil.which("node"), "https://nodejs.org")
    with running(node, str(EXAMPLES / "worker.mjs"), thumbnails.url) as worker:
        serves(thumbnails, 25)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0


def test_a_go_worker(thumbnails: Server, tmp_path: Path) -> None:
    found = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    go = require(found, "https://go.dev/dl")
    binary = tmp_path / "worker"
    subprocess.run([go, "build", "-o", str(binary), "."], cwd=EXAMPLES / "go", check=True, timeout=150)
    with running(str(binary), thumbnails.url) as worker:
        serves(thumbnails, 25)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(20) == 0


def serves(server: Server, count: int) -> None:
    """A worker completes tasks, some of which are there before it, and others come as it waits."""
    for _ in range(2):
        ids = [
            server.submit("thumbnail", {"url": f'cat \\ "{number}".jpg', "width": number})
            for number in range(1, count + 1)
        ]
        for number, id_ in enumerate(ids, 1):
            task = server.ended(id_, 60)
            assert task["status"] == "completed", task
            assert task["result"] == {"thumbnail": f'cat \\ "{number}".jpg?width={number}'}


@contextmanager
def running(*command: str) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(list(command), start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
