"""Attempts that no action ended: a worker process that dies costs one, a shutdown none."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import alive, application, descendants
from submitting import look, submit, until
from support import Server, eventually, serving

ACTIONS = """
from taskmill import current_task

@action(backoff="50ms")
def dies(how: str, until: int = 100) -> int:
    attempt = current_task().attempt
    if attempt < until:
        if how == "exit":
            os._exit(7)
        if how == "segfault":
            import ctypes
            ctypes.string_at(0)
        os.kill(os.getpid(), getattr(signal, how))
        time.sleep(60)
    return attempt

@action(backoff="50ms", max_attempts=2)
def eats() -> int:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
    return len(bytearray(2**32))

@action(max_attempts=1)
def neighbour(number: int) -> int:
    return number

@action
async def loop(on_cancel: str = "") -> str:
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        if on_cancel == "raises":
            raise ValueError("cleaning up failed") from None
        if on_cancel == "returns":
            return "at the last moment"
        raise
    return "slept"

@action
def isolated(on_cancel: str = "") -> str:
    time.sleep(60)
    return "slept"
"""
SHORT = (
    "-o", "app:task_consumer:lifecycle.stop_timeout=500ms", "-o", "app:processes:lifecycle.stop_timeout=1s",
)  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = application(tmp_path_factory.mktemp("app"), ACTIONS)
    with serving(directory, directory=directory) as running:
        yield running


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("exit", "exit code 7"), ("SIGKILL", "SIGKILL"), ("SIGTERM", "SIGTERM"), ("SIGABRT", "SIGABRT"),
        ("segfault", "SIGSEGV"),
    ],
)  # fmt: skip
def test_F18_a_worker_that_dies_costs_an_attempt_and_says_how(server: Server, how: str, said: str) -> None:
    task = server.ended(submit(server, "dies", {"how": how}))
    assert (task["status"], task["attempt"]) == ("failed", 3)
    assert [attempt["attempt"] for attempt in task["attempts"]] == [1, 2, 3]
    for attempt in task["attempts"]:
        assert attempt["error"]["type"] == "worker_crashed"
        assert said in attempt["error"]["message"]
        assert re.search(r"peak memory at most \d+ MiB", attempt["error"]["message"])


def test_F18_a_task_that_comes_through_at_last_is_completed(server: Server) -> None:
    task = server.ended(submit(server, "dies", {"how": "SIGKILL", "until": 3}))
    assert (task["status"], task["attempt"], task["result"]) == ("completed", 3, {"output": 3})
    assert task["error"]["type"] == "worker_crashed", "of the last attempt that failed"


def test_F18_memory_that_is_not_there_is_an_error_like_others(server: Server) -> None:
    task = server.ended(submit(server, "eats"))
    assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 2, "MemoryError")


def test_F18_neighbours_lose_no_attempt(server: Server) -> None:
    deadly = [submit(server, "dies", {"how": "SIGKILL"}, max_attempts=2) for _ in range(3)]
    neighbours = [submit(server, "neighbour", {"number": number}) for number in range(60)]
    for number, id_ in enumerate(neighbours):
        task = server.ended(id_, 60)
        assert (task["status"], task["attempt"], task["result"]) == ("completed", 1, {"output": number})
    for id_ in deadly:
        assert server.ended(id_)["status"] == "failed"


@pytest.mark.parametrize(("action", "on_cancel"), [("loop", ""), ("loop", "raises"), ("isolated", "")])
def test_a_shutdown_in_the_middle_of_an_attempt_costs_none(
    tmp_path: Path, action: str, on_cancel: str
) -> None:
    application(tmp_path, ACTIONS)
    with serving(tmp_path, *SHORT, directory=tmp_path) as first:
        id_ = submit(first, action, {"on_cancel": on_cancel}, max_attempts=1)
        until(first, id_, "running", 1)
        assert first.terminate() == 0, first.text()
    with serving(tmp_path, directory=tmp_path) as second:
        task = until(second, id_, "running", 1)
        assert (task["attempt"], task["attempts"], task["error"]) == (1, [], None)


def test_what_an_action_returns_while_it_is_broken_off_is_kept(tmp_path: Path) -> None:
    application(tmp_path, ACTIONS)
    with serving(tmp_path, *SHORT, directory=tmp_path) as first:
        id_ = submit(first, "loop", {"on_cancel": "returns"})
        until(first, id_, "running", 1)
        assert first.terminate() == 0
    with serving(tmp_path, directory=tmp_path) as second:
        task = look(second, id_)
        assert (task["status"], task["result"]) == ("completed", {"output": "at the last moment"})


@pytest.mark.parametrize("action", ["loop", "isolated"])
def test_a_kill_of_the_server_costs_the_attempt_that_was_under_way(tmp_path: Path, action: str) -> None:
    application(tmp_path, ACTIONS)
    with serving(tmp_path, directory=tmp_path) as first:
        id_ = submit(first, action, max_attempts=2)
        until(first, id_, "running", 1)
        first.kill()
    with serving(tmp_path, directory=tmp_path) as second:
        assert until(second, id_, "running", 2)["attempts"] == []
        second.kill()
    with serving(tmp_path, directory=tmp_path) as third:
        task = third.ended(id_)
        assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 2, "worker_lost")
        (attempt,) = task["attempts"]
        assert (attempt["attempt"], attempt["error"]["type"]) == (2, "worker_lost")


def test_an_orphan_is_no_process_s(tmp_path: Path) -> None:
    """With the server die its workers, also one that computes: nobody works on what another has taken over."""
    application(tmp_path, ACTIONS)
    with serving(tmp_path, directory=tmp_path) as server:
        id_ = submit(server, "isolated")
        until(server, id_, "running", 1)
        children = descendants(server.process.pid)
        assert children
        os.kill(server.process.pid, signal.SIGKILL)
        eventually(lambda: not alive(children))
