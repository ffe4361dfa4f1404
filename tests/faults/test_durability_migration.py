"""The migration as a process meets it: killed half-way, and a database from a newer version."""

import signal
from pathlib import Path

import apsw
import pytest
from durability import dying, exit_of, start_fails
from support import Server, serving

pytestmark = pytest.mark.fault


def test_a_migration_that_was_killed_half_way_is_run_again(tmp_path: Path) -> None:
    """It dies after the tables are made and before that is written down."""
    for _ in range(2):
        server = Server(["--addr", "127.0.0.1:0", "--data", str(tmp_path)], tmp_path, dying("migration"))
        try:
            assert exit_of(server) == -signal.SIGKILL, server.text()
        finally:
            server.close()
    with serving(tmp_path) as server:
        assert server.ended(server.submit("sum", {"numbers": [1, 2]}))["result"] == {"output": 3}
        assert "1 migrations applied" in server.text()


def test_a_database_of_a_newer_version_is_refused_with_a_clear_line(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        id_ = server.submit("sum", {"numbers": [1, 2]})
        server.ended(id_)
        assert server.terminate() == 0
    connection = apsw.Connection(str(tmp_path / "tasks.db"))
    connection.execute("INSERT INTO taskmill_migration VALUES ('tasks', 1000, 'from the future', 0)")
    connection.close()
    assert f"{tmp_path / 'tasks.db'} was written by a newer version" in start_fails(tmp_path)
