"""The commands that ask a server: what they send, print and exit with, for people and for programs."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import application
from support import Server, eventually, serving
from typer.main import get_command
from typer.testing import CliRunner, Result

from taskmill.cli import app, show

ACTIONS = """
@action(inline=True, max_attempts=1)
def greet(name: str = "you") -> str:
    return f"Hello, {name}!"

@action(inline=True, max_attempts=1)
def broken(number: int = 0) -> None:
    raise ValueError("\\x1b[31mred \\u202e [bold]x[/bold]")
"""

Taskmill = Callable[..., Result]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("operator")
    with serving(directory, directory=application(directory / "app", ACTIONS)) as running:
        yield running


@pytest.fixture
def taskmill(server: Server) -> Taskmill:
    """Runs a command against the server."""

    def run(*arguments: str, **env: str) -> Result:
        plain = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", "TASKMILL_URL": server.url, **env}
        return CliRunner().invoke(app, arguments, env=plain)

    return run


def value(result: Result) -> Any:
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def submit(taskmill: Taskmill, *arguments: str) -> str:
    return str(value(taskmill("submit", *arguments, "--json"))["id"])


def test_submit_prints_the_id_and_sends_every_option(server: Server, taskmill: Taskmill) -> None:
    result = taskmill("submit", "greet", '{"name": "Ada"}')
    assert result.exit_code == 0
    id_, status = result.stdout.split()
    assert status == "queued"
    assert server.ended(id_)["result"] == {"output": "Hello, Ada!"}
    id_ = submit(
        taskmill, "greet", "--queue", "tasks", "--priority", "7", "--delay", "1h", "--key", "k", "--tag", "a",
        "--tag", "b c", "--max-attempts", "4", "--timeout", "90", "--expires-in", "2h",
    )  # fmt: skip
    task = server.get(f"/tasks/{id_}").json()
    assert task["status"] == "scheduled"
    shown = [task[name] for name in ("queue", "priority", "key", "tags", "max_attempts", "timeout")]
    assert shown == ["tasks", 7, "k", ["a", "b c"], 4, 90]
    assert task["expires_at"] > task["run_at"] > task["created_at"]
    again = taskmill("submit", "greet", "--key", "k")
    assert again.stdout == f"{id_}  scheduled  (it was there already)\n"
    late = submit(taskmill, "greet", "--run-at", "2999-01-02T03:04:05Z")
    assert server.get(f"/tasks/{late}").json()["run_at"] == "2999-01-02T03:04:05.000Z"
    keys = {submit(taskmill, "greet", "--idempotency-key", "once") for _ in range(2)}
    assert len(keys) == 1


def test_list_shows_a_table_or_the_answer(server: Server, taskmill: Taskmill) -> None:
    ids = [submit(taskmill, "greet", "--tag", "listed", "--priority", str(one)) for one in range(3)]
    for id_ in ids:
        server.ended(id_)
    result = taskmill("list", "--tag", "listed", "--limit", "2")
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["Id", "Action", "Status", "Queue", "Attempt", "Created", "Ended", "as"]
    assert [row.split()[0] for row in rows] == [ids[2], ids[1]]
    assert "Hello, you!" in rows[0]
    assert result.stderr == f"There may be more: --cursor {ids[1]}\n"
    rest = value(taskmill("list", "--tag", "listed", "--cursor", ids[1], "--json"))
    assert [task["id"] for task in rest["tasks"]] == [ids[0]]
    filters = ["--status", "completed", "--action", "greet", "--queue", "tasks", "--key", "none",
               "--created-after", "2000-01-01T00:00:00Z", "--created-before", "2999-01-01T00:00:00Z"]  # fmt: skip
    assert value(taskmill("list", *filters, "--json"))["count"] == 0
    assert value(taskmill("list", *filters[:6], *filters[8:], "--json"))["count"] >= 3


def test_what_comes_from_clients_is_shown_as_text(server: Server, taskmill: Taskmill) -> None:
    id_ = submit(taskmill, "broken")
    server.ended(id_)
    for output in (taskmill("list", "--action", "broken").stdout, taskmill("show", id_).stdout):
        assert "\x1b" not in output
        assert "\u202e" not in output
        assert "[31mred \\u202e [bold]x[/bold]" in output


def test_show_has_every_field_and_why_it_waits(server: Server, taskmill: Taskmill) -> None:
    id_ = submit(taskmill, "greet", "--delay", "1h")
    shown = dict(line.split(maxsplit=1) for line in taskmill("show", id_).stdout.splitlines())
    task = server.get(f"/tasks/{id_}").json()
    assert shown.keys() == task.keys()
    assert (shown["id"], shown["status"], shown["error"]) == (id_, "scheduled", "-")
    why = taskmill("show", id_, "--why").stdout
    assert f"run_at={task['run_at']}" in why
    assert value(taskmill("show", id_, "--why", "--json"))["waiting_for"][0]["reason"] == "scheduled"


def test_cancel_and_retry_by_id(server: Server, taskmill: Taskmill) -> None:
    first, second = (submit(taskmill, "greet", "--delay", "1h") for _ in range(2))
    assert taskmill("cancel", first, second).stdout == f"{first}  cancelled\n{second}  cancelled\n"
    result = taskmill("retry", first, "nonsense", second)
    assert result.exit_code == 1
    assert result.stdout.split()[::2] == [first, second], "one that is refused keeps none from the others"
    assert result.stderr == "taskmill: nonsense: No task has this id.\n"
    assert server.ended(first)["status"] == "completed"
    assert value(taskmill("retry", submitted_and_failed(server, taskmill), "--json"))["status"] == "queued"


def submitted_and_failed(server: Server, taskmill: Taskmill, *arguments: str) -> str:
    id_ = submit(taskmill, "broken", *arguments)
    assert server.ended(id_)["status"] == "failed"
    return id_


def test_cancel_by_filter_in_several_requests(
    server: Server, taskmill: Taskmill, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.cli.bulk.STEP", 3)
    for _ in range(10):
        submit(taskmill, "greet", "--delay", "1h", "--tag", "many")
    dry = taskmill("cancel", "--tag", "many", "--dry-run")
    assert dry.stdout == "10 tasks would be cancelled\n"
    moved: list[int] = []
    counted = show.progress

    def progress(total: int, *, visible: bool) -> Any:
        assert (total, visible) == (10, True)
        return _Recording(counted(total, visible=visible), moved)

    monkeypatch.setattr("taskmill.cli.show.progress", progress)
    assert taskmill("cancel", "--tag", "many").stdout == "10 tasks cancelled\n"
    assert moved == [0, 3, 6, 9, 10]
    monkeypatch.setattr("taskmill.cli.show.progress", counted)
    assert value(taskmill("retry", "--tag", "many", "--json")) == {"count": 10}
    eventually(
        lambda: value(taskmill("list", "--tag", "many", "--status", "completed", "--json"))["count"] == 10
    )


class _Recording:
    """A bar that notes how it is moved."""

    def __init__(self, bar: Any, moved: list[int]) -> None:
        self._bar = bar
        self._moved = moved

    def __enter__(self) -> Callable[[int], None]:
        advance = self._bar.__enter__()

        def noted(count: int) -> None:
            self._moved.append(count)
            advance(count)

        return noted

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)


def test_a_canary_that_fails_stops_with_one(server: Server, taskmill: Taskmill) -> None:
    for _ in range(4):
        submitted_and_failed(server, taskmill, "--tag", "canary")
    result = taskmill("retry", "--tag", "canary", "--canary", "2")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(
        "taskmill: stopped after 2 tasks, of which 0 completed and 2 failed (ValueError: "
    )
    as_json = taskmill("retry", "--tag", "canary", "--canary", "2", "--json")
    assert as_json.exit_code == 1
    assert json.loads(as_json.stdout)["stopped"] is True
    tried = [task["attempt"] for task in server.get("/tasks?tag=canary").json()["tasks"]]
    assert tried == [3, 3, 1, 1]


def test_queues_pause_and_resume(server: Server, taskmill: Taskmill) -> None:
    assert "tasks is paused" in taskmill("pause", "tasks", "--by", "me").stdout
    header, row = taskmill("queues").stdout.splitlines()
    assert header.split() == ["Queue", "Queued", "Scheduled", "Running", "Oldest", "Consumers", "Paused"]
    assert "by me at 20" in row
    assert "tasks goes on" in taskmill("resume", "tasks").stdout
    assert value(taskmill("pause", "tasks", "--json"))["paused"]["by"], "the user of the shell"
    assert value(taskmill("resume", "tasks", "--json"))["paused"] is None
    assert value(taskmill("queues", "--json"))["queues"][0]["name"] == "tasks"
    unknown = taskmill("pause", "task")
    assert unknown.exit_code == 1
    assert unknown.stderr == "taskmill: No queue has this name. Did you mean `tasks`?\n"


def test_nodes(server: Server, taskmill: Taskmill) -> None:
    header, row = taskmill("nodes").stdout.splitlines()
    assert header.split()[:5] == ["Node", "Version", "Roles", "Lead", "Consumers"]
    assert f":{server.process.pid} " in row
    assert "http, workers  leads" in row
    assert value(taskmill("nodes", "--json"))["count"] == 1


def test_schedules_are_listed_run_paused_and_resumed(server: Server, taskmill: Taskmill) -> None:
    body = {"every": 3600, "action": "greet", "data": {"name": "again"}}
    assert server.request("PUT", "/schedules/hourly", body).status == 201
    row = taskmill("schedules").stdout.splitlines()[1].split()
    assert row[:6] == ["hourly", "every", "1", "h", "UTC", "greet"]
    id_ = value(taskmill("schedules", "run", "hourly", "--json"))["id"]
    assert server.ended(id_)["result"] == {"output": "Hello, again!"}
    assert value(taskmill("schedules", "pause", "hourly", "--json"))["paused"] is True
    assert value(taskmill("schedules", "resume", "hourly", "--json"))["paused"] is False
    assert "paused" in taskmill("schedules", "pause", "hourly").stdout
    assert value(taskmill("schedules", "--json"))["count"] == 1
    assert taskmill("schedules", "run", "daily").exit_code == 1


def test_prune_removes_what_has_ended(server: Server, taskmill: Taskmill) -> None:
    id_ = submit(taskmill, "greet")
    server.ended(id_)
    assert value(taskmill("prune", "--json")) == {"count": 0}, "by the declared rules it is too young"
    removed = taskmill("prune", "--older-than", "0s", "--status", "completed").stdout
    assert int(removed.split()[0]) >= 1
    gone = taskmill("show", id_)
    assert gone.exit_code == 1
    assert gone.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit", "greet", "{name: 1}"], "DATA-JSON is not JSON"),
        (["submit", "greet", "--delay", "soon"], "--delay: `soon` is not a duration"),
        (["submit", "greet", "--priority", "10"], "Invalid value for '--priority'"),
        (["submit"], "name an ACTION, or a file of tasks with --file"),
        (["list", "--limit", "0"], "Invalid value for '--limit'"),
        (["list", "--stats", "x"], "No such option"),
        (["cancel"], "say which tasks: either ids, or filters"),
        (["cancel", "id", "--action", "x"], "say which tasks: either ids, or filters"),
        (["retry", "id", "--canary", "2"], "--canary goes with filters"),
        (["prune", "--older-than", "x"], "--older-than: `x` is not a duration"),
        (["queues", "--url", "ftp://x"], "`ftp://x` is no address of a server"),
        (["queues", "--url", "http://x:port"], "is no address of a server"),
        (["frobnicate"], "No such command"),
    ],
)
def test_wrong_usage_exits_with_two(taskmill: Taskmill, arguments: list[str], said: str) -> None:
    result = taskmill(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit", "gret"], "action: unknown action; did you mean `greet`?"),
        (["submit", "greet", '{"name": 5}'], "data.name: Expected `str`, got `int`"),
        (["list", "--status", "done"], "status: unknown status"),
        (["show", "nonsense"], "No task has this id."),
        (
            ["cancel", "--status", "completed"],
            "status: only these can be cancelled: queued, scheduled, running",
        ),
    ],
)
def test_what_the_server_refuses_exits_with_one_and_says_why(
    taskmill: Taskmill, arguments: list[str], said: str
) -> None:
    result = taskmill(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert result.stderr.startswith("taskmill: ")


def test_a_server_that_is_away_is_named_with_what_starts_one(taskmill: Taskmill) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens there
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = taskmill("queues", "--url", url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f"taskmill: no server answers at {url} (Connection refused): start one with `taskmill run`, "
        "or name another with --url\n"
    )


def test_what_answers_and_is_no_taskmill_is_said(taskmill: Taskmill) -> None:
    with Fake(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<a/>") as fake:
        result = taskmill("queues", "--url", fake.url)
    assert result.exit_code == 1
    assert "is no Taskmill" in result.stderr


def test_a_token_is_sent_and_a_path_of_the_url_is_kept(taskmill: Taskmill) -> None:
    with Fake(b'HTTP/1.1 401 Unauthorized\r\nContent-Length: 24\r\n\r\n{"detail":"Who are you"}') as fake:
        result = taskmill("queues", "--url", f"{fake.url}/mill/", TASKMILL_TOKEN="s3cret")
    assert result.stderr == "taskmill: Who are you\n"
    assert fake.request.startswith(b"GET /mill/queues HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer s3cret\r\n" in fake.request


class Fake:
    """A server of one answer, to one request that has no body."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._socket = socket.socket()
        self.request = b""

    def __enter__(self) -> "Fake":
        import threading

        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen()
        self._socket.settimeout(10)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(10)
        self._socket.close()

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.settimeout(10)
            while b"\r\n\r\n" not in self.request:
                self.request += connection.recv(2**16)
            connection.sendall(self._answer)


def test_every_command_teaches_with_an_example() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    groups = {name: getattr(command, "commands", {}) for name, command in commands.items()}
    below = {f"{group} {name}": one for group, found in groups.items() for name, one in found.items()}
    for name, command in {**commands, **below}.items():
        assert command.help, name
        assert f"Example: `taskmill {name}" in command.help, name


def test_a_command_that_asks_a_server_imports_nothing_of_one(tmp_path: Path) -> None:
    script = "import sys, taskmill.cli, taskmill.cli.client; print(*sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert not {"apsw", "sqlalchemy", "starlette", "uvicorn", "taskmill.application"} & set(
        shown.stdout.split()
    )
