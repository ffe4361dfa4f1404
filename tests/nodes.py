"""Several nodes for tests: real `taskmill run` processes over one PostgreSQL, and what they say of one another."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from apps import HEADER, descendants
from support import Server

from taskmill.application import BUILTIN

MEMORY = "  - name: queue_driver\n    kind: queue.driver.memory\n    max_length: 10000\n"
POSTGRES = "  - name: queue_driver\n    kind: queue.driver.postgres\n    database: db\n"


def nats(url: str) -> str:
    """Return the entry of a driver on a NATS server."""
    return f"  - name: queue_driver\n    kind: queue.driver.nats\n    url: {url}\n"


def application(directory: Path, database: str, driver: str, actions: str) -> Path:
    """Write the built-in application, with these actions, over a database and on a driver, into a directory."""
    text = (BUILTIN / "_index.yaml").read_text()
    sqlite = "    kind: db.sql.sqlite\n    file: tasks.db\n"
    for old in (sqlite, MEMORY):
        assert old in text, "the built-in application has changed"
    kind = "db.sql.mysql" if database.startswith("mysql:") else "db.sql.postgres"
    text = text.replace(sqlite, f'    kind: {kind}\n    url: "{database}"\n').replace(MEMORY, driver)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "_index.yaml").write_text(text)
    (directory / "actions.py").write_text(HEADER + actions)
    return directory


class Cluster:
    """One database, one application, and the nodes that were started."""

    def __init__(self, directory: Path, database: str, application_: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.database = database  # its url
        self.application = application_
        self.nodes: list[Server] = []
        self._stack = stack

    def start(
        self, *options: str, env: dict[str, str] | None = None, application_: Path | None = None
    ) -> Server:
        """Start one more node, and wait until it listens."""
        return self.begin(*options, env=env, application_=application_).wait_ready(30)

    def begin(
        self, *options: str, env: dict[str, str] | None = None, application_: Path | None = None
    ) -> Server:
        """Start one more node."""
        data = self.directory / f"node-{len(self.nodes)}"
        data.mkdir()
        arguments = [
            "--addr",
            "127.0.0.1:0",
            "--data",
            str(data),
            *options,
            str(application_ or self.application),
        ]
        node = Server(arguments, self.directory, env)
        self._stack.callback(_end, node)
        self.nodes.append(node)
        return node

    def text(self) -> str:
        """What all nodes have printed."""
        return "\n\n".join(f"--- node {number}\n{node.text()}" for number, node in enumerate(self.nodes))


@contextmanager
def cluster(directory: Path, database: str, driver: str, actions: str) -> Iterator[Cluster]:
    """Make an application for several nodes; whatever has been started is killed in the end."""
    with ExitStack() as stack:
        yield Cluster(directory, database, application(directory / "app", database, driver, actions), stack)


def known(node: Server) -> dict[str, dict[str, Any]]:
    """Return what a node says of all: by the process id."""
    nodes = node.get("/nodes").json()["nodes"]
    return {one["name"].rpartition(":")[2]: one for one in nodes}


def of(node: Server, asked: Server) -> dict[str, Any] | None:
    """Return what one node says of another, or None."""
    return known(asked).get(str(node.process.pid))


def leader(asked: Server, among: Sequence[Server]) -> Server | None:
    """Return which of the nodes leads, as one of them says."""
    said = known(asked)
    for node in among:
        if said.get(str(node.process.pid), {}).get("leader"):
            return node
    return None


def freeze(node: Server) -> None:
    """Stop a node and all that it has started, as a machine that hangs."""
    _signal(node, signal.SIGSTOP)


def thaw(node: Server) -> None:
    """Let it go on."""
    _signal(node, signal.SIGCONT)


def _signal(node: Server, number: int) -> None:
    for pid in (node.process.pid, *descendants(node.process.pid)):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def _end(node: Server) -> None:
    if node.process.poll() is None:
        thaw(node)
    node.close()
