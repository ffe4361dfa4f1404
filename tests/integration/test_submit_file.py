"""`taskmill submit --file`: files of tasks, what is wrong in them by line, and what broke off sent again."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from apps import application, memory
from support import Server, eventually, serving

from taskmill.client import Client, ServerAway
from taskmill.client.lines import load

ACTIONS = """
@action(inline=True)
def keep(n: int) -> int:
    return n
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("files")
    with serving(directory, str(application(directory / "app", ACTIONS))) as running:
        yield running


def line(n: Any, **options: Any) -> str:
    return json.dumps({"action": "keep", "data": {"n": n}, **options}) + "\n"


def submit(server: Server, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "taskmill", "submit", "--url", server.url, *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=90, check=False)


def stored(server: Server, tag: str) -> list[int]:
    with Client(server.url) as client:
        return sorted(task.data["n"] for task in client.list(tag=tag))


def test_wrong_lines_are_named_and_mended_ones_alone_are_stored(server: Server, tmp_path: Path) -> None:
    file, errors = tmp_path / "tasks.ndjson", tmp_path / "errors.ndjson"
    tag = tmp_path.name
    good = [line(n, tags=[tag]) for n in range(5)]
    file.write_text(
        "".join([good[0], "\n", line("x", tags=[tag]), good[1], "{oops\n", *good[2:]]).rstrip("\n")
    )
    done = submit(server, "--file", str(file))
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == f"{file}:3: data.n: Expected `int`, got `str`"
    assert done.stderr.splitlines()[1].startswith(f"{file}:5: The body is not valid JSON: ")
    assert "5 tasks in " in done.stdout
    assert "; 2 were refused" in done.stdout
    file.write_text("".join([good[0], "\n", line(17, tags=[tag]), good[1], "{oops\n", *good[2:]]))
    done = submit(server, "--file", str(file), "--errors", str(errors), "--json")
    assert json.loads(done.stdout) == {"count": 6, "replayed": 5, "errors": 1}
    assert [json.loads(text)["line"] for text in errors.read_text().splitlines()] == [5]
    assert done.stderr == ""
    assert stored(server, tag) == [0, 1, 2, 3, 4, 17]


def test_lines_of_standard_input_have_their_own_keys_or_those_of_a_name(
    server: Server, tmp_path: Path
) -> None:
    tag = tmp_path.name
    text = line(1, tags=[tag], idempotency_key=f"{tag} one") + line(2, tags=[tag])
    for _ in range(2):
        assert submit(server, "--file", "-", text=text).returncode == 0
    assert stored(server, tag) == [1, 2, 2]
    for _ in range(2):
        done = submit(server, "--file", "-", "--idempotency-key", f"{tag} run", text=line(3, tags=[tag]))
        assert done.returncode == 0, done.stderr
    assert "; 1 of them were there already" in done.stdout
    assert stored(server, tag) == [1, 2, 2, 3]


def test_without_keys_all_is_stored_again(server: Server, tmp_path: Path) -> None:
    file, tag = tmp_path / "tasks.ndjson", tmp_path.name
    file.write_text(line(1, tags=[tag]))
    for _ in range(2):
        assert submit(server, "--file", str(file), "--no-keys").returncode == 0
    assert stored(server, tag) == [1, 1]


def test_wrong_usage_is_told(server: Server, tmp_path: Path) -> None:
    for arguments, message in (
        ([], "name an ACTION, or a file of tasks with --file"),
        (["keep", "--file", "x"], "leave ACTION and DATA-JSON out"),
        (["--file", str(tmp_path / "none")], "none cannot be read: No such file or directory"),
    ):
        done = submit(server, *arguments)
        assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_what_broke_off_goes_on_where_it_stood(tmp_path: Path) -> None:
    """The server is killed in the middle; the same command again stores the rest, and nothing twice."""
    file, count = tmp_path / "tasks.ndjson", 12_000
    file.write_text("".join(line(n) for n in range(count)))
    app = str(application(tmp_path / "app", ACTIONS))
    paused = ("-o", "app:task_consumer:lifecycle.auto_start=false")
    with serving(tmp_path, app, *paused) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "taskmill", "submit", "--file", str(file), "--url", server.url],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        with process:
            eventually(lambda: server.get("/tasks?limit=1").json()["count"], 60)
            server.kill()
            eventually(lambda: server.process.poll() is not None, 20)
            process.terminate()  # it would try for half a minute
            process.communicate(timeout=60)
    with serving(tmp_path, app, *paused) as server, Client(server.url) as client:
        before = sum(1 for _ in client.list())
        assert before > 0
        done = submit(server, "--file", str(file))
        assert done.returncode == 0, done.stderr
        assert sorted(task.data["n"] for task in client.list()) == list(range(count))
        assert before == count or "of them were there already" in done.stdout


def test_a_server_that_is_away_ends_it(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        url = server.url
    with Client(url, retry_for=0.1) as client, pytest.raises(ServerAway):
        list(load(client, [line(1).encode()], "x"))


def test_memory_does_not_grow_with_the_lines(server: Server) -> None:
    count, body = 30_000, line(1, tags=[f"{number}" * 190 for number in range(1, 6)]).encode()
    sizes, stored_ = [], 0
    with Client(server.url) as client:
        for loaded in load(client, (body for _ in range(count)), None):
            assert not loaded.refused
            stored_ += loaded.stored
            sizes.append(memory(psutil.Process().pid))
    assert stored_ == count
    assert len(sizes) > 30
    grown = sizes[-1] - sizes[len(sizes) // 3]
    assert grown < count * len(body) / 3, f"{sizes[0]} to {sizes[-1]} bytes"
