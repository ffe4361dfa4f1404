"""Encryption of what tasks hold: nothing of it is legible where it is stored, and all of it to those who may read."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from nodes import nats
from sealed import PLACES, check_shown, fill, in_files, kept, keys_in, sealed_application
from servers.nats import NatsServer
from submitting import submit, until
from support import Server, eventually

from taskmill.tasks.sealing.keys import new_key

OLD, NEW = new_key("old"), new_key("new")
URLS = {"postgres": "postgres_url", "mysql": "mariadb_url"}


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.long),
        pytest.param("mysql", marks=pytest.mark.long),
    ]
)
def url(request: pytest.FixtureRequest) -> str | None:
    """The url of every database in turn; None for a file."""
    return None if request.param == "sqlite" else str(request.getfixturevalue(URLS[request.param]))


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
    run = subprocess.run(
        [sys.executable, "-m", "taskmill", "encrypt", what, str(application), "--data", str(data)],
        env={"TASKMILL_KEYS": keys, "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return run.stdout + run.stderr


def test_nothing_is_legible_where_it_is_stored(tmp_path: Path, url: str | None, start: Start) -> None:
    application, data = sealed_application(tmp_path / "app", url), tmp_path / "data"
    place, marker = url or data / "tasks.db", uuid4().hex
    server = start(application, OLD).wait_ready(30)
    ids = fill(server, marker)
    check_shown(server, ids, marker)
    assert (kept(place, marker), keys_in(place)) == (set(), {"old"})
    assert in_files(data, marker) == []  # with the write-ahead log of a file
    assert server.terminate() == 0

    # Another key is the first: what there was is read, what comes is encrypted with it, and then all is.
    server = start(application, f"{NEW},{OLD}").wait_ready(30)
    check_shown(server, ids, marker)
    ids["after"] = submit(server, "same", {"text": marker})
    assert until(server, ids["after"], "completed")["result"] == {"output": marker}
    assert keys_in(place) == {"old", "new"}
    assert server.terminate() == 0
    assert "encrypted with the key new" in again(application, data, f"{NEW},{OLD}")
    assert (kept(place, marker), keys_in(place)) == (set(), {"new"})
    server = start(application, NEW).wait_ready(30)
    check_shown(server, ids, marker)
    assert server.terminate() == 0

    # It is decrypted, and the application has no keys any more.
    assert "decrypted" in again(application, data, NEW, "off")
    assert (kept(place, marker), keys_in(place)) == (PLACES, set())
    server = start(sealed_application(tmp_path / "app", url, encrypt=False), "").wait_ready(30)
    check_shown(server, ids, marker)


def test_without_it_the_same_look_finds_all_of_it(tmp_path: Path, start: Start) -> None:
    application, data = sealed_application(tmp_path / "app", encrypt=False), tmp_path / "data"
    place, marker = data / "tasks.db", uuid4().hex
    server = start(application, "").wait_ready(30)
    ids = fill(server, marker)
    check_shown(server, ids, marker)
    assert kept(place, marker) == PLACES
    assert in_files(data, marker)
    assert server.terminate() == 0

    # What there is stays readable when it is encrypted from now on, and can be encrypted, too.
    application = sealed_application(tmp_path / "app")
    server = start(application, OLD).wait_ready(30)
    check_shown(server, ids, marker)
    assert server.terminate() == 0
    again(application, data, OLD)
    assert (kept(place, marker), keys_in(place)) == (set(), {"old"})


@pytest.mark.long
def test_engines_carry_nothing_legible(tmp_path: Path, postgres_url: str, start: Start) -> None:
    engine = NatsServer(tmp_path / "nats")
    engine.directory.mkdir()
    engine.start()
    try:
        application = sealed_application(tmp_path / "app", postgres_url)
        index = application / "_index.yaml"
        memory = "  - name: queue_driver\n    kind: queue.driver.memory\n    max_length: 10000\n"
        assert memory in index.read_text()
        index.write_text(index.read_text().replace(memory, nats(engine.url)))
        marker = uuid4().hex
        server = start(application, OLD).wait_ready(30)
        ids = fill(server, marker)
        check_shown(server, ids, marker)
        assert kept(postgres_url, marker) == set()
        assert in_files(engine.directory, marker) == []
    finally:
        engine.stop()


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
    assert server.get("/tasks?status=queued").json()["count"] == 3
    assert server.terminate() == 0

    server = start(application, f"{NEW},{OLD}").wait_ready()
    for id_, letter in zip((*ids, soon), "abc", strict=True):
        task = until(server, id_, "completed")
        assert (task["attempt"], task["result"]) == (1, {"output": letter})
