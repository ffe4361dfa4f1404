"""Encryption of what tasks hold: nothing of it is legible where it is stored, and all of it to those who may read."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import pytest
from nodes import MEMORY, nats
from sealed import PLACES, check_shown, fill, in_files, kept, keys_in, sealed_application
from servers.nats import NatsServer
from submitting import submit, until
from support import Server, eventually
from typer.testing import CliRunner

from taskmill.cli import app
from taskmill.tasks.sealing.keys import new_key

OLD, NEW = new_key("old"), new_key("new")


class Store(NamedTuple):
    """A database: its url, None for a file. ``engine`` is where an engine keeps messages, ``driver`` its entry."""

    url: str | None
    engine: Path | None = None
    driver: str = MEMORY


@pytest.fixture(
    params=[
        "sqlite",
        *(pytest.param(name, marks=pytest.mark.long) for name in ("postgres and nats", "mysql")),
    ]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Every database in turn, one of them with an engine for messages."""
    if request.param == "sqlite":
        yield Store(None)
    elif request.param == "mysql":
        yield Store(request.getfixturevalue("mariadb_url"))
    else:
        engine = NatsServer(tmp_path / "nats")
        engine.directory.mkdir()
        engine.start()
        yield Store(request.getfixturevalue("postgres_url"), engine.directory, nats(engine.url))
        engine.stop()


Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server with keys, one after the other."""
    running = []

    def started(application: Path, keys: str) -> Server:
        server = Server(
            ["--addr", "127.0.0.1:0", "--data", str(tmp_path / "data"), str(application)],
            tmp_path,
            {"TASKMILL_KEYS": keys},
        )
        running.append(server)
        return server

    yield started
    for server in running:
        server.close()


def again(application: Path, data: Path, keys: str, what: str = "again") -> str:
    """Run a command that writes all of a database anew; return what it says."""
    ran = CliRunner().invoke(
        app, ["encrypt", what, str(application), "--data", str(data)], env={"TASKMILL_KEYS": keys}
    )
    assert ran.exit_code == 0, ran.output
    return ran.output


def test_nothing_is_legible_where_it_is_stored(tmp_path: Path, store: Store, start: Start) -> None:
    # Without encryption all of it is found: so the same look later on would find it, too.
    application, data = (
        sealed_application(tmp_path / "app", store.url, store.driver, encrypt=False),
        tmp_path / "data",
    )
    place, before = store.url or data / "tasks.db", uuid4().hex
    server = start(application, "").wait_ready(30)
    first = fill(server, before)
    assert kept(place, before) == PLACES
    assert store.url or in_files(data, before)
    assert server.terminate() == 0

    # With it nothing is; what was there before stays readable.
    sealed_application(tmp_path / "app", store.url, store.driver)
    server = start(application, f"{OLD},{NEW}").wait_ready(30)
    after = uuid4().hex
    second = fill(server, after)
    check_shown(server, first, before)
    check_shown(server, second, after)
    assert (kept(place, after), keys_in(place)) == (set(), {"old"})
    assert in_files(data, after) == []  # with the write-ahead log of a file
    assert store.engine is None or in_files(store.engine, after) == []
    assert server.terminate() == 0

    # Another key is the first: all of it is written anew.
    assert "encrypted with the key new" in again(application, data, f"{NEW},{OLD}")
    assert (kept(place, before) | kept(place, after), keys_in(place)) == (set(), {"new"})
    assert in_files(data, before) == []  # nor in what was overwritten
    server = start(application, NEW).wait_ready(30)
    check_shown(server, first, before)
    check_shown(server, second, after)
    assert server.terminate() == 0

    # And it is decrypted.
    assert "decrypted" in again(application, data, NEW, "off")
    assert (kept(place, before), kept(place, after), keys_in(place)) == (PLACES, PLACES, set())


@pytest.mark.long
def test_a_task_waits_for_its_key(tmp_path: Path, start: Start) -> None:
    application = sealed_application(tmp_path / "app")
    server = start(application, OLD).wait_ready()
    assert server.request("POST", "/queues/tasks/pause").status == 200
    ids = [submit(server, "same", {"text": "a"}), submit(server, "same", {"text": "b"}, priority=3)]
    soon = submit(server, "same", {"text": "c"}, delay=0.2)
    assert server.terminate() == 0

    server = start(application, NEW).wait_ready()
    assert "lacks the keys `old`" in server.text()
    assert server.request("POST", "/queues/tasks/resume").status == 200
    other = submit(server, "same", {"text": "d"})
    assert until(server, other, "completed")["result"] == {"output": "d"}
    eventually(lambda: "encrypted with the key old, which is missing" in server.text())
    for id_ in (*ids, soon):
        task = until(server, id_, "queued")
        assert (task["attempt"], task["data"][:8]) == (0, "tm1:old:")
        why = server.get(f"/tasks/{id_}/why").json()["waiting_for"]
        assert {"reason": "key_missing", "key": "old"} in why
    assert server.get("/tasks?status=queued").json()["count"] == 3
    assert server.terminate() == 0

    server = start(application, f"{NEW},{OLD}").wait_ready()
    for id_, letter in zip((*ids, soon), "abc", strict=True):
        task = until(server, id_, "completed")
        assert (task["attempt"], task["result"]) == (1, {"output": letter})
