"""A move under load: every task that was acknowledged is there once, has run once, and clients waited a moment."""

from pathlib import Path

import pytest
from move_load import COMMON, ENDED, Load, Mill, command, fill, rows_of_file, rows_of_server, settled
from servers.postgres import PostgresServer
from support import eventually

FILLED = 20_000


@pytest.mark.timeout(300)
def test_nothing_is_lost_or_run_twice_under_load(tmp_path: Path, postgres: PostgresServer) -> None:
    url = postgres.create()
    mill = Mill(tmp_path)
    with mill.running() as server:
        before = fill(server, FILLED)
        schedule = {"every": 1, "action": "fast", "data": {"name": "scheduled"}}
        assert server.request("PUT", "/schedules/often", schedule).status in (200, 201)
        load = Load(server.url, 6)
        load.more(500)
        moved = command(server, "--to", url)
        assert moved.returncode == 0, moved.stderr + server.text()
        load.more(300)
        load.end()
        held = server.get("/move").json()["held"]
        assert server.request("DELETE", "/schedules/often").status in (200, 204)
        ids = list(load.told.values())
        statuses = settled(server, [*ids, *before[:: len(before) // 200]])
        for key, body, id_ in load.keys:
            again = server.request("POST", "/tasks", body, {"Idempotency-Key": key})
            assert again.json()["id"] == id_
        assert server.terminate() == 0
    lost = [id_ for id_ in ids if statuses[id_] not in ("completed", "failed")]
    runs = mill.runs()
    twice = {run: count for run, count in runs.items() if count > 1 and not run.startswith("scheduled")}
    print(
        f"submitted and acknowledged {len(ids) + FILLED}, lost {len(lost)}, run twice {len(twice)}, "
        f"longest gap of submits {load.gap:.2f} s, nobody served for {held:.2f} s"
    )
    assert lost == []
    assert len(set(ids)) == len(ids)
    assert twice == {}
    ran = {run.rpartition(" ")[0] for run in runs}
    assert set(load.told) <= ran
    assert load.gap < 5  # the goal is below 1 s, on a machine that is not as busy
    _equal(mill, url)


def _equal(mill: Mill, url: str) -> None:
    """What had ended before the move is the same after it, to the last column."""
    where = f"status IN {ENDED}"
    old = rows_of_file(mill.file, "task", COMMON, where)
    new = {row[0]: row for row in rows_of_server(url, "task", COMMON, where)}
    assert len(old) > FILLED
    assert [row for row in old if new.get(row[0]) != row] == []
    attempts = "task_id, attempt, started_at, ended_at, error"
    there = set(rows_of_server(url, "attempt", attempts))
    assert set(rows_of_file(mill.file, "attempt", attempts)) <= there


@pytest.mark.timeout(120)
def test_what_waits_is_row_by_row_the_same(tmp_path: Path, postgres: PostgresServer) -> None:
    url = postgres.create()
    mill = Mill(tmp_path)
    with mill.running() as server:
        done = fill(server, 300, "flaky") + fill(server, 100, "broken")
        settled(server, done)
        assert server.request("POST", "/queues/tasks/pause", {"by": "a test"}).status == 200
        waiting = fill(server, 500, "slow")
        server.request("PUT", "/schedules/daily", {"cron": "@daily", "action": "fast", "data": {"name": "x"}})
        moved = command(server, "--to", url)
        assert moved.returncode == 0, moved.stderr + server.text()
        tables = {
            "task": COMMON,
            "attempt": "task_id, attempt, started_at, ended_at, error",
            "idempotency": "key, body, task_id, created_at",
            "pause": "queue, paused_at, paused_by",
            "schedule": "name, cron, action, data, next_due, revision",
            "tombstone": "id, pruned_at",
        }
        for table, columns in tables.items():
            old = rows_of_file(mill.file, table, columns)
            assert rows_of_server(url, table, columns) == old, table
        assert len(rows_of_server(url, "attempt", "task_id, attempt")) == 400
        assert server.get("/queues").json()["queues"][0]["paused"]
        assert server.request("POST", "/queues/tasks/resume").status == 200
        statuses = settled(server, waiting)
    assert set(statuses.values()) == {"completed"}
    assert max(mill.runs().values()) == 1


@pytest.mark.timeout(120)
def test_what_runs_for_too_long_is_broken_off_and_runs_again(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    mill = Mill(tmp_path)
    with mill.running() as server:
        id_ = server.submit("gate", {"name": "long"})
        eventually(lambda: mill.runs()["long 1"] == 1)
        moved = command(server, "--to", postgres.create(), "--patience", "0.2")
        assert moved.returncode == 0, moved.stderr + server.text()
        eventually(lambda: mill.runs()["long 1"] == 2)
        mill.open()
        task = server.ended(id_)
    assert (task["status"], task["attempt"]) == ("completed", 1)
