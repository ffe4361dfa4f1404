"""PostgreSQL goes away in every way under load: each 202 is there once, and nothing gives up."""

import time
from pathlib import Path

import psycopg
import pytest
from postgres_load import Trial, trial

pytestmark = pytest.mark.fault


@pytest.mark.timeout(180)
def test_killed_and_started_again_under_load(tmp_path: Path) -> None:
    with trial(tmp_path) as run:
        run.begin()
        for _ in range(3):
            run.more(300)
            run.postgres.kill()
            run.postgres.start()
        run.more(300)
        run.end()
        run.settle()
        assert run.server.process.poll() is None


@pytest.mark.timeout(180)
def test_connections_cut_in_the_middle_of_commits(tmp_path: Path) -> None:
    """An answer that does not come is no 202, whether the commit was made or not."""
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name LIKE 'taskmill % writer' AND state <> 'idle'"
    )
    with trial(tmp_path) as run:
        run.begin()
        cuts = 0
        with psycopg.connect(run.postgres.url, autocommit=True) as connection:
            while cuts < 30:
                cuts += len(connection.execute(cut).fetchall())
                time.sleep(0.02)  # so that some are committed in between
        run.more(300)
        run.end()
        run.settle()
        assert not run.said("is gone"), "a cut connection alone is no outage"


@pytest.mark.timeout(180)
def test_frozen_for_some_seconds(tmp_path: Path) -> None:
    with trial(tmp_path) as run:
        run.begin()
        run.postgres.freeze()
        time.sleep(5)  # how long the fault lasts
        run.postgres.thaw()
        run.more(300)
        run.end()
        run.settle()


@pytest.mark.timeout(180)
def test_away_for_twenty_seconds(tmp_path: Path) -> None:
    with trial(tmp_path) as run:
        run.begin()
        run.postgres.stop()
        refused = run.refused.total()
        _away(run, 20)
        assert run.refused.total() > refused, "it answered while the database was away"
        run.postgres.start()
        run.more(300)
        run.end()
        run.settle()
        # What a node says of itself is of another kind: that it leads no more, and leads again.
        about = [line for line in run.server.log if "PostgreSQL" in line or "trying again" in line]
        about = [line for line in about if "this node" not in line]
        assert len(about) == 2, about
        assert " is gone (" in about[0]
        assert " is back after " in about[1]
        assert not run.said("Traceback")


def _away(run: Trial, seconds: float) -> None:
    """Watch for as long as the fault lasts: it runs, says that it is not ready, and answers at once."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert run.server.process.poll() is None
        began = time.monotonic()
        assert run.server.request("GET", "/healthz").status == 200
        assert time.monotonic() - began < 5
        time.sleep(0.2)  # between two looks
    ready = run.server.request("GET", "/readyz")
    assert ready.status == 503
    assert b"PostgreSQL" in ready.body
