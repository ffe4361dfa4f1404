"""F19: an attempt that takes too long is stopped, in whatever it hangs, and its place of work is free again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from apps import alive, application, descendants
from submitting import between, look, submit, until
from support import Server, eventually, serving

ACTIONS = """
import contextlib
from taskmill import current_task

@action(timeout="300ms", backoff="50ms")
async def loop(times: int = 100) -> str:
    if current_task().attempt <= times:
        await asyncio.sleep(60)
    return "in time"

@action(timeout="300ms", backoff="50ms")
def isolated(times: int = 100) -> str:
    if current_task().attempt <= times:
        time.sleep(60)
    return "in time"

@action(timeout="300ms", max_attempts=1)
async def stubborn(log: str) -> str:
    open(log, "a").close()
    until = time.monotonic() + 20
    while time.monotonic() < until and not os.path.exists(log + ".end"):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0.05)
    os.rename(log, log + ".ended")
    return "too late"

@action(timeout="300ms", max_attempts=1)
def hangs(how: str) -> None:
    if how == "ignores signals":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(0.1)
    if how == "catches all":
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    if how == "holds the GIL":
        import re
        re.match("(a*)*b", "a" * 60)
    if how == "a child of its own":
        import subprocess
        subprocess.run(["sleep", "60"])
    while True:
        pass

@action
def pid() -> int:
    return os.getpid()

@action(timeout="1h")
def briefly(seconds: float) -> str:
    time.sleep(seconds)
    return "in time"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = application(tmp_path_factory.mktemp("app"), ACTIONS)
    with serving(directory, directory=directory) as running:
        yield running


def works(server: Server) -> None:
    """Each place of work and each worker process takes tasks: more than there are, so that none can be left out."""
    ids = [submit(server, "briefly", {"seconds": 0.01}) for _ in range(12)]
    assert {server.ended(id_)["status"] for id_ in ids} == {"completed"}
    eventually(lambda: len(alive(descendants(server.process.pid))) == 2)


@pytest.mark.parametrize("action", ["loop", "isolated"])
def test_F19_a_timeout_counts_and_is_followed_by_the_next_attempt(server: Server, action: str) -> None:
    task = server.ended(submit(server, action, {"times": 1}))
    assert (task["status"], task["attempt"], task["result"]) == ("completed", 2, {"output": "in time"})
    first = task["attempts"][0]
    assert first["error"]["type"] == "timeout"
    assert "0.3 s" in first["error"]["message"]
    assert between(first["started_at"], first["ended_at"]) >= 0.29
    works(server)


@pytest.mark.parametrize("action", ["loop", "isolated"])
def test_F19_the_last_timeout_ends_the_task(server: Server, action: str) -> None:
    task = server.ended(submit(server, action, max_attempts=2))
    assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 2, "timeout")
    assert len(task["attempts"]) == 2
    works(server)


@pytest.mark.parametrize("action", ["loop", "isolated"])
def test_a_submission_may_set_its_own(server: Server, action: str) -> None:
    task = server.ended(submit(server, action, timeout=0.1, max_attempts=1))
    assert (task["timeout"], task["error"]["type"]) == (0.1, "timeout")
    assert "0.1 s" in task["error"]["message"]


@pytest.mark.parametrize(
    "how", ["computes", "ignores signals", "catches all", "holds the GIL", "a child of its own"]
)
def test_F19_whatever_a_worker_process_hangs_in_it_is_killed(server: Server, how: str) -> None:
    before = set(descendants(server.process.pid))
    task = server.ended(submit(server, "hangs", {"how": how}))
    assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 1, "timeout")
    works(server)
    left = set(alive(list(before))) & set(descendants(server.process.pid))
    assert len(left) < len(before), "the process that hung is another now"


def test_F19_an_action_that_swallows_its_cancellation_is_given_up(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    id_ = submit(server, "stubborn", {"log": str(log)})
    task = server.ended(id_)
    assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 1, "timeout")
    assert log.exists(), "it goes on all the same"
    eventually(lambda: "goes on though cancelled" in server.text())
    works(server)
    (tmp_path / "log.end").touch()
    eventually((tmp_path / "log.ended").exists)
    works(server)
    assert look(server, id_) == task, "what it returns at last is nobody's result"


def test_a_timeout_begins_with_the_attempt_not_with_the_waiting(server: Server) -> None:
    ids = [submit(server, "briefly", {"seconds": 0.15}, timeout=0.5) for _ in range(10)]
    for id_ in ids:
        task = server.ended(id_)
        assert (task["status"], task["attempt"]) == ("completed", 1)
    waited = [between(look(server, id_)["created_at"], look(server, id_)["started_at"]) for id_ in ids]
    assert max(waited) > 0.5


@pytest.mark.parametrize("action", ["loop", "isolated"])
def test_a_timeout_also_rings_while_the_server_drains(tmp_path: Path, action: str) -> None:
    application(tmp_path, ACTIONS)
    with serving(tmp_path, directory=tmp_path) as server:
        id_ = submit(server, action, timeout=2, max_attempts=1)
        until(server, id_, "running")
        assert server.terminate(15) == 0, "it does not wait out the stop timeout of 20 s"
    with serving(tmp_path, directory=tmp_path) as server:
        task = look(server, id_)
        assert (task["status"], task["attempt"], task["error"]["type"]) == ("failed", 1, "timeout")


@pytest.mark.parametrize("timeout", [0, -1, 1e12, "soon"])
def test_what_is_no_timeout_is_refused(server: Server, timeout: object) -> None:
    answer = server.request("POST", "/tasks", {"action": "pid", "timeout": timeout})
    assert answer.status == 400
    assert [error["path"] for error in answer.json()["errors"]] == ["timeout"]
