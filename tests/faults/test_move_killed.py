"""`kill -9` at any moment of a move, and a database that goes away: the old one is the truth until the new one is."""

import os
import random
import time
from pathlib import Path

import pytest
from move_load import Mill, command, fill, rows_of_server, settled, state
from servers.postgres import PostgresServer, postgres_server
from support import Server, eventually

KILLS = int(os.environ.get("TASKMILL_MOVE_KILLS", "4"))
FILLED = 6_000


def _begin(server: Server, url: str) -> None:
    answer = server.request("POST", "/move", {"to": url, "patience": 5}, timeout=30)
    assert answer.status == 202, answer.body


def _starts(mill: Mill) -> bool:
    """Start on the old file; tell whether the tasks are there still. It must say where they are otherwise."""
    server = Server(["--addr", "127.0.0.1:0", "--data", str(mill.data), str(mill.app)], mill.directory)
    try:
        eventually(lambda: server.url or server.process.poll() is not None, 30)
        if server.url:
            return True
        assert "have moved to PostgreSQL" in server.text()
        assert "kind: db.sql.postgres" in server.text()
        return False
    finally:
        server.close()


@pytest.mark.timeout(400)
def test_kill_9_at_random_moments(tmp_path: Path, postgres: PostgresServer) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    ends = {"old": 0, "new": 0}
    for number in range(KILLS):
        url = postgres.create()
        mill = Mill(tmp_path / str(number))
        around_the_switch = number % 2 == 1
        with mill.running() as server:
            ids = fill(server, FILLED) + fill(server, 30, "flaky") + fill(server, 30, "slow")
            _begin(server, url)
            if around_the_switch:
                eventually(lambda: state(server) not in ("copying", "following"), 60)
            moment = time.monotonic() + chance.uniform(0, 0.5)
            eventually(lambda: time.monotonic() > moment)  # noqa: B023
            server.kill()
        if _starts(mill):
            ends["old"] += 1
            with mill.running() as server:
                moved = command(server, "--to", url)
                assert moved.returncode == 0, moved.stderr + server.text()
                statuses = settled(server, ids[-400:])
        else:
            ends["new"] += 1
            with mill.running(url) as server:
                statuses = settled(server, ids[-400:])
        assert set(statuses.values()) == {"completed"}
        assert rows_of_server(url, "task", "id, status", "status <> 3") == []
        assert len(rows_of_server(url, "task", "id, status")) == len(ids)
        postgres.drop(url)
    print(
        f"{KILLS} kills; the tasks were then in the old database {ends['old']} times, in the new {ends['new']}"
    )


@pytest.mark.timeout(120)
def test_a_kill_while_it_copies_and_the_same_command_goes_on(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    url = postgres.create()
    mill = Mill(tmp_path)
    with mill.running() as server:
        ids = fill(server, 12_000)
        _begin(server, url)
        eventually(lambda: server.get("/move").json()["copied"] >= 2_000, 30)
        server.kill()
    with mill.running() as server:
        assert state(server) == "unfinished"
        first = rows_of_server(url, "move", "copied, state")
        assert first[0][0] >= 2_000
        assert first[0][1] == "arriving"
        server.submit("fast", {"name": "late"})  # while nobody copies: it is noted all the same
        moved = command(server, "--to", url)
        assert moved.returncode == 0, moved.stderr + server.text()
        settled(server, ids[:1])
    assert len(rows_of_server(url, "task", "id, status", "status = 3")) == 12_001


@pytest.mark.timeout(120)
def test_the_new_database_goes_away(tmp_path: Path) -> None:
    mill = Mill(tmp_path)
    with postgres_server() as postgres:
        url = postgres.create()
        with mill.running() as server:
            fill(server, 1_000)
            gate = server.submit("gate", {"name": "gate"})
            eventually(lambda: mill.runs()["gate 1"] == 1)
            _begin(server, url)
            eventually(lambda: state(server) == "draining", 30)
            postgres.kill()
            server.submit("fast", {"name": "meanwhile"})
            mill.open()
            eventually(lambda: state(server) == "failed", 60)
            assert server.ended(gate)["status"] == "completed"
            assert server.ended(server.submit("fast", {"name": "after"}))["status"] == "completed"
            postgres.start()
            moved = command(server, "--to", url)
            assert moved.returncode == 0, moved.stderr + server.text()
            assert server.ended(gate)["status"] == "completed"
            settled(server, [])
        assert len(rows_of_server(url, "task", "id, status")) == 1_003
    assert max(mill.runs().values()) == 1
