"""F13, F22: a worker process, or the whole server, that stands still for longer than any patience."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from apps import alive, application
from durability import exit_of
from support import Server, eventually, serving

pytestmark = pytest.mark.fault

LONG = int(os.environ.get("TASKMILL_LONG_TASKS", "20"))
ACTIONS = """
from taskmill import current_task

@action(backoff="3s")  # longer than the start of another worker process
def first_waits(pids: str, gate: str) -> str:
    attempt = current_task().attempt
    with open(pids, "a") as file:
        file.write(f"{os.getpid()}\\n")
    while attempt == 1 and not os.path.exists(gate):
        time.sleep(0.01)
    return f"of attempt {attempt}"

@action
def waits(gate: str) -> str:
    while not os.path.exists(gate):
        time.sleep(0.01)
    return "through"

@action
def a_moment() -> None:
    time.sleep(0.3)

@action
async def loop(gate: str) -> str:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return "through"
"""


@contextmanager
def running(tmp_path: Path, *options: str) -> Iterator[Server]:
    directory = application(tmp_path / "app", ACTIONS)
    with serving(tmp_path, *options, directory=directory) as server:
        yield server


def look(server: Server, id_: str) -> dict[str, Any]:
    task: dict[str, Any] = server.get(f"/tasks/{id_}").json()
    return task


def is_running(server: Server, id_: str) -> bool:
    task = look(server, id_)
    return (task["status"], task["attempt"]) == ("running", 1)


def test_F13_a_worker_that_is_stopped_beyond_its_lease_is_replaced_and_not_heard_again(
    tmp_path: Path,
) -> None:
    pids, gate = tmp_path / "pids", tmp_path / "gate"
    with running(tmp_path, "-o", "app:processes:lease=1s") as server:
        id_ = server.submit("first_waits", {"pids": str(pids), "gate": str(gate)})
        eventually(lambda: is_running(server, id_))
        stopped = int(eventually(lambda: pids.exists() and pids.read_text()))
        os.kill(stopped, signal.SIGSTOP)
        gate.touch()  # it would return as soon as it goes on
        task = server.ended(id_, 30)
        assert (task["status"], task["attempt"], task["result"]) == (
            "completed",
            2,
            {"output": "of attempt 2"},
        )
        assert task["attempts"][0]["error"]["type"] == "worker_crashed"
        assert "lease of 1 s" in task["attempts"][0]["error"]["message"]
        assert not alive([stopped])
        assert look(server, id_) == task


def test_F22_only_the_stopped_one_is_rescued_among_many_that_take_long(tmp_path: Path) -> None:
    """Longer than the lease, without a timeout: whoever lives is left alone."""
    pids, gate = tmp_path / "pids", tmp_path / "gate"
    options = ("-o", "app:processes:lease=500ms", "-o", "app:processes:workers=4",
               "-o", f"app:task_consumer:concurrency={LONG + 3}", "-o", "app:task_consumer:prefetch=0")  # fmt: skip
    with running(tmp_path, *options) as server:
        long = [server.submit("waits", {"gate": str(gate)}) for _ in range(2)]
        long += [server.submit("loop", {"gate": str(gate)}) for _ in range(LONG)]
        for id_ in long:
            eventually(lambda id_=id_: is_running(server, id_))  # type: ignore[misc]
        orphan = server.submit("first_waits", {"pids": str(pids), "gate": str(gate)})
        eventually(lambda: is_running(server, orphan))
        os.kill(int(eventually(lambda: pids.exists() and pids.read_text())), signal.SIGSTOP)
        assert server.ended(orphan, 30)["attempt"] == 2
        assert all(is_running(server, id_) for id_ in long)
        gate.touch()
        for id_ in long:
            task = server.ended(id_)
            assert (task["status"], task["attempt"]) == ("completed", 1)


def test_F13_a_server_that_is_stopped_keeps_its_tasks_and_nobody_takes_them_over(tmp_path: Path) -> None:
    """The lock of the file is the lease of all its tasks, and a process that stands still holds it."""
    gate = tmp_path / "gate"
    with running(tmp_path) as server:
        ids = [server.submit(action, {"gate": str(gate)}) for action in ("waits", "loop")]
        for id_ in ids:
            eventually(lambda id_=id_: is_running(server, id_))  # type: ignore[misc]
        os.kill(server.process.pid, signal.SIGSTOP)
        try:
            second = Server(
                ["--addr", "127.0.0.1:0", "--data", str(tmp_path), str(tmp_path / "app")], tmp_path
            )
            try:
                assert exit_of(second) == 1
                assert f"in use by process {server.process.pid}" in second.text()
            finally:
                second.close()
        finally:
            os.kill(server.process.pid, signal.SIGCONT)
        assert all(is_running(server, id_) for id_ in ids)
        gate.touch()
        for id_ in ids:
            task = server.ended(id_)
            assert (task["status"], task["attempt"]) == ("completed", 1)


def test_F19_nothing_waits_behind_one_that_takes_long_while_another_process_is_idle(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with running(tmp_path, "-o", "app:task_consumer:concurrency=6") as server:
        long = server.submit("waits", {"gate": str(gate)})
        eventually(lambda: is_running(server, long))
        for id_ in [server.submit("a_moment") for _ in range(6)]:
            assert server.ended(id_, 4)["status"] == "completed"
