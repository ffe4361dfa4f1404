"""Applications for tests: the built-in one with other actions, and what a server process costs."""

from pathlib import Path

import psutil

from taskmill.application import BUILTIN

HEADER = (
    "import asyncio, os, signal, sys, threading, time\nfrom typing import Any\nfrom taskmill import action\n"
)


SQLITE_ENTRY = "kind: db.sql.sqlite\n    file: tasks.db\n"


def application(directory: Path, actions: str, database: str | None = None) -> Path:
    """Write an application with these actions into a directory, and return that.

    It keeps its tasks in a file, or in the ``database`` of this url.
    """
    directory.mkdir(parents=True, exist_ok=True)
    index = (BUILTIN / "_index.yaml").read_text()
    if database is not None:
        assert SQLITE_ENTRY in index
        kind = {"postgresql": "db.sql.postgres", "mysql": "db.sql.mysql"}[database.partition("://")[0]]
        index = index.replace(SQLITE_ENTRY, f'kind: {kind}\n    url: "{database}"\n')
    (directory / "_index.yaml").write_text(index)
    (directory / "actions.py").write_text(HEADER + actions)
    return directory


def memory(pid: int) -> int:
    """Return the resident bytes of a process."""
    return int(psutil.Process(pid).memory_info().rss)


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def descendants(pid: int) -> list[int]:
    """Return the ids of the processes below a process."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def alive(pids: list[int]) -> list[int]:
    """Return those of the processes that still run."""
    return [
        pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]
