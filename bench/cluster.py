"""Taskmill on a database server: the application of bench/app with other entries, on as many nodes as wanted."""

import time
from collections.abc import Sequence
from contextlib import closing

import psycopg

from bench.servers import Target, free_port, wait_until
from bench.subject import APP, COMMAND
from taskmill.tasks.lifecycle import Status

SQLITE = "kind: db.sql.sqlite\n    file: tasks.db"
MEMORY = "kind: queue.driver.memory\n    max_length: 10000"
MANY = ("-o", "app:task_consumer:concurrency=10", "-o", "app:task_consumer:prefetch=100")
TIMEOUT = 300.0


class Cluster(Target):
    """One node that takes tasks in, and runs them, or `workers` others that run them.

    `driver` are the lines of the queue driver's entry, None for the memory of the one node.
    """

    def __init__(
        self, name: str, url: str, driver: str | None, workers: int = 0, options: Sequence[str] = MANY
    ) -> None:
        super().__init__()
        self.name = name
        self.url = url
        self._driver = driver
        self._workers = workers
        self._options = options

    def start(self) -> None:
        app = self.directory / "app"
        app.mkdir()
        index = (APP / "_index.yaml").read_text()
        index = index.replace(SQLITE, "kind: db.sql.postgres\n    url: ${env:BENCH_POSTGRES}")
        if self._driver is not None:
            index = index.replace(MEMORY, self._driver)
        (app / "_index.yaml").write_text(index)
        (app / "actions.py").write_text((APP / "actions.py").read_text())
        self._run(str(app), self.port, ["--only", "http"] if self._workers else [])
        for _ in range(self._workers):
            self._run(str(app), free_port(), ["--only", "workers"])

    def _run(self, app: str, port: int, options: Sequence[str]) -> None:
        data = self.directory / f"data-{port}"
        data.mkdir()
        command = [*COMMAND, app, "--addr", f"127.0.0.1:{port}", "--data", str(data)]
        self.spawn([*command, *options, *self._options], port, {"BENCH_POSTGRES": self.url})

    def settled(self) -> bool:
        return self.count(Status.QUEUED, Status.RUNNING) == 0

    def completed(self) -> int:
        return self.count(Status.COMPLETED)

    def count(self, *states: Status) -> int:
        """Count tasks in some states by their rows."""
        with closing(psycopg.connect(self.url)) as connection:
            query = "SELECT count(*) FROM task WHERE status = ANY(%s)"
            row = connection.execute(query, [[status.value for status in states]]).fetchone()
        return 0 if row is None else int(row[0])

    def pace(self, seconds: float) -> float:
        """Return how many tasks are completed in a second, of a backlog that lasts as long."""
        began, before = time.monotonic(), self.completed()
        wait_until(lambda: time.monotonic() >= began + seconds or self.settled(), TIMEOUT, self.name, 0.2)
        return (self.completed() - before) / (time.monotonic() - began)

    def fill(self, rows: int) -> None:
        """Add completed tasks of the last hour, as if they had been run."""
        statement = """
            INSERT INTO task (id, action, queue, data, status, attempt, max_attempts, created_at, started_at,
                              finished_at, result, rank)
            SELECT decode(lpad(to_hex(at), 12, '0') || '7000' || lpad(to_hex(n), 16, '8'), 'hex'), 'noop_async',
                   'tasks', '{"text":"hello world"}', %(status)s, 1, 3, at, at, at, '{"output":"HELLO WORLD"}', at
            FROM (SELECT n, (extract(epoch FROM now()) * 1000)::bigint - 3600000 + n * 3000000 / %(rows)s AS at
                  FROM generate_series(1, %(rows)s::bigint) AS n) AS made
        """
        with closing(psycopg.connect(self.url, autocommit=True)) as connection:
            connection.execute(statement, {"rows": rows, "status": Status.COMPLETED.value})
            connection.execute("VACUUM ANALYZE task")
