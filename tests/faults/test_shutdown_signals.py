"""SIGTERM and Ctrl-C at every moment: drained, exit 0, nothing acknowledged lost, no process left behind."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from apps import alive, application, descendants
from support import Server, eventually, serving
from wire import Wire, post, task

ROUNDS = int(os.environ.get("TASKMILL_SHUTDOWN_ROUNDS", "2"))
ACTIONS = """
@action
def isolated(text: str = "", seconds: float = 0) -> str:
    time.sleep(seconds)
    return text.upper()

@action
async def on_the_loop(text: str = "", seconds: float = 0) -> str:
    await asyncio.sleep(seconds)
    return text.upper()

@action
def with_a_child_of_its_own(seconds: float = 60) -> int:
    import subprocess
    return subprocess.run(["sleep", str(seconds)]).returncode

@action(inline=True)
def uppercase(text: str = "") -> str:
    return text.upper()
"""
# Posts small tasks on a few connections until the server goes, and prints each id that was acknowledged.
LOAD = """
import http.client, json, sys, threading
def load(n):
    connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=10)
    action = ("uppercase", "isolated", "on_the_loop")[n % 3]
    try:
        while True:
            connection.request("POST", "/tasks", json.dumps({"action": action, "data": {"text": "x"}}))
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 202:
                sys.stdout.write(json.loads(body)["id"] + "\\n")
                sys.stdout.flush()
    except (OSError, http.client.HTTPException):
        pass
threads = [threading.Thread(target=load, args=(n,)) for n in range(6)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def rows(data: Path) -> dict[str, int]:
    with sqlite3.connect(data / "tasks.db") as connection:
        found = dict(connection.execute("SELECT lower(hex(id)), status FROM task").fetchall())
    connection.close()
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_F25_idle_it_exits_at_once_and_leaves_no_process(tmp_path: Path, number: int) -> None:
    with serving(tmp_path, directory=application(tmp_path / "app", ACTIONS)) as server:
        server.ended(server.submit("isolated"))
        children = descendants(server.process.pid)
        assert len(children) == 2
        began = time.monotonic()
        server.process.send_signal(number)
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 3
        eventually(lambda: not alive(children))
        assert not (tmp_path / "tasks.db-wal").exists()
        assert "Traceback" not in server.text()


@pytest.mark.fault
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_F25_under_load_nothing_acknowledged_is_lost(tmp_path: Path, number: int) -> None:
    app = application(tmp_path / "app", ACTIONS)
    acknowledged: list[str] = []
    for _ in range(ROUNDS):
        with serving(tmp_path, directory=app) as server:
            port = server.url.rpartition(":")[2]
            load = subprocess.Popen([sys.executable, "-c", LOAD, port], stdout=subprocess.PIPE, text=True)
            assert load.stdout is not None
            with load.stdout:
                acknowledged += [load.stdout.readline().strip() for _ in range(300)]
                children = descendants(server.process.pid)
                server.process.send_signal(number)
                acknowledged += load.stdout.read().split()
            assert server.process.wait(30) == 0, server.text()
            assert load.wait(30) == 0
            eventually(lambda children=children: not alive(children))
            assert "Traceback" not in server.text(), server.text()
        stored = rows(tmp_path)
        assert {id_.replace("-", "") for id_ in acknowledged} <= stored.keys()
    with serving(tmp_path, directory=app) as server:
        eventually(lambda: not server.get("/tasks?status=queued&limit=1").json()["tasks"], 30)
        eventually(lambda: not server.get("/tasks?status=running&limit=1").json()["tasks"], 30)
        assert server.terminate() == 0
    assert set(rows(tmp_path).values()) == {3}


@pytest.mark.parametrize("action", ["isolated", "on_the_loop"])
def test_F25_what_runs_is_finished(tmp_path: Path, action: str) -> None:
    with serving(tmp_path, directory=application(tmp_path / "app", ACTIONS)) as server:
        id_ = server.submit(action, {"text": "late", "seconds": 1.0})
        eventually(lambda: server.get(f"/tasks/{id_}").json()["status"] == "running")
        assert server.terminate() == 0
    assert rows(tmp_path)[id_.replace("-", "")] == 3


@pytest.mark.parametrize("action", ["isolated", "on_the_loop", "with_a_child_of_its_own"])
def test_F25_what_takes_too_long_is_broken_off_and_runs_again(tmp_path: Path, action: str) -> None:
    options = ("-o", "app:task_consumer:lifecycle.stop_timeout=1s",
               "-o", "app:processes:lifecycle.stop_timeout=2s")  # fmt: skip
    with serving(tmp_path, *options, directory=application(tmp_path / "app", ACTIONS)) as server:
        id_ = server.submit(action, {"seconds": 60})
        eventually(lambda: server.get(f"/tasks/{id_}").json()["status"] == "running")
        children = descendants(server.process.pid)
        began = time.monotonic()
        assert server.terminate() == 0, server.text()
        assert time.monotonic() - began < 10
        eventually(lambda: not alive(children))
    assert rows(tmp_path)[id_.replace("-", "")] == 0
    if action == "with_a_child_of_its_own":
        return
    with serving(tmp_path, directory=tmp_path / "app") as server:
        task_ = eventually(lambda: _running(server, id_))
        assert task_["attempt"] == 1  # the shutdown cost it none
        children = descendants(server.process.pid)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping" in server.text())
        server.process.send_signal(signal.SIGTERM)  # at once
        assert server.process.wait(5) == 1
        eventually(lambda: not alive(children))


def _running(server: Server, id_: str) -> dict[str, object] | None:
    task_: dict[str, object] = server.get(f"/tasks/{id_}").json()
    return task_ if task_["status"] == "running" else None


@pytest.mark.fault
def test_F25_in_start_up_at_any_moment(tmp_path: Path) -> None:
    application(tmp_path, ACTIONS)
    for hundredths in range(0, 60, 60 // (ROUNDS * 6)):
        server = Server(["--addr", "127.0.0.1:0", "--data", str(tmp_path)], tmp_path)
        try:
            try:
                server.process.wait(hundredths / 100)
            except subprocess.TimeoutExpired:
                pass  # the moment has come
            else:
                raise AssertionError(server.text())
            children = descendants(server.process.pid)
            server.process.send_signal(signal.SIGTERM)
            # Before the interpreter has read any of the program, a signal just ends it.
            assert server.process.wait(10) in (0, -signal.SIGTERM), server.text()
            eventually(lambda children=children: not alive(children))
            assert "Traceback" not in server.text(), server.text()
        finally:
            server.close()
    with serving(tmp_path, directory=tmp_path) as server:
        server.ended(server.submit("isolated"))
        assert server.terminate() == 0


def test_F25_connections_of_any_kind_do_not_hold_it_up(tmp_path: Path) -> None:
    with serving(tmp_path, "-o", "app:gateway:lifecycle.stop_timeout=2s") as server, ExitStack() as stack:
        idle, silent, half, unread = (stack.enter_context(Wire(server.url)) for _ in range(4))
        assert idle.send(post(task("idle"))).reply().status == 202
        silent.send(b"")
        half.send(post(task("half"))[:-5])
        for _ in range(20):
            server.submit("uppercase", {"text": "x" * 500_000})
        unread.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        unread.send(b"GET /tasks HTTP/1.1\r\nHost: x\r\n\r\n")
        began = time.monotonic()
        assert server.terminate() == 0, server.text()
        assert time.monotonic() - began < 6
        assert "Traceback" not in server.text()


@pytest.mark.parametrize("target", ["/tasks", "/task%73"])
def test_F25_half_a_request_is_not_waited_for(tmp_path: Path, target: str) -> None:
    with serving(tmp_path) as server, Wire(server.url) as wire:
        wire.send(post(task("half"), target=target)[:-5])
        assert server.get("/healthz").status == 200
        began = time.monotonic()
        assert server.terminate() == 0
        assert time.monotonic() - began < 3
        assert "Traceback" not in server.text(), server.text()
