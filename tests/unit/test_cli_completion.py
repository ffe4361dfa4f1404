"""Completion of the shell: commands, options, and names that the server knows; `taskmill actions`."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from support import Server, serving
from typer.testing import CliRunner

from taskmill.cli import app


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("completion")) as running:
        yield running


def offered(line: str, url: str) -> list[str]:
    """Ask as bash does at the Tab key, with the cursor behind the last word."""
    words = line.split(" ")
    env = {**os.environ, "_TASKMILL_COMPLETE": "complete_bash", "COMP_WORDS": line,
           "COMP_CWORD": str(len(words) - 1), "TASKMILL_URL": url}  # fmt: skip
    script = "import sys; sys.argv[0] = 'taskmill'; from taskmill.cli import main; main()"
    shown = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=30,
                           check=False)  # fmt: skip
    assert shown.stderr == ""
    return shown.stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("taskmill sub", ["submit"]),
        ("taskmill submit upp", ["uppercase"]),
        ("taskmill submit ", ["sum", "uppercase"]),
        ("taskmill list --action s", ["sum"]),
        ("taskmill pause ", ["tasks"]),
        ("taskmill schedules run night", ["nightly"]),
        ("taskmill cancel --dry", ["--dry-run"]),
    ],
)
def test_names_are_offered(server: Server, line: str, expected: list[str]) -> None:
    server.request("PUT", "/schedules/nightly", {"cron": "0 3 * * *", "action": "uppercase"})
    assert offered(line, server.url) == expected


def test_without_a_server_nothing_is_offered_and_nothing_said() -> None:
    assert offered("taskmill submit upp", "http://127.0.0.1:1") == []
    assert offered("taskmill submit upp", "ftp://nowhere") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell_is_shown(shell: str) -> None:
    env = {**os.environ, "_TASKMILL_COMPLETE": f"source_{shell}"}
    script = "import sys; sys.argv[0] = 'taskmill'; from taskmill.cli import main; main()"
    shown = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=30,
                           check=True)  # fmt: skip
    assert "_TASKMILL_COMPLETE" in shown.stdout


def test_actions_are_listed_for_people_and_programs(server: Server) -> None:
    env = {"TASKMILL_URL": server.url, "TERM": "dumb", "NO_COLOR": "1"}
    header, *rows = CliRunner().invoke(app, ["actions"], env=env).stdout.splitlines()
    assert header.split() == ["Action", "Runs", "Queue", "Attempts", "Timeout", "What", "it", "does"]
    assert [row.split()[0] for row in rows] == ["sum", "uppercase", "*"]
    assert rows[1].rstrip().endswith("Write a text in capital letters.")
    assert '"count":3' in CliRunner().invoke(app, ["actions", "--json"], env=env).stdout
