"""What MySQL refuses is said at the start, within seconds, with what to do, and without a password."""

import contextlib
import time
from pathlib import Path

import pytest
from apps import application
from nodes import MEMORY, cluster
from servers.mariadb import PASSWORD, USER, MariadbServer, mariadb_server
from servers.server import free_port
from support import Server, eventually

pytestmark = pytest.mark.fault

SECONDS = 5 + 5  # the second half for Python and its modules, on a busy machine
WRONG = "another/s3cret"
ACTIONS = "@action(inline=True)\ndef work() -> int:\n    return 1\n"


def failed_start(directory: Path, url: str) -> str:
    """Start an application that cannot start; return what it says."""
    application(directory, ACTIONS, url)
    began = time.monotonic()
    server = Server(["--addr", "127.0.0.1:0", "--data", str(directory)], directory)
    try:
        assert server.process.wait(SECONDS) != 0
        assert time.monotonic() - began < SECONDS
        return server.text()
    finally:
        server.close()


def test_a_wrong_password(tmp_path: Path, mariadb: MariadbServer, mariadb_url: str) -> None:
    name = mariadb_url.rpartition("/")[2]
    said = failed_start(tmp_path, mariadb.url_of(name, password=WRONG))
    assert f"MySQL at 127.0.0.1:{mariadb.port}, database {name}, user {USER} cannot be used" in said
    assert f"Access denied for user '{USER}'" in said
    assert "give the right `username` and `password`" in said
    assert "s3cret" not in said


def test_a_database_that_there_is_not(tmp_path: Path, mariadb: MariadbServer) -> None:
    said = failed_start(tmp_path, mariadb.url_of("taskmill_nowhere"))
    assert "Unknown database 'taskmill_nowhere'" in said
    assert "CREATE DATABASE taskmill_nowhere, and GRANT ALL on it" in said
    assert "s3cret" not in said


def test_a_server_that_there_is_not(tmp_path: Path, mariadb: MariadbServer) -> None:
    port = free_port()
    said = failed_start(tmp_path, mariadb.url_of("tasks", port))
    assert f"MySQL at 127.0.0.1:{port}, database tasks, user {USER} cannot be used" in said
    assert "Connection refused" in said
    assert "start it, or mend `host` and `port`" in said


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    with mariadb_server() as server:
        url = server.create()
        server.freeze()
        said = failed_start(tmp_path, url)
        server.thaw()
    assert "timed out" in said


def test_a_url_that_is_none(tmp_path: Path) -> None:
    said = failed_start(tmp_path, "mysql://u:s3cret@[bad/x")
    assert "the `url` is none of MySQL" in said
    assert "s3cret" not in said
    assert "Traceback" not in said


def test_a_server_that_takes_no_large_tasks(tmp_path: Path) -> None:
    with mariadb_server(max_allowed_packet="1M") as server:
        said = failed_start(tmp_path, server.create())
    assert "`max_allowed_packet` of 1,048,576 bytes" in said
    assert "raise it to 64M" in said


def test_a_log_that_read_committed_cannot_be_written_to(tmp_path: Path) -> None:
    with mariadb_server(skip_log_bin="OFF", log_bin="log", binlog_format="STATEMENT") as server:
        said = failed_start(tmp_path, server.create())
    assert "set `binlog_format=ROW`" in said


def test_settings_that_risk_tasks_are_warned_of(tmp_path: Path) -> None:
    risks = {
        "innodb_flush_log_at_trx_commit": "2",
        "log_bin": "log",
        "binlog_format": "ROW",
        "sync_binlog": "0",
    }
    with (
        mariadb_server(skip_log_bin="OFF", **risks) as server,
        cluster(tmp_path, server.create(), MEMORY, ACTIONS) as there,
    ):
        node = there.start()
        assert node.ended(node.submit("work"))["result"] == {"output": 1}
        assert "set `innodb_flush_log_at_trx_commit=1`" in node.text()
        assert "`sync_binlog=1`" in node.text()
        assert node.terminate() == 0


@pytest.mark.timeout(120)
def test_a_password_that_is_changed_while_it_runs(
    tmp_path: Path, mariadb: MariadbServer, mariadb_url: str
) -> None:
    def change(password: str) -> None:
        mariadb.execute(f"ALTER USER {USER}@'127.0.0.1' IDENTIFIED BY %s", password)

    def lines() -> list[str]:
        return [line for line in node.log if " is gone (" in line]

    with cluster(tmp_path, mariadb_url, MEMORY, ACTIONS) as there:
        node = there.start()
        with contextlib.ExitStack() as stack:
            stack.callback(change, PASSWORD)
            change(WRONG)
            cut = "SELECT id FROM information_schema.processlist WHERE db = %s"
            for (number,) in mariadb.execute(cut, mariadb_url.rpartition("/")[2]):
                mariadb.execute(f"KILL {number}")
            eventually(lambda: node.request("POST", "/tasks", {"action": "work"}).status == 503, 20)
            (gone,) = eventually(lines, 20)
            assert "Access denied" in gone
        eventually(lambda: node.request("POST", "/tasks", {"action": "work"}).status == 202, 20)
        assert node.terminate() == 0
        assert "s3cret" not in node.text()
