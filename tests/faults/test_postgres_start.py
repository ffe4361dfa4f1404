"""What PostgreSQL refuses is said at the start, within seconds, with what to do, and without a password."""

import time
from pathlib import Path

import psycopg
import pytest
from apps import application
from postgres_load import ACTIONS, trial
from servers.postgres import PASSWORD, USER, PostgresServer
from servers.server import free_port
from support import Server, eventually

pytestmark = pytest.mark.fault

SECONDS = 5 + 5  # the second half for Python and its modules, on a busy machine
WRONG = "another/s3cret"


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


def test_a_wrong_password(tmp_path: Path, postgres: PostgresServer, postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    said = failed_start(
        tmp_path, f"postgresql://{USER}:{WRONG}@127.0.0.1:{postgres.port}/{name}".replace("/s3", "%2Fs3")
    )
    assert f"PostgreSQL at 127.0.0.1:{postgres.port}, database {name}, user {USER} cannot be used" in said
    assert f'password authentication failed for user "{USER}"; give the right `password`' in said
    assert WRONG not in said
    assert "s3cret" not in said


def test_a_database_that_there_is_not(tmp_path: Path, postgres: PostgresServer) -> None:
    said = failed_start(tmp_path, postgres.url_of("nowhere"))
    assert 'database "nowhere" does not exist; make it with `createdb`' in said
    assert "s3cret" not in said


def test_a_server_that_there_is_not(tmp_path: Path, postgres: PostgresServer) -> None:
    port = free_port()
    said = failed_start(tmp_path, postgres.url_of("tasks", port))
    assert f"PostgreSQL at 127.0.0.1:{port}, database tasks, user {USER} cannot be used" in said
    assert "Connection refused; start it, or mend `host` and `port`" in said


def test_a_url_that_is_none(tmp_path: Path) -> None:
    said = failed_start(tmp_path, "postgresql://u:s3cret@[bad/x")
    assert "the `url` is none of PostgreSQL" in said
    assert "s3cret" not in said
    assert "Traceback" not in said


def test_settings_that_risk_tasks_are_warned_of(tmp_path: Path) -> None:
    with trial(tmp_path, fsync="off", full_page_writes="off") as run:
        assert len(run.said("with `fsync` off")) == 1
        assert len(run.said("with `full_page_writes` off")) == 1
        with psycopg.connect(run.url) as connection:
            # Off for the server is not off for what commits tasks.
            assert not run.said("with `synchronous_commit` off")
            connection.execute("SELECT 1")


@pytest.mark.timeout(120)
def test_a_password_that_is_changed_while_it_runs(tmp_path: Path) -> None:
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'taskmill %'"
    with trial(tmp_path) as run:
        owner = psycopg.connect(run.postgres.url, autocommit=True)
        run.begin()
        owner.execute(f"ALTER ROLE {USER} PASSWORD '{WRONG}'".encode())
        owner.execute(cut)
        (gone,) = eventually(lambda: run.said(" is gone ("), 20)
        assert "password authentication failed" in gone
        owner.execute(f"ALTER ROLE {USER} PASSWORD '{PASSWORD}'".encode())
        owner.close()
        run.more(300)
        run.end()
        run.settle()
        assert not [line for line in run.server.log if "s3cret" in line]
