"""Load on several nodes, and the account of it: what was acknowledged, what it came to, and how often it was run."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

# Each attempt writes a line as it begins, in one system call: the task's number, and the process.
ACTIONS = """
from taskmill import current_task

def begun(number: int) -> None:
    with open(os.environ["BEGUN"], "a") as file:
        file.write(f"{number} {os.getpid()}\\n")

@action(inline=True, max_attempts=100, backoff="100ms")
def inline(number: int, seconds: float = 0) -> int:
    begun(number)
    return number * 2

@action(max_attempts=100, backoff="100ms")
async def loop(number: int, seconds: float = 0) -> int:
    begun(number)
    await asyncio.sleep(seconds)
    return number * 2

@action(max_attempts=100, backoff="100ms")
def isolated(number: int, seconds: float = 0) -> int:
    begun(number)
    time.sleep(seconds)
    return number * 2
"""
KINDS = ("inline", "loop", "isolated")


class Load:
    """Submits tasks at a rate, to whichever node ``urls`` names now; each until it is acknowledged, under one key."""

    def __init__(self, urls: Callable[[], Sequence[str]], rate: float, seconds: float = 0.02) -> None:
        self.acknowledged: dict[int, str] = {}
        self.submitted = 0
        self.longest_wait = 0.0  # for a 202
        self._urls = urls
        self._pause = 1 / rate
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Load:
        self._thread.start()
        return self

    def stop(self) -> None:
        """Submit no more; the last one is acknowledged, or given up."""
        self._stop.set()
        self._thread.join(60)

    def _run(self) -> None:
        number = 0
        while not self._stop.wait(self._pause):
            number += 1
            self.submitted += 1
            body = {
                "action": KINDS[number % len(KINDS)],
                "data": {"number": number, "seconds": self._seconds},
            }
            began = time.monotonic()
            while (id_ := self._submit(number, body)) is None and time.monotonic() - began < 50:
                time.sleep(0.05)  # between two attempts of a client
            if id_ is not None:
                self.acknowledged[number] = id_
                self.longest_wait = max(self.longest_wait, time.monotonic() - began)

    def _submit(self, number: int, body: dict[str, Any]) -> str | None:
        urls = self._urls()
        if not urls:
            return None
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"load-{number}"}
        url = urls[number % len(urls)]
        request = urllib.request.Request(f"{url}/tasks", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return str(json.load(answer)["id"]) if answer.status == 202 else None
        except (OSError, urllib.error.HTTPError, ValueError):
            return None


class Rows:
    """What stands in the tables."""

    def __init__(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            columns = "id, status, result, attempt, data, finished_at"
            found = connection.execute(f"SELECT {columns} FROM task".encode()).fetchall()
        self.tasks: dict[str, tuple[Any, ...]] = {str(UUID(bytes=bytes(row[0]))): row[1:] for row in found}

    @property
    def unfinished(self) -> int:
        """How many tasks have not ended."""
        return sum(row[0] not in (3, 4, 5) for row in self.tasks.values())


def account(load: Load, rows: Rows, begun: Path) -> dict[str, float]:
    """Compare what was acknowledged with what there is; print it, and return it. Raises where a task was lost."""
    lost = [number for number, id_ in load.acknowledged.items() if id_ not in rows.tasks]
    wrong = [
        (number, rows.tasks[id_])
        for number, id_ in load.acknowledged.items()
        if id_ in rows.tasks
        and (rows.tasks[id_][0] != 3 or json.loads(rows.tasks[id_][1]) != {"output": number * 2})
    ]
    numbers = Counter(json.loads(row[3])["number"] for row in rows.tasks.values())
    twice = [number for number, count in numbers.items() if count > 1]
    runs = Counter(int(line.split()[0]) for line in begun.read_text().splitlines())
    ends = sorted(row[4] for row in rows.tasks.values() if row[0] == 3)
    gaps = [after - before for before, after in pairwise(ends)]
    said = {
        "submitted": load.submitted,
        "acknowledged": len(load.acknowledged),
        "completed": sum(row[0] == 3 for row in rows.tasks.values()),
        "executed more than once": sum(count > 1 for count in runs.values()),
        "lost": len(lost),
        "longest gap between two ends (s)": max(gaps, default=0) / 1000,
        "longest wait for a 202 (s)": round(load.longest_wait, 3),
    }
    print(", ".join(f"{name}: {value}" for name, value in said.items()))
    assert not lost, "acknowledged tasks are gone"
    assert not wrong, "acknowledged tasks came to something else"
    assert not twice, "one key made two tasks"
    assert not set(load.acknowledged) - runs.keys(), "completed without a run"
    return said
