"""The page for programs of Celery: its tasks run as they stand, and what it says of them is so."""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application
from readme_lines import ROOT
from support import Server, serving

PAGE = (ROOT / "docs" / "how-to" / "celery.md").read_text()
MORE = """
from datetime import datetime, timedelta, UTC
import asyncio, time

@app.task(name="later", queue="tasks", priority=5, rate_limit="100/s", time_limit=30, acks_late=True)
def later(text: str, times: int = 1) -> str:
    return text * times

@shared_task(bind=True, max_retries=None)
def ends(self, after):
    if self.request.retries < after:
        self.retry(countdown=0)
    return self.request.retries

@shared_task(bind=True, max_retries=1)
def gives_up(self):
    self.retry(countdown=0)

ONCE = {"max_retries": 1, "countdown": 0}

@shared_task(autoretry_for=(Exception,), dont_autoretry_for=(KeyError,), retry_kwargs=ONCE)
def picky(kind):
    raise {"key": KeyError, "value": ValueError}[kind](kind)

@shared_task(time_limit=0.2)
def slow():
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """The files of the page, and a server that runs their tasks."""
    directory = application(tmp_path_factory.mktemp("celery") / "app", "")
    index = (directory / "_index.yaml").read_text()
    assert len(re.findall(r"^    actions: .*$", index, re.M)) == 1
    (directory / "_index.yaml").write_text(
        re.sub(r"^    actions: .*$", "    actions: [shop.tasks]", index, flags=re.M)
    )
    (directory / "shop").mkdir()
    for name, text in re.findall(r"```python\n# (\S+)\n(.*?)```", PAGE, re.S):
        (directory / name).write_text(text)
    with (directory / "shop" / "tasks.py").open("a") as file:
        file.write(MORE)
    with serving(directory.parent, directory=directory) as server:
        tasks = directory / "shop" / "tasks.py"
        tasks.write_text(tasks.read_text().replace("http://127.0.0.1:8080", server.url))
        yield server, directory


def run(project: tuple[Server, Path], code: str) -> str:
    server, directory = project
    env = {**os.environ, "TASKMILL_URL": server.url}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=directory, env=env,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + server.text()
    return done.stdout


def test_what_the_page_calls_returns_what_it_says(project: tuple[Server, Path]) -> None:
    printed = run(project, (project[1] / "call.py").read_text())
    (said,) = re.findall(r"```\n(8\n.*?)```", PAGE, re.S)
    assert re.fullmatch(".*".join(map(re.escape, said.split("…"))), printed), printed


def test_more_of_celery(project: tuple[Server, Path]) -> None:
    printed = run(
        project,
        """
        from shop.tasks import *
        assert later("ab", times=2) == "abab", "a plain call"
        one = app.send_task("later", kwargs={"text": "by name"})
        assert one.get(timeout=20) == "by name" and one.successful() and one.state == "SUCCESS"
        assert app.AsyncResult(one.id).result == "by name"
        at = later.apply_async(("at",), eta=datetime.now(UTC) + timedelta(hours=1), expires=7200)
        assert at.state == "PENDING" and not at.ready() and at.result is None
        at.revoke()
        assert at.state == "REVOKED" and at.ready()
        same = [later.apply_async(("once",), task_id="mine").id for _ in range(2)]
        assert same[0] == same[1]
        assert ends.delay(after=5).get(timeout=20) == 5, "no bound on retries"
        def error(result):
            return result.get(timeout=20, propagate=False).task.error.type
        def tries(result):
            error(result)
            return result._task().attempt
        assert error(gives_up.delay()) == "MaxRetriesExceededError"
        assert (error(picky.delay("key")), tries(picky.delay("key"))) == ("KeyError", 1)
        assert (error(picky.delay("value")), tries(picky.delay("value"))) == ("ValueError", 2)
        assert error(slow.delay()) == "timeout"
        for wrong in (lambda: later.delay("a", "b", "c"), lambda: later.apply_async(("a",), link=later)):
            try:
                wrong()
            except TypeError as refused:
                print(refused)
        """,
    )
    assert printed.splitlines() == [
        "too many positional arguments",
        "apply_async: Taskmill has no `link` (docs/how-to/celery.md tells what it has)",
    ]
