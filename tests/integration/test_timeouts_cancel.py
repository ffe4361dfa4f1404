"""`POST /tasks/{id}/cancel`: of what waits, and of what runs, in each of the ways to run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from apps import alive, application, descendants
from submitting import look, submit, until
from support import Answer, Server, eventually, serving

ACTIONS = """
import contextlib
from taskmill import current_task

@action
async def loop(log: str, how: str = "") -> str:
    open(log, "a").write("began ")
    try:
        if how == "stubborn":
            for _ in range(400):
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(0.05)
                if os.path.exists(log + ".end"):
                    break
        else:
            await asyncio.sleep(60)
    finally:
        open(log, "a").write("cleaned ")
    return "too late"

@action
def isolated(log: str, how: str = "") -> str:
    open(log, "a").write("began ")
    task = current_task()
    until = time.monotonic() + 60
    while time.monotonic() < until and not (how == "looks" and task.cancelled):
        time.sleep(0.01)
    open(log, "a").write("cleaned ")
    return "stopped by itself"

@action(inline=True)
def quick(log: str) -> str:
    open(log, "a").write("began ")
    return "ran"

@action
def pid() -> int:
    return os.getpid()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = application(tmp_path_factory.mktemp("app"), ACTIONS)
    with serving(directory, directory=directory) as running:
        yield running


def cancel(server: Server, id_: str) -> Answer:
    return server.request("POST", f"/tasks/{id_}/cancel")


def cancelled(server: Server, id_: str) -> dict[str, Any]:
    answer = cancel(server, id_)
    assert answer.status == 200, answer.body
    task: dict[str, Any] = answer.json()
    assert (task["status"], task["result"], task["error"]) == ("cancelled", None, None)
    assert task["finished_at"]
    return task


def refused(answer: Answer, status: str) -> None:
    assert answer.status == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"].startswith(f"The task is {status}.")


def free(server: Server, tmp_path: Path) -> None:
    """Every place of work is free: more tasks than there are places come through, each quickly."""
    for _ in range(4):
        assert (
            server.ended(submit(server, "quick", {"log": str(tmp_path / "quick")}))["status"] == "completed"
        )
        assert server.ended(submit(server, "pid"))["status"] == "completed"


def test_of_one_that_is_scheduled(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    id_ = submit(server, "quick", {"log": str(log)}, delay=0.3)
    cancelled(server, id_)
    after = submit(server, "quick", {"log": str(tmp_path / "other")}, delay=0.3)
    assert server.ended(after)["status"] == "completed"
    assert look(server, id_)["status"] == "cancelled"
    assert not log.exists()


def test_of_one_that_is_queued_in_the_reserve_or_behind_it(tmp_path: Path) -> None:
    application(tmp_path, ACTIONS)
    log = tmp_path / "log"
    with serving(tmp_path, directory=tmp_path) as server:
        holders = [submit(server, "loop", {"log": str(tmp_path / f"holder-{number}")}) for number in range(2)]
        for id_ in holders:
            until(server, id_, "running")
        plain = [submit(server, "quick", {"log": str(log)}) for _ in range(12)]
        ranked = [submit(server, "quick", {"log": str(log)}, priority=2) for _ in range(12)]
        for id_ in (*plain, *ranked):
            cancelled(server, id_)
        last = submit(server, "quick", {"log": str(tmp_path / "last")})
        for id_ in holders:
            cancelled(server, id_)
        assert server.ended(last)["status"] == "completed"
        assert {look(server, id_)["status"] for id_ in (*plain, *ranked)} == {"cancelled"}
        assert not log.exists()
        assert server.terminate() == 0
        assert "Traceback" not in server.text()


def test_of_an_async_def(server: Server, tmp_path: Path) -> None:
    log = tmp_path / "log"
    id_ = submit(server, "loop", {"log": str(log)})
    until(server, id_, "running")
    task = cancelled(server, id_)
    eventually(lambda: log.read_text() == "began cleaned ")
    free(server, tmp_path)
    assert look(server, id_) == task, "for good"


def test_of_an_async_def_that_does_not_heed_it(server: Server, tmp_path: Path) -> None:
    ids = [
        submit(server, "loop", {"log": str(tmp_path / f"{number}"), "how": "stubborn"}) for number in range(2)
    ]
    for id_ in ids:
        until(server, id_, "running")
        cancelled(server, id_)
    free(server, tmp_path)
    for number, id_ in enumerate(ids):
        (tmp_path / f"{number}.end").touch()
        log = tmp_path / f"{number}"
        eventually(lambda log=log: log.read_text() == "began cleaned ")  # type: ignore[misc]
        assert look(server, id_)["status"] == "cancelled"
    free(server, tmp_path)


def test_of_a_def_that_looks(server: Server, tmp_path: Path) -> None:
    """It ends by itself, and its worker process lives on."""
    log = tmp_path / "log"
    before = set(descendants(server.process.pid))
    id_ = submit(server, "isolated", {"log": str(log), "how": "looks"})
    until(server, id_, "running")
    task = cancelled(server, id_)
    eventually(lambda: log.read_text() == "began cleaned ")
    free(server, tmp_path)
    assert set(descendants(server.process.pid)) == before
    assert look(server, id_) == task


def test_of_a_def_that_does_not_look(server: Server, tmp_path: Path) -> None:
    """It is killed after a moment, and its worker process replaced."""
    log = tmp_path / "log"
    before = set(descendants(server.process.pid))
    id_ = submit(server, "isolated", {"log": str(log)})
    until(server, id_, "running")
    task = cancelled(server, id_)
    eventually(lambda: len(alive(list(before))) == 1, 20)
    eventually(lambda: len(alive(descendants(server.process.pid))) == 2, 20)
    free(server, tmp_path)
    assert log.read_text() == "began "
    assert look(server, id_) == task


def test_of_one_whose_start_is_not_written_yet(server: Server, tmp_path: Path) -> None:
    """Within its first 50 ms its row says `queued`; it is stopped all the same."""
    for number in range(20):
        log = tmp_path / f"{number}"
        id_ = submit(server, "loop", {"log": str(log)})
        cancelled(server, id_)
        if log.exists():
            eventually(lambda log=log: log.read_text() in ("began cleaned ", ""))  # type: ignore[misc]
        assert look(server, id_)["status"] == "cancelled"
    free(server, tmp_path)


def test_of_what_has_ended_is_refused_and_of_what_is_not_there_not_found(
    server: Server, tmp_path: Path
) -> None:
    done = submit(server, "quick", {"log": str(tmp_path / "log")})
    server.ended(done)
    refused(cancel(server, done), "completed")
    waiting = submit(server, "quick", {"log": str(tmp_path / "log")}, delay=60)
    cancelled(server, waiting)
    refused(cancel(server, waiting), "cancelled")
    assert cancel(server, "0" * 8 + "-0000-7000-8000-" + "0" * 12).status == 404
    assert cancel(server, "nonsense").status == 404


def test_a_cancelled_task_stays_so_over_a_kill(tmp_path: Path) -> None:
    application(tmp_path, ACTIONS)
    with serving(tmp_path, directory=tmp_path) as server:
        id_ = submit(server, "isolated", {"log": str(tmp_path / "log")})
        until(server, id_, "running")
        task = cancelled(server, id_)
        server.kill()
    with serving(tmp_path, directory=tmp_path) as server:
        free(server, tmp_path)
        assert look(server, id_) == task


@pytest.mark.parametrize(
    ("action", "how"), [("loop", ""), ("loop", "stubborn"), ("isolated", ""), ("isolated", "looks")]
)
def test_a_task_that_is_run_again_while_its_last_run_still_stops(
    server: Server, tmp_path: Path, action: str, how: str
) -> None:
    log = tmp_path / "log"
    id_ = submit(server, action, {"log": str(log), "how": how})
    until(server, id_, "running")
    cancelled(server, id_)
    assert server.request("POST", f"/tasks/{id_}/retry").status == 200
    until(server, id_, "running", 2)
    eventually(lambda: log.read_text().count("began") == 2)
    assert look(server, id_)["max_attempts"] == 4
    cancelled(server, id_)
    (tmp_path / "log.end").touch()
    free(server, tmp_path)
