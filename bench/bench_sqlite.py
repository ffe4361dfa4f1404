"""Which SQLite driver: Python's `sqlite3` or APSW? Batches of inserts and finishes, as the writer makes them.

    .venv/bin/python -m bench.bench_sqlite

Each batch is one durable transaction: the rows of one are inserted, those of the one before are finished.
"""

import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
from sqlalchemy.dialects import sqlite

from taskmill.tasks.ids import IdSource
from taskmill.tasks.rows import schema, statements, steps

TASKS = 32_000
BATCHES = (1, 32, 64, 256)
PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "wal_autocheckpoint=0")
DIALECT = sqlite.dialect(paramstyle="qmark")

Many = Callable[[str, list[Any]], object]


def _sql(statement: Any) -> str:
    return str(statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True}))


ADD, FINISH = _sql(statements.ADD), _sql(steps.OWN.complete)


@contextmanager
def with_sqlite3(path: Path) -> Iterator[tuple[Callable[[str], object], Many]]:
    connection = sqlite3.connect(path, isolation_level=None)
    yield connection.execute, connection.executemany
    connection.close()


@contextmanager
def with_apsw(path: Path) -> Iterator[tuple[Callable[[str], object], Many]]:
    connection = apsw.Connection(str(path))
    yield lambda sql: connection.execute(sql).fetchall(), connection.executemany
    connection.close()


def measure(driver: Any, batch: int) -> tuple[float, float]:
    """Return microseconds of CPU and of wall time a task."""
    ids = IdSource()
    count = min(TASKS, batch * 500)
    rows = [
        (ids.next(), "uppercase", "tasks", '{"text":"hello world"}', 3, 1700000000000) for _ in range(count)
    ]
    ends = [(1, 1700000000001, 1700000000002, '{"output":"HELLO WORLD"}', row[0], 1) for row in rows]
    with tempfile.TemporaryDirectory() as directory, driver(Path(directory) / "tasks.db") as (run, many):
        for pragma in PRAGMAS:
            run(f"PRAGMA {pragma}")
        for migration in schema.MIGRATIONS:
            for sql in filter(str.strip, migration.sql["sqlite"].split(";")):
                run(sql)
        wall, cpu = time.perf_counter(), time.process_time()
        for start in range(0, count, batch):
            run("BEGIN IMMEDIATE")
            many(ADD, rows[start : start + batch])
            if start:
                many(FINISH, ends[start - batch : start])
            run("COMMIT")
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu / count * 1e6, wall / count * 1e6


def main() -> None:
    print(
        f"sqlite3 with SQLite {sqlite3.sqlite_version}, apsw with SQLite {apsw.sqlite_lib_version()}; us a task"
    )
    print(
        f"{'batch':>6}  {'sqlite3 CPU':>11}  {'apsw CPU':>8}  {'ratio':>5}  {'sqlite3 wall':>12}  {'apsw wall':>9}"
    )
    for batch in BATCHES:
        (cpu, wall), (apsw_cpu, apsw_wall) = measure(with_sqlite3, batch), measure(with_apsw, batch)
        print(
            f"{batch:6}  {cpu:11.1f}  {apsw_cpu:8.1f}  {cpu / apsw_cpu:5.2f}  {wall:12.1f}  {apsw_wall:9.1f}"
        )


if __name__ == "__main__":
    main()
