"""Behind PgBouncer in transaction mode: nothing of a session is relied on."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from apps import application
from servers.pgbouncer import PgBouncer
from servers.postgres import PostgresServer
from support import serving

ACTIONS = """
@action(inline=True)
def uppercase(text: str) -> str:
    return text.upper()
"""


@contextmanager
def pooler(postgres: PostgresServer) -> Iterator[PgBouncer]:
    with tempfile.TemporaryDirectory(prefix="taskmill-pgbouncer-") as name:
        Path(name).chmod(0o755)
        server = PgBouncer(Path(name), postgres)
        server.start()
        yield server
        server.kill()


@pytest.fixture
def through(postgres: PostgresServer, postgres_url: str) -> Iterator[str]:
    with pooler(postgres) as server:
        yield postgres.url_of(postgres_url.rpartition("/")[2], server.port)


def test_tasks_run_through_it(tmp_path: Path, through: str, postgres_url: str) -> None:
    application(tmp_path, ACTIONS, through)
    index = tmp_path / "_index.yaml"
    index.write_text(
        index.read_text().replace(f'url: "{through}"\n', f'url: "{through}"\n    pgbouncer: true\n')
    )
    with serving(tmp_path, directory=tmp_path) as server:
        ids = [server.submit("uppercase", {"text": f"task {n}"}) for n in range(200)]
        assert [server.ended(id_)["result"] for id_ in ids] == [{"output": f"TASK {n}"} for n in range(200)]
        assert len(server.get("/tasks?status=completed&limit=1000").json()["tasks"]) == 200
        with psycopg.connect(postgres_url) as connection:
            # What is set for the writer's transactions stays with them.
            ((setting,),) = connection.execute("SHOW enable_seqscan").fetchall()
            assert setting == "on"
        assert server.terminate() == 0
        assert not [line for line in server.log if "ERROR" in line or "WARNING" in line]
