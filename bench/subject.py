"""Taskmill itself as a target: the real command, a directory of its own, an SQLite file on disk."""

import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bench.client import Client
from bench.servers import Target
from taskmill.tasks.lifecycle import Status

COMMAND = (str(Path(sys.executable).with_name("taskmill")), "run")
APP = Path(__file__).with_name("app")
CONSTANT_APP = Path(__file__).with_name("constant_app")
UNFINISHED = ("queued", "running")


class Taskmill(Target):
    """`taskmill run`, by default with the application in bench/app."""

    def __init__(self, name: str = "Taskmill", app: Path | None = APP, options: Sequence[str] = ()) -> None:
        super().__init__()
        self.name = name
        self._arguments = [*([str(app)] if app else []), *options]
        self.rows: dict[str, int] = {}

    def start(self) -> None:
        (self.directory / "data").mkdir()
        self.serve()

    def serve(self) -> None:
        """Start the server over what its directory holds."""
        data = self.directory / "data"
        addr = f"127.0.0.1:{self.port}"
        self.spawn([*COMMAND, *self._arguments, "--addr", addr, "--data", str(data)], self.port)

    def settled(self) -> bool:
        with Client(self.port) as client:
            return not any(client.get(f"/tasks?status={status}&limit=1")[1]["count"] for status in UNFINISHED)

    def after_stop(self) -> None:
        self.rows = count_rows(self.directory / "data")

    def completed(self) -> int | None:
        completed = self.rows.get(Status.COMPLETED.word, 0)
        if completed != sum(self.rows.values()):
            raise RuntimeError(f"{self.name}: not every stored task was completed: {self.rows}")
        return completed


class ConstantDirect(Taskmill):
    """Taskmill's HTTP server with a direct handler that answers a constant 202."""

    def __init__(self) -> None:
        super().__init__("constant, direct", CONSTANT_APP)

    def settled(self) -> bool:
        return True

    def completed(self) -> None:
        return None


def count_rows(data: Path) -> dict[str, int]:
    """Count tasks by status, straight from the file of a server that has stopped."""
    for file in sorted(data.glob("*.db")):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
            counts = connection.execute("SELECT status, count(*) FROM task GROUP BY status")
            return {Status(status).word: count for status, count in counts}
    return {}
