"""Clients that watch, `taskmill watch` among them: typed events, and a stream that goes on by itself."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import application
from support import Server, eventually, serving
from typer.testing import CliRunner

from taskmill.cli import app as cli
from taskmill.client import (
    AsyncClient,
    Client,
    Event,
    LogEvent,
    ProblemError,
    ProgressEvent,
    ResetEvent,
    ServerAway,
    StatusEvent,
)

ACTIONS = """
from taskmill import current_task

@action(inline=True)
def says(lines: int) -> None:
    current_task().progress(1, 4, "a quarter")
    for number in range(lines):
        current_task().log(f"line {number} \\x1b[31m")

@action(inline=True, max_attempts=1)
def fails() -> None:
    raise ValueError("no \\x1b[31m")

@action
async def gated(gate: str) -> str:
    task = current_task()
    task.log(f"attempt {task.attempt}")
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    task.progress(1, 1)
    return "through"
"""
UNKNOWN = "019ab000-0000-7000-8000-000000000000"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return application(tmp_path_factory.mktemp("app"), ACTIONS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, app: Path) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("data"), str(app)) as server:
        yield server


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def expected(events: list[Event], id_: str) -> None:
    """Check the events of a task of `says` with three lines, from its end on."""
    assert kinds(events) == [*["LogEvent"] * 3, "ProgressEvent", "StatusEvent"]
    assert {event.id for event in events if not isinstance(event, ResetEvent)} == {id_}
    line, progress, status = events[0], events[3], events[4]
    assert isinstance(line, LogEvent)
    assert (line.message, line.attempt, line.dropped) == ("line 0 \x1b[31m", 1, 0)
    assert isinstance(progress, ProgressEvent)
    assert (progress.done, progress.total, progress.message) == (1, 4, "a quarter")
    assert isinstance(status, StatusEvent)
    assert (status.status, status.ended, status.error) == ("completed", True, None)


def test_a_client_streams_typed_events(server: Server) -> None:
    with Client(server.url) as client:
        id_ = client.submit("says", {"lines": 3}).id
        client.wait(id_)
        events = list(client.stream(id_))
        expected(events, id_)
        assert kinds(list(client.stream(id_, last=events[2].event_id))) == ["ProgressEvent", "StatusEvent"]
        assert list(client.stream(id_, last=events[-1].event_id)) == []
        failed = client.submit("fails").id
        last = list(client.stream(failed))[-1]
        assert isinstance(last, StatusEvent)
        assert last.error is not None
        assert (last.status, last.error.message) == ("failed", "no \x1b[31m")


def test_so_does_an_asynchronous_one(server: Server) -> None:
    async def main() -> None:
        async with AsyncClient(server.url) as client:
            handle = await client.submit("says", {"lines": 3})
            await client.wait(handle.id)
            expected([event async for event in client.stream(handle.id)], handle.id)
            with pytest.raises(ProblemError) as refused:
                _ = [event async for event in client.stream(UNKNOWN)]
            assert refused.value.status == 404

    asyncio.run(main())


def test_all_tasks_are_streamed_through_filters(server: Server) -> None:
    with Client(server.url) as client:
        stream = client.stream(action="fails", status="failed")
        found: list[Event] = []
        reading = threading.Thread(target=lambda: found.append(next(stream)))
        reading.start()

        def seen() -> bool:
            client.submit("says", {"lines": 1})
            client.submit("fails")
            reading.join(0.2)
            return not reading.is_alive()

        eventually(seen, 20)
        event = found[0]
        assert isinstance(event, StatusEvent)
        assert (event.action, event.status) == ("fails", "failed")


def test_what_cannot_be_watched_is_told(server: Server) -> None:
    with Client(server.url) as client:
        with pytest.raises(ProblemError) as refused:
            next(client.stream(UNKNOWN))
        assert refused.value.status == 404
        with pytest.raises(ValueError, match="not both"):
            client.stream(UNKNOWN, action="x")
    with Client("http://127.0.0.1:1", retry_for=0.2) as nobody, pytest.raises(ServerAway):
        next(nobody.stream(UNKNOWN))


@pytest.mark.long
def test_a_stream_outlives_its_server(tmp_path: Path, app: Path) -> None:
    gate = tmp_path / "gate"
    with serving(tmp_path, str(app)) as server:
        address = server.url.removeprefix("http://")
        client = Client(server.url, retry_for=60)
        id_ = client.submit("gated", {"gate": str(gate)}).id
        events: list[Event] = []
        reading = threading.Thread(target=lambda: events.extend(_gather(client, id_, events)))
        reading.start()
        eventually(lambda: "LogEvent" in kinds(events), 20)
        server.kill()
    with serving(tmp_path, "--addr", address, str(app)):
        gate.touch()
        reading.join(60)
        assert not reading.is_alive()
    lines = [event.message for event in events if isinstance(event, LogEvent)]
    assert lines == ["attempt 1", "attempt 2"]
    assert isinstance(events[-1], StatusEvent)
    assert events[-1].status == "completed"
    client.close()


def _gather(client: Client, id_: str, events: list[Event]) -> list[Event]:
    for event in client.stream(id_):
        events.append(event)
    return []


def taskmill(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command in this process: each of its own takes a second to start."""
    ran = CliRunner().invoke(cli, list(arguments), env={"TASKMILL_URL": server.url})
    return subprocess.CompletedProcess(arguments, ran.exit_code, ran.stdout, ran.stderr)


def test_the_command_writes_plain_lines_and_json(server: Server) -> None:
    with Client(server.url) as client:
        says, fails = client.submit("says", {"lines": 2}).id, client.submit("fails").id
        client.wait(fails)
        client.wait(says)
    done = taskmill(server, "watch", says)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{says}  | line 0 \\x1b[31m",
        f"{says}  | line 1 \\x1b[31m",
        f"{says}  1 of 4  a quarter",
        f"{says}  says  completed",
    ]
    done = taskmill(server, "watch", says, fails, "--json")
    assert done.returncode == 1, "one has failed"
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["event"] for event in events} == {"log", "progress", "status"}
    assert {event["id"]: event["status"] for event in events if event["event"] == "status"} == {
        says: "completed", fails: "failed",
    }  # fmt: skip
    done = taskmill(server, "watch", UNKNOWN)
    assert (done.returncode, done.stderr) == (1, "taskmill: No task has this id.\n")
    done = taskmill(server, "watch", says, "--action", "says")
    assert (done.returncode, done.stderr) == (2, "watch: give ids, or a batch, or filters\n")
    with Client(server.url) as client:
        tasks = [{"action": "says", "data": {"lines": 1}}, {"action": "fails"}]
        batch = client.request("POST", "batches", body={"tasks": tasks}).json()["id"]
    done = taskmill(server, "watch", "--batch", batch)
    assert done.returncode == 1, "one has failed"
    assert done.stdout.splitlines()[-1] == f"{batch}  2 of 2  the batch"
    assert taskmill(server, "watch", "--batch", UNKNOWN).stderr.startswith("taskmill: No batch has this id.")
    done = taskmill(server, "watch", "--url", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "no server answers" in done.stderr


def test_on_a_terminal_there_are_bars_and_no_escape_of_anybody_else(server: Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with Client(server.url) as client:
        id_ = client.submit("gated", {"gate": str(gate)}).id
        said = client.submit("says", {"lines": 1}).id
    outer, inner = pty.openpty()
    command = [sys.executable, "-m", "taskmill", "watch", id_, said, "--url", server.url]
    process = subprocess.Popen(command, stdout=inner, env={**os.environ, "TERM": "xterm", "COLUMNS": "200"})
    os.close(inner)
    shown = bytearray()

    def read() -> None:
        try:
            while data := os.read(outer, 2**16):
                shown.extend(data)
        except OSError:  # the other end has been closed
            pass

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    eventually(lambda: b"attempt 1" in shown, 30)
    gate.touch()
    assert process.wait(30) == 0
    reading.join(10)
    os.close(outer)
    assert "━".encode() in shown, "a bar"
    assert b"line 0 \\x1b[31m" in shown
    assert b"line 0 \x1b[31m" not in shown


def test_ctrl_c_ends_it(server: Server) -> None:
    command = [sys.executable, "-m", "taskmill", "watch", "--url", server.url]
    # What was started in the background of a shell ignores Ctrl-C, and so does all that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    assert process.stdout is not None
    lines: list[str] = []
    reading = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    reading.start()
    eventually(lambda: server.ended(server.submit("says", {"lines": 1})) and len(lines), 30)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    reading.join(10)
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stdout.close()
    process.stderr.close()
