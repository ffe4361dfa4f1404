"""A server that moves its tasks while clients submit: what they were told, and how long each had to wait."""

from __future__ import annotations

import http.client
import json
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from apps import application
from support import Server, eventually, serving

DEADLINE = 60.0
ENDED = (3, 4, 5)  # the codes of the states in which nothing more happens
COMMON = (
    "id, action, queue, data, status, attempt, max_attempts, created_at, started_at, finished_at, "
    "result, error, key"
)

# Each run leaves a line, in one write, with the number of its attempt.
ACTIONS = """
from taskmill import Retry, current_task
HERE = os.path.dirname(os.path.abspath(__file__))
RUNS = os.open(os.path.join(HERE, "runs.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

def ran(name: str) -> None:
    os.write(RUNS, (name + " " + str(current_task().attempt) + "\\n").encode())

@action(inline=True)
def fast(name: str) -> str:
    ran(name)
    return name.upper()

@action
async def slow(name: str) -> str:
    await asyncio.sleep(0.02)
    ran(name)
    return name

@action
def apart(name: str) -> str:
    ran(name)
    return name

@action(backoff="200ms", max_attempts=5)
async def flaky(name: str) -> str:
    ran(name)
    if current_task().attempt < 2:
        raise ValueError("not yet")
    return name

@action(max_attempts=1)
async def broken(name: str) -> str:
    ran(name)
    raise ValueError("never")

@action
async def gate(name: str) -> str:
    ran(name)
    while not os.path.exists(os.path.join(HERE, "open")):
        await asyncio.sleep(0.01)
    return name
"""


class Load:
    """Clients that submit until they are told to end. Each sends a request again, with its key, until it is told."""

    def __init__(self, url: str, clients: int) -> None:
        self.told: dict[str, str] = {}  # the name of each task that was acknowledged, and its id
        self.gap = 0.0  # seconds between two acknowledgements, whoever got them, at most
        self.refused: Counter[int] = Counter()
        self.keys: list[tuple[str, dict[str, Any], str]] = []
        self._address = urlsplit(url).netloc
        self._last = time.monotonic()
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,), daemon=True) for n in range(clients)]
        for thread in self._threads:
            thread.start()

    def more(self, count: int) -> None:
        """Wait until so many more have been acknowledged."""
        wanted = len(self.told) + count
        eventually(lambda: len(self.told) >= wanted, DEADLINE)

    def end(self) -> None:
        """Submit no more."""
        self._end.set()
        for thread in self._threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()

    def _work(self, number: int) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=30)
        count = 0
        while not self._end.is_set():
            count += 1
            name = f"{number}-{count}"
            key = uuid.uuid4().hex
            body = _submission(name, count)
            while True:
                try:
                    headers = {"Content-Type": "application/json", "Idempotency-Key": key}
                    connection.request("POST", "/tasks", json.dumps(body), headers)
                    answer = connection.getresponse()
                    value = json.loads(answer.read())
                except (OSError, http.client.HTTPException):
                    connection.close()
                    if self._end.is_set():
                        return
                    continue
                if answer.status == 202:
                    self._acknowledged(name, value["id"], key, body)
                    break
                self.refused[answer.status] += 1
        connection.close()

    def _acknowledged(self, name: str, id_: str, key: str, body: dict[str, Any]) -> None:
        with self._lock:
            now = time.monotonic()
            self.gap = max(self.gap, now - self._last)
            self._last = now
            self.told[name] = id_
            if len(self.keys) < 50:
                self.keys.append((key, body, id_))


def _submission(name: str, count: int) -> dict[str, Any]:
    kinds = ("fast", "slow", "apart", "flaky", "broken", "fast", "fast", "fast")
    body: dict[str, Any] = {"action": kinds[count % len(kinds)], "data": {"name": name}}
    if count % 5 == 0:
        body["delay"] = 0.5
    if count % 7 == 0:
        body["priority"] = 5
    if count % 11 == 0:
        body["key"] = f"unique-{name}"
    return body


class Mill:
    """An application that begins on an SQLite file."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.app = application(directory / "app", ACTIONS)
        self.data = directory / "data"
        self.file = self.data / "tasks.db"

    @contextmanager
    def running(self, database: str | None = None) -> Iterator[Server]:
        """Run the server; with another database where its entry has been edited."""
        application(self.app, ACTIONS, database)
        with serving(self.data, str(self.app), directory=self.directory) as server:
            yield server

    def runs(self) -> Counter[str]:
        """Return how often each attempt of each task has been run."""
        path = self.app / "runs.txt"
        return Counter(path.read_text().splitlines() if path.exists() else ())

    def open(self) -> None:
        """Let tasks of the action `gate` end."""
        (self.app / "open").touch()


def fill(server: Server, count: int, action: str = "fast") -> list[str]:
    """Submit many tasks; return their ids."""
    ids: list[str] = []
    for start in range(0, count, 5_000):
        names = [f"{action}-{number}" for number in range(start, min(start + 5_000, count))]
        tasks = [{"action": action, "data": {"name": name}} for name in names]
        answer = server.request("POST", "/tasks/bulk", {"tasks": tasks}, timeout=60)
        assert answer.status == 202, answer.body
        ids += answer.json()["ids"]
    return ids


def command(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `taskmill move` to its end."""
    line = [sys.executable, "-m", "taskmill", "move", *arguments, "--url", server.url]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


def state(server: Server) -> str:
    """Return what the server says of its move; nothing where it does not answer."""
    with suppress(OSError, ValueError):
        return str(server.get("/move").json()["state"])
    return ""


def settled(server: Server, ids: list[str]) -> dict[str, str]:
    """Wait until nothing waits or runs, then return the status of each task."""

    def idle() -> bool:
        queues = server.get("/queues").json()["queues"]
        return not any(
            queue["depth"][name] for queue in queues for name in ("queued", "scheduled", "running")
        )

    eventually(idle, DEADLINE)
    return {id_: str(server.get(f"/tasks/{id_}").json().get("status")) for id_ in ids}


def rows_of_file(path: Path, table: str, columns: str, where: str = "1=1") -> list[tuple[Any, ...]]:
    """Read a table of an SQLite file that nobody has open."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT {columns} FROM {table} WHERE {where} ORDER BY 1, 2").fetchall()


def rows_of_server(url: str, table: str, columns: str, where: str = "1=1") -> list[tuple[Any, ...]]:
    """Read a table of a PostgreSQL database."""
    with psycopg.connect(url) as connection:
        found = connection.execute(f"SELECT {columns} FROM {table} WHERE {where} ORDER BY 1, 2".encode())
        return found.fetchall()
