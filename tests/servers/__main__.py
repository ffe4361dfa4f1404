"""Start every server there is for this project, and write applications that use them: `make servers`.

They run until Ctrl-C, on free ports of the loopback. What is not installed is left out, and said.
"""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from servers.mariadb import mariadb_server
from servers.nats import NatsServer
from servers.postgres import postgres_server
from servers.rabbitmq import RabbitServer
from servers.server import ServerProcess
from servers.valkey import ValkeyServer
from taskmill.application import BUILTIN

SQLITE = "kind: db.sql.sqlite\n    file: tasks.db"
MEMORY = "kind: queue.driver.memory\n    max_length: 10000"
APPLICATIONS = Path("data/servers")


@contextmanager
def running(server: ServerProcess) -> Iterator[ServerProcess]:
    """Run a server."""
    server.start()
    try:
        yield server
    finally:
        server.kill()


def entries(stack: ExitStack, directory: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Start what there is; return the lines of database and of driver entries, by name."""
    databases: dict[str, str] = {}
    drivers = {"memory": MEMORY}
    starts = {
        "postgres": lambda: stack.enter_context(postgres_server()).create(),
        "mysql": lambda: stack.enter_context(mariadb_server()).create(),
        "nats": lambda: stack.enter_context(running(NatsServer(directory / "nats"))).url,
        "redis": lambda: stack.enter_context(running(ValkeyServer(directory / "valkey"))).url,
        "amqp": lambda: stack.enter_context(running(RabbitServer(directory / "rabbitmq"))).url,
    }
    for name, start in starts.items():
        try:
            url = start()
        except pytest.skip.Exception as missing:
            print(f"{name}: left out: {missing}")
            continue
        print(f"{name}: {url}")
        if name in ("postgres", "mysql"):
            databases[name] = f'kind: db.sql.{name}\n    url: "{url}"'
        else:
            drivers[name] = f'kind: queue.driver.{name}\n    url: "{url}"'
    if "postgres" in databases:
        drivers["postgres"] = "kind: queue.driver.postgres\n    database: db"
    return databases, drivers


def write(databases: dict[str, str], drivers: dict[str, str]) -> list[Path]:
    """Write the built-in application with each database and driver; return where they are."""
    shutil.rmtree(APPLICATIONS, ignore_errors=True)
    index = (BUILTIN / "_index.yaml").read_text()
    written = []
    for database, its_lines in databases.items():
        for driver, lines in drivers.items():
            if driver == "postgres" and database != "postgres":
                continue
            directory = APPLICATIONS / f"{database}-{driver}"
            directory.mkdir(parents=True)
            (directory / "_index.yaml").write_text(index.replace(SQLITE, its_lines).replace(MEMORY, lines))
            (directory / "actions.py").write_text((BUILTIN / "actions.py").read_text())
            written.append(directory)
    return written


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="taskmill-servers-") as directory, ExitStack() as stack:
        applications = write(*entries(stack, Path(directory)))
        print("\nA node, and as many more as you like, each in a shell of its own:\n")
        for path in applications:
            print(f"  .venv/bin/taskmill run {path} --addr 127.0.0.1:8080")
        print(
            "\n  … --only workers --addr 127.0.0.1:8081      one that only works\n\nCtrl-C ends the servers.",
            flush=True,
        )
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main()
