"""A database full of ended tasks, made without running them."""

import time
from pathlib import Path

import apsw
from support import eventually, serving

DAY = 86_400_000  # milliseconds
WAITING = 50  # scheduled tasks among them


def make_history(data: Path, count: int, days: float) -> set[str]:
    """Have a server make the tables, and add so many tasks that ended so many days ago.

    Among them are some that are scheduled for next year; returns the hexadecimal digits of their ids.
    """
    data.mkdir(exist_ok=True)
    with serving(data) as server:
        assert server.terminate() == 0
    now = int(time.time() * 1000)
    made = now - int(days * DAY)
    waiting = {number * (count // WAITING) for number in range(min(count, WAITING))}
    connection = apsw.Connection(str(data / "tasks.db"))
    with connection:
        connection.executemany(
            "INSERT INTO task (id, action, queue, data, status, attempt, max_attempts, created_at, started_at,"
            " finished_at, result, rank, run_at) VALUES (?, 'uppercase', 'tasks', ?, ?, 1, 3, ?, ?, ?, ?, ?, ?)",
            (
                (_id(made, number), '{"text":"x"}', 1, made, None, None, None, made, now + 365 * DAY)
                if number in waiting
                else (_id(made, number), '{"text":"x"}', 3, made, made, made, '{"output":"X"}', None, None)
                for number in range(count)
            ),
        )
    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    connection.close()
    return {_id(made, number).hex() for number in waiting}


def _id(made: int, number: int) -> bytes:
    return (made + number // 100).to_bytes(6) + b"\x70\x00\x80\x00" + number.to_bytes(6)


def count_tasks(data: Path) -> tuple[int, int, set[str]]:
    """Return how many ended tasks and tombstones there are, and the ids of what waits, after an integrity check.

    No server may have the database open.
    """
    connection = apsw.Connection(str(data / "tasks.db"))
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        ended = connection.execute("SELECT count(*) FROM task WHERE status IN (3, 4, 5)").get
        tombstones = connection.execute("SELECT count(*) FROM tombstone").get
        waiting = connection.execute("SELECT hex(id) FROM task WHERE status NOT IN (3, 4, 5)").fetchall()
    finally:
        connection.close()
    assert isinstance(ended, int)
    assert isinstance(tombstones, int)
    return ended, tombstones, {str(digits).lower() for (digits,) in waiting}


def wait_grown(file: Path, size: int) -> None:
    """Wait until a file has grown by so many bytes."""
    start = file.stat().st_size
    eventually(lambda: file.stat().st_size >= start + size, 30)
