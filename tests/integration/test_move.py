"""`taskmill move` by hand: refused, broken off, there and back, and what the old file says then."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from apps import application
from nodes import MEMORY, POSTGRES, cluster
from servers.postgres import PostgresServer
from servers.server import free_port
from support import Server, eventually, serving

NOTHING = "@action\ndef nothing() -> None: ...\n"
WAIT = """
@action
async def wait(file: str) -> None:
    while not os.path.exists(file):
        await asyncio.sleep(0.01)
"""


@pytest.fixture
def mill(tmp_path: Path) -> Iterator[Server]:
    """The built-in application, on a file."""
    (tmp_path / "data").mkdir()
    with serving(tmp_path / "data", directory=tmp_path) as server:
        yield server


def move(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "taskmill", "move", *arguments, "--url", server.url]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)


def submit(server: Server, count: int) -> list[str]:
    return [server.submit("uppercase", {"text": f"text {number}"}) for number in range(count)]


def triggers(file: Path) -> int:
    with closing(sqlite3.connect(file)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone()
        return int(count)


@pytest.mark.timeout(120)
def test_there_and_back(mill: Server, tmp_path: Path, postgres_url: str) -> None:
    ids = submit(mill, 30)
    there = move(mill, "--to", postgres_url)
    assert there.returncode == 0, there.stderr + mill.text()
    assert "All tasks are in PostgreSQL at" in there.stdout
    assert "${env:DB_PASSWORD}" in there.stdout
    assert "s3cret" not in there.stdout + there.stderr + mill.text()
    ids += submit(mill, 5)
    back = move(mill, "--to", "sqlite:back.db")
    assert back.returncode == 0, back.stderr + mill.text()
    ids += submit(mill, 5)
    for id_ in ids:
        assert mill.ended(id_)["result"]["output"].startswith("TEXT")
    again = move(mill, "--to", postgres_url)
    assert again.returncode == 1
    assert "name an empty database" in again.stderr
    assert mill.terminate() == 0
    assert triggers(tmp_path / "data" / "tasks.db") == triggers(tmp_path / "data" / "back.db") == 0
    refused = Server(["--data", str(tmp_path / "data"), "--addr", "127.0.0.1:0"], tmp_path)
    try:
        assert refused.process.wait(30) == 1
        assert "tasks.db have moved to PostgreSQL at" in refused.text()
        assert "kind: db.sql.postgres" in refused.text()
    finally:
        refused.close()
    with serving(tmp_path / "data", "-o", "app:db:file=back.db", directory=tmp_path) as server:
        assert server.get(f"/tasks/{ids[0]}").json()["status"] == "completed"


@pytest.mark.timeout(60)
def test_nothing_is_harmed_where_it_cannot_move(mill: Server, postgres: PostgresServer) -> None:
    id_ = mill.submit("uppercase", {"text": "x"})
    for to, said in {
        "mysql://root@localhost/x": "tasks can move to PostgreSQL, and to an SQLite file",
        "sqlite::memory:": "names no file",
        "${env:NOWHERE}": "no environment variable `NOWHERE`",
        "sqlite:tasks.db": "in use by process",
        f"postgresql://nobody:wrong@127.0.0.1:{free_port()}/x": "127.0.0.1",
        postgres.url_of("postgres").replace("s3cret", "other"): "password",
    }.items():
        answer = mill.request("POST", "/move", {"to": to}, timeout=30)
        assert answer.status in (400, 409), to
        assert said in answer.json()["detail"], answer.body
        assert b"s3cret" not in answer.body
    assert mill.get("/move").json()["state"] == "none"
    assert mill.request("DELETE", "/move").status == 409
    assert mill.ended(id_)["status"] == "completed"


@pytest.mark.timeout(60)
def test_a_database_that_has_tasks_is_refused(mill: Server, tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "other").mkdir()
    with serving(tmp_path / "other", directory=tmp_path) as other:
        submit(other, 2)
        assert move(other, "--to", postgres_url).returncode == 0
        answer = mill.request("POST", "/move", {"to": postgres_url}, timeout=30)
    assert answer.status == 409
    assert "holds tasks that moved there before" in answer.json()["detail"]
    assert mill.get("/move").json()["state"] == "none"


@pytest.mark.timeout(60)
def test_a_move_is_broken_off(tmp_path: Path, postgres_url: str) -> None:
    app = application(tmp_path / "app", WAIT)
    with serving(tmp_path / "data", str(app), directory=tmp_path) as server:
        id_ = server.submit("wait", {"file": str(tmp_path / "end")})
        eventually(lambda: server.get(f"/tasks/{id_}").json()["status"] == "running")
        assert server.request("POST", "/move", {"to": postgres_url, "patience": 600}).status == 202
        eventually(lambda: server.get("/move").json()["state"] == "draining")
        assert server.request("POST", "/move", {"to": "sqlite:other.db"}).status == 409
        broken = move(server, "--break-off")
        assert broken.returncode == 0, broken.stderr
        assert server.get("/move").json()["state"] == "none"
        (tmp_path / "end").touch()
        assert server.ended(id_)["status"] == "completed"
        assert server.ended(server.submit("wait", {"file": str(tmp_path / "end")}))["status"] == "completed"
        moved = move(server, "--to", postgres_url)
        assert moved.returncode == 0, moved.stderr + server.text()
        assert server.get(f"/tasks/{id_}").json()["status"] == "completed"


@pytest.mark.timeout(90)
def test_only_one_node_moves_back(tmp_path: Path, postgres_url: str) -> None:
    with cluster(tmp_path, postgres_url, MEMORY, NOTHING) as nodes:
        first, second = nodes.start(), nodes.start()
        eventually(lambda: first.get("/nodes").json()["count"] == 2, 20)
        answer = first.request("POST", "/move", {"to": "sqlite:alone.db"}, timeout=30)
        assert answer.status == 409
        assert "other nodes use the database: stop them first" in answer.json()["detail"]
        assert second.terminate() == 0
        eventually(lambda: first.get("/nodes").json()["count"] == 1, 20)
        moved = move(first, "--to", "sqlite:alone.db")
        assert moved.returncode == 0, moved.stderr + first.text()


@pytest.mark.timeout(60)
def test_a_driver_that_needs_the_old_database_is_named(tmp_path: Path, postgres_url: str) -> None:
    with cluster(tmp_path, postgres_url, POSTGRES, NOTHING) as nodes:
        node = nodes.start()
        answer = node.request("POST", "/move", {"to": "sqlite:back.db"}, timeout=30)
    assert answer.status == 400
    assert "app:queue_driver (queue.driver.postgres) needs a `db.sql.postgres`" in answer.json()["detail"]


@pytest.mark.timeout(60)
def test_the_command_wants_one_of_both(mill: Server) -> None:
    for arguments in ((), ("--to", "sqlite:x", "--break-off")):
        wrong = move(mill, *arguments)
        assert wrong.returncode == 2
        assert "either --to URL or --break-off" in wrong.stderr
