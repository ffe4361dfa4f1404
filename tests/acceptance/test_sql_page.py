"""The page on SQL is run, and what it promises is kept: nothing changes, and nothing takes for ever."""

import csv
import io
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from apps import application
from readme_lines import ROOT
from support import Server, serving

PAGE = (ROOT / "docs" / "how-to" / "sql.md").read_text()


def run(data: Path, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "taskmill", *shlex.split(command)[1:], "--data", str(data), *options]
    return subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=60, cwd=data)


def fill(server: Server) -> str:
    for _ in range(2):
        id_ = server.submit("uppercase", {"text": "a"})
        server.ended(id_)
    return id_


def test_the_page(server: Server, tmp_path: Path) -> None:
    fill(server)
    commands = re.findall(r"^(taskmill sql .*)\n# → (.*)$", PAGE, re.M)
    assert len(commands) == 2
    table = run(tmp_path, commands[0][0]).stdout.splitlines()
    assert table[0].split() == ["action", "status", "tasks"]
    assert table[1].split() == ["uppercase", "completed", "2"]
    assert run(tmp_path, commands[1][0]).stdout.strip() == commands[1][1]


@pytest.mark.parametrize(
    "database", ["sqlite", *[pytest.param(name, marks=pytest.mark.long) for name in ("postgres", "mariadb")]]
)
def test_rows_are_readable_and_nothing_changes(
    tmp_path: Path, database: str, request: pytest.FixtureRequest
) -> None:
    url = None if database == "sqlite" else request.getfixturevalue(f"{database}_url")
    actions = "@action(inline=True)\ndef uppercase(text: str) -> str:\n    return text.upper()\n"
    app = str(application(tmp_path / "app", actions, url))
    with serving(tmp_path, app) as server:
        id_ = fill(server)
        task = server.get(f"/tasks/{id_}").json()

        def ask(query: str, *options: str) -> subprocess.CompletedProcess[str]:
            return run(tmp_path, "taskmill sql", query, "--app", app, *options)

        read = ask(f"SELECT * FROM tasks WHERE id = '{id_}'", "--json")
        assert not read.stderr
        found = json.loads(read.stdout)
        assert {
            name: found[name] for name in ("id", "status", "created_at", "finished_at", "action", "run_at")
        } == {name: task[name] for name in ("id", "status", "created_at", "finished_at", "action", "run_at")}
        mine = ask("WITH mine AS (SELECT id FROM tasks) SELECT count(*) AS c FROM mine", "--format", "csv")
        assert list(csv.reader(io.StringIO(mine.stdout))) == [["c"], ["2"]]
        limited = ask("SELECT id FROM tasks", "--limit", "1", "--json")
        assert len(limited.stdout.splitlines()) == 1
        assert "more than 1 rows" in limited.stderr
        assert ask("DELETE FROM task").returncode == 2
        assert ask("WITH a AS (SELECT 1) DELETE FROM task").returncode == 1
        assert ask("SELECT 1; DELETE FROM task").returncode == 1
        count = "SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 900000000"
        slow = f"WITH RECURSIVE c(n) AS ({count}) SELECT max(n) FROM c"
        slow = "SELECT sleep(20)" if database == "mariadb" else slow  # which counts to a thousand only
        given_up = ask(slow, "--timeout", "300ms")
        assert (given_up.returncode, given_up.stdout) == (1, "")
        assert server.get(f"/tasks/{id_}").json() == task
        assert len(server.get("/tasks").json()["tasks"]) == 2
