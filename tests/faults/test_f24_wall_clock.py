"""F24: the wall clock is set back by an hour and forward by a day while the server runs."""

import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from apps import application
from support import Server, eventually, serving

pytestmark = pytest.mark.fault

HOUR, DAY = 3_600.0, 86_400.0  # seconds
ACTIONS = """
@action(timeout="20s")
async def loop(gate: str) -> str:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
    return "through"

@action(timeout="20s")
def isolated(gate: str) -> str:
    while not os.path.exists(gate):
        time.sleep(0.01)
    return "through"

@action(inline=True)
def quick() -> str:
    return "ran"

@action(inline=True, backoff="200ms", max_attempts=2)
def fails() -> None:
    raise ValueError("no good")
"""


class Clock:
    """The wall clock of a server, as a file that it looks into."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0)

    def set(self, offset: float) -> None:
        """Put the clock so many seconds forward of the true one, or back."""
        if not self._file.exists():
            self._file.write_bytes(struct.pack("d", offset))
        with self._file.open("r+b") as file:  # the same file: the server has it mapped
            file.write(struct.pack("d", offset))

    @property
    def environment(self) -> dict[str, str]:
        return {"PYTHONPATH": str(Path(__file__).parent / "clock"), "CLOCK_OFFSET": str(self._file)}


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def server(tmp_path: Path, clock: Clock) -> Iterator[Server]:
    directory = application(tmp_path / "app", ACTIONS)
    options = ("-o", "app:task_consumer:concurrency=4")
    with serving(tmp_path, *options, directory=directory, env=clock.environment) as running:
        yield running


def submit(server: Server, action: str, data: object = None, **options: object) -> str:
    body = {"action": action, "data": {} if data is None else data, **options}
    answer = server.request("POST", "/tasks", body)
    assert answer.status == 202, answer.body
    return str(answer.json()["id"])


def look(server: Server, id_: str) -> dict[str, Any]:
    task: dict[str, Any] = server.get(f"/tasks/{id_}").json()
    return task


def running(server: Server, id_: str) -> bool:
    task = look(server, id_)
    return (task["status"], task["attempt"]) == ("running", 1)


def pages(server: Server) -> list[str]:
    """Return the ids of all tasks, a few at a time."""
    ids: list[str] = []
    cursor = ""
    while True:
        page = server.get(f"/tasks?limit=7{cursor}").json()
        ids += [task["id"] for task in page["tasks"]]
        if page["next"] is None:
            return ids
        cursor = f"&cursor={page['next']}"


def test_F24_what_runs_is_neither_rescued_nor_timed_out(server: Server, clock: Clock, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    ids = [submit(server, action, {"gate": str(gate)}) for action in ("loop", "isolated")]
    for id_ in ids:
        eventually(lambda id_=id_: running(server, id_))  # type: ignore[misc]
    for offset in (-HOUR, DAY, 0.0):
        clock.set(offset)
        # Some rounds of everything that looks at a clock: the alarm each second, notes, timers of retries.
        failed = server.ended(submit(server, "fails"))
        assert [attempt["attempt"] for attempt in failed["attempts"]] == [1, 2]
        assert server.ended(submit(server, "quick", delay=1.2))["status"] == "completed"
        assert all(running(server, id_) for id_ in ids)
    gate.touch()
    for id_ in ids:
        task = server.ended(id_)
        assert (task["status"], task["attempt"], task["error"]) == ("completed", 1, None)
    assert "run again" not in server.text()


def test_F24_a_timeout_is_measured_in_time_that_passes(server: Server, clock: Clock, tmp_path: Path) -> None:
    began = time.monotonic()
    data = {"gate": str(tmp_path / "gate")}
    ids = [submit(server, action, data, timeout=2, max_attempts=1) for action in ("loop", "isolated")]
    for id_ in ids:
        eventually(lambda id_=id_: running(server, id_))  # type: ignore[misc]
    clock.set(-HOUR)
    for id_ in ids:
        assert server.ended(id_)["error"]["type"] == "timeout"
    assert 2 <= time.monotonic() - began < 15


def test_F24_ids_are_unique_and_grow_and_paging_skips_none(server: Server, clock: Clock) -> None:
    ids: list[str] = []
    with ThreadPoolExecutor(8) as clients:
        for offset in (0.0, -HOUR, DAY, -DAY, 0.0):
            clock.set(offset)
            found = list(clients.map(lambda _: submit(server, "quick"), range(25)))
            assert not ids or min(found) > max(ids), "also while the clock is behind"
            ids += found
    for id_ in ids:
        assert server.ended(id_)["status"] == "completed"
    assert len(set(ids)) == len(ids)
    assert pages(server) == sorted(ids, reverse=True)


def test_F24_run_at_follows_the_wall_clock(server: Server, clock: Clock) -> None:
    soon = submit(server, "quick", delay=30)
    tomorrow = submit(server, "quick", delay=DAY - 60)
    much_later = submit(server, "quick", delay=2 * DAY)
    clock.set(-HOUR)
    after = submit(server, "quick", delay=0.3)
    assert server.ended(after)["status"] == "completed"
    assert look(server, soon)["status"] == "scheduled", "by the clock that there is now, it is an hour away"
    clock.set(DAY)
    for id_ in (soon, tomorrow):
        assert server.ended(id_)["status"] == "completed"
    assert look(server, much_later)["status"] == "scheduled"
    assert len([one for one in pages(server) if look(server, one)["attempt"] > 1]) == 0


def test_F24_expiry_follows_the_wall_clock(server: Server, clock: Clock) -> None:
    id_ = submit(server, "quick", delay=2 * DAY, expires_in=HOUR)
    clock.set(-HOUR)
    server.ended(submit(server, "quick", delay=1.2))
    assert look(server, id_)["status"] == "scheduled"
    clock.set(DAY)
    assert server.ended(id_)["error"]["type"] == "expired"


@pytest.mark.parametrize("offset", [-HOUR, DAY])
def test_F24_a_start_after_the_clock_was_set(tmp_path: Path, clock: Clock, offset: float) -> None:
    """What ran runs again, ids go on growing, and what was retried waits by the clock that there is."""
    directory = application(tmp_path / "app", ACTIONS)
    gate = tmp_path / "gate"
    with serving(tmp_path, directory=directory, env=clock.environment) as first:
        id_ = submit(first, "loop", {"gate": str(gate)})
        eventually(lambda: running(first, id_))
        first.kill()
    clock.set(offset)
    gate.touch()
    with serving(tmp_path, directory=directory, env=clock.environment) as second:
        assert second.ended(id_)["attempt"] == 2
        fresh = submit(second, "quick")
        assert fresh > id_
        assert second.ended(fresh)["status"] == "completed"
