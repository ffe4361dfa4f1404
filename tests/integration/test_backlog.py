"""A backlog costs disk, not memory, and is worked off oldest first."""

import os
from pathlib import Path

import pytest
from apps import memory
from backlogs import ends, fill
from support import Server, eventually, serving

from taskmill.tasks.model import Status

TASKS = int(os.environ.get("TASKMILL_BACKLOG", "20000"))
WINDOW = 500
SLACK = 50  # places: what is held at once, and ends within one millisecond
DRAIN_TIMEOUT = 30 + TASKS / 1000  # seconds

WINDOWED = ["-o", f"app:queue_driver:max_length={WINDOW}"]
IDLE = [*WINDOWED, "-o", "app:task_consumer:lifecycle.auto_start=false"]
MIB = 2**20

pytestmark = pytest.mark.timeout(120 + TASKS / 250)


def drained(server: Server) -> bool:
    return not any(
        server.get(f"/tasks?status={status}&limit=1").json()["count"] for status in ("queued", "running")
    )


def files(data: Path) -> int:
    """Return the bytes of the database and its write-ahead log."""
    return sum(path.stat().st_size for path in data.glob("tasks.db*"))


def test_F26_a_backlog_is_kept_on_disk_and_worked_off_oldest_first(tmp_path: Path) -> None:
    with serving(tmp_path, *IDLE) as server:
        fill(server.url, 2 * WINDOW, "uppercase", {"text": "warm"})
        before = memory(server.process.pid)
        fill(server.url, TASKS - 2 * WINDOW, "uppercase", {"text": "hello"})
        grown = memory(server.process.pid) - before
        # SQLite keeps pages of its files, up to the 128 MiB of its caches; tasks would come on top of that.
        assert grown < 3 * MIB + min(files(tmp_path), 128 * MIB), f"{grown / MIB:.1f} MiB for {TASKS} tasks"
        assert server.terminate() == 0
    with serving(tmp_path, *WINDOWED) as server:
        late = server.submit("uppercase", {"text": "late"})
        server.ended(late, DRAIN_TIMEOUT)
        eventually(lambda: drained(server))
        assert server.terminate() == 0
    rows = ends(tmp_path)
    assert len(rows) == TASKS + 1
    assert {status for status, _ in rows} == {Status.COMPLETED}
    times = [end for _, end in rows]
    early = [place for place, end in enumerate(times[SLACK:]) if end < times[place]]
    assert early == [], "a task ended before one that is much older"


@pytest.mark.fault
def test_F26_a_backlog_survives_kills_while_it_is_worked_off(tmp_path: Path) -> None:
    count = min(TASKS, 20_000) // 4
    with serving(tmp_path, *IDLE) as server:
        fill(server.url, count, "uppercase", {"text": "hello"})
        server.kill()
    for part in (1, 2):
        with serving(tmp_path, *WINDOWED) as server:
            filled = "/tasks?status=completed&limit=1000"
            eventually(lambda: server.get(filled).json()["count"] >= min(1000, part * 100))  # noqa: B023
            server.kill()
    with serving(tmp_path, *WINDOWED) as server:
        eventually(lambda: drained(server), DRAIN_TIMEOUT)
        assert server.terminate() == 0
    assert [status for status, _ in ends(tmp_path)] == [Status.COMPLETED] * count


def test_a_backlog_of_large_tasks_takes_no_more_memory_than_the_window_allows(tmp_path: Path) -> None:
    """Each body is 256 KiB; the window holds 4 MiB of them, though it has places for all."""
    large = {"text": "x" * 2**18}
    window = ["-o", "app:queue_driver:max_bytes=4MiB"]
    with serving(tmp_path, *window, "-o", "app:task_consumer:lifecycle.auto_start=false") as server:
        fill(server.url, 400, "other", large)
        assert server.terminate() == 0
    with serving(tmp_path, *window) as server:
        before = memory(server.process.pid)
        last = server.submit("other", {})
        server.ended(last, 60)
        # The caches of one writer and four readers are 128 MiB at most, as above; all tasks would be 100 MiB more.
        assert memory(server.process.pid) - before < 160 * MIB
        assert server.terminate() == 0
    assert {status for status, _ in ends(tmp_path)} == {Status.COMPLETED}
