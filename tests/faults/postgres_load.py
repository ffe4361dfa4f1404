"""An application on a PostgreSQL server that tests do things to, under load from a process of its own."""

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from apps import application
from servers.postgres import PostgresServer, postgres_server
from support import Server, eventually, serving

LOAD = Path(__file__).parent / "durability_load.py"
CONNECTIONS = 16
DEADLINE = 60.0

# Each run leaves a line, in one write: no two runs share one.
ACTIONS = """
RUNS = os.open(os.path.join(os.path.dirname(__file__), "runs.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)

@action(inline=True)
def uppercase(text: str) -> str:
    os.write(RUNS, (text + "\\n").encode())
    return text.upper()

@action
async def sum(numbers: list[int]) -> int:
    await asyncio.sleep(0.005)
    return numbers[0] + numbers[1]
"""


class Trial:
    """A server process on a database, and what a load has been told by it."""

    def __init__(self, postgres: PostgresServer, url: str, server: Server, directory: Path) -> None:
        self.postgres, self.url, self.server, self.directory = postgres, url, server, directory
        self.acknowledged: dict[str, Any] = {}
        self.refused: Counter[str] = Counter()
        self.at: list[float] = []  # when each 202 came
        self._load: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def begin(self) -> None:
        """Start to submit."""
        address = urlsplit(self.server.url).netloc
        self._load = subprocess.Popen(
            [sys.executable, str(LOAD), address, str(CONNECTIONS), "uppercase", "sum"],
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.more(100)

    def more(self, count: int) -> None:
        """Wait until so many more have been acknowledged."""
        wanted = len(self.acknowledged) + count
        eventually(lambda: len(self.acknowledged) >= wanted, DEADLINE)

    def end(self) -> None:
        """Submit no more."""
        assert self._load is not None
        assert self._reader is not None
        self._load.kill()
        self._load.wait(10)
        self._reader.join(10)
        assert self._load.stdout is not None
        self._load.stdout.close()

    def rows(self) -> dict[str, tuple[int, Any]]:
        """Return status and result of every task that there is."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute(
                "SELECT encode(id, 'hex')::uuid::text, status, result FROM task"
            ).fetchall()
        return {
            id_: (status, None if result is None else json.loads(result)) for id_, status, result in found
        }

    def settle(self) -> None:
        """Wait until everything has ended, and judge: each that was acknowledged is there once, with its result."""
        eventually(lambda: all(status > 2 for status, _ in self.rows().values()), DEADLINE)
        rows = self.rows()
        wrong = {
            id_: rows.get(id_) for id_, result in self.acknowledged.items() if rows.get(id_) != (3, result)
        }
        runs = Counter((self.directory / "runs.txt").read_text().splitlines())
        again = sum(1 for count in runs.values() if count > 1)
        gap = max((later - sooner for sooner, later in zip(self.at, self.at[1:], strict=False)), default=0.0)
        print(
            f"\nsubmitted {len(self.acknowledged) + self.refused.total()}, acknowledged {len(self.acknowledged)}, "
            f"completed {len(rows)}, executed more than once {again}, lost {len(wrong)}, longest gap {gap:.1f} s"
        )
        assert not wrong, list(wrong.items())[:5]
        assert set(self.refused) <= {"HTTP/1.1 503 Service Unavailable"}
        # What ran while its answer was lost may run again, and hardly more.
        assert again <= len(self.acknowledged) * 0.05 + 100

    def said(self, text: str) -> list[str]:
        """Return the lines of the server's log that hold a text."""
        return [line for line in self.server.log if text in line]

    def _read(self) -> None:
        assert self._load is not None
        assert self._load.stdout is not None
        for line in self._load.stdout:
            id_, result = json.loads(line)
            if id_ is None:
                self.refused[result] += 1
            else:
                self.acknowledged[id_] = result
                self.at.append(time.monotonic())


@contextmanager
def trial(directory: Path, **settings: str) -> Iterator[Trial]:
    """Run an application on a PostgreSQL server of its own."""
    with postgres_server(**settings) as postgres:
        url = postgres.create()
        application(directory, ACTIONS, url)
        with serving(directory, directory=directory) as server:
            run = Trial(postgres, url, server, directory)
            try:
                yield run
            finally:
                if run._load is not None and run._load.poll() is None:
                    run.end()
