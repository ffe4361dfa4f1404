"""A table of tasks as it is after a while in use, and how SQLite goes about a statement on it."""

from typing import Any

import apsw
from sqlalchemy import ClauseElement
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.rows import schema
from taskmill.tasks.rows.statements import FULL

ROWS = 6_000
NOW = 1_000_000  # milliseconds
PLAIN_ROW = "INSERT INTO task (id, action, queue, data, status, attempt, max_attempts, created_at, started_at, finished_at) VALUES (?, ?, 'tasks', '{}', ?, 1, 3, ?, 0, ?)"  # noqa: E501
RANKED_ROW = f"INSERT INTO task ({', '.join(FULL)}, attempt) VALUES ({', '.join('?' * len(FULL))}, 0)"


def key(number: int) -> bytes:
    """Return the id of a row."""
    return number.to_bytes(16, "big")


def filled() -> apsw.Connection:
    """Make a table of all sorts of tasks: two of three are plain, and most have ended."""
    connection = apsw.Connection(":memory:")
    for migration in schema.MIGRATIONS:
        connection.execute(migration.sql["sqlite"])
    with connection:
        for number in range(ROWS):
            if number % 3:
                status = Status(number % 11 % 6)
                ended = NOW if status in ENDED else None
                connection.execute(
                    PLAIN_ROW, (key(number), f"action-{number % 5}", status.value, number, ended)
                )
            else:
                connection.execute(RANKED_ROW, _ranked(number))
        connection.execute(
            "UPDATE task SET started_at = created_at WHERE status >= 2 AND limit_key IS NOT NULL"
        )
        for number in range(0, ROWS, 10):
            connection.execute("INSERT INTO attempt VALUES (?, 1, 0, 1, '{}')", (key(number),))
            connection.execute(
                "INSERT INTO idempotency VALUES (?, ?, ?, ?)", (f"k{number}", key(0), key(number), number)
            )
    return connection


def _ranked(number: int) -> tuple[Any, ...]:
    status = Status(number // 3 % 11 % 6)
    return (
        key(number), f"action-{number % 5}", f"queue-{number % 2}", "{}", status.value, 3, number,
        number // 2, number % 10, number if status is Status.SCHEDULED else None,
        number if number % 4 == 0 else None, None, f"key-{number % 700}" if number % 7 == 0 else None,
        f"tenant-{number % 20}" if number % 5 == 0 else None, f"limit-{number % 12}" if number % 2 else None,
        None, None, None, None, None, None, None,
    )  # fmt: skip


VALUES = {
    "status_": Status.COMPLETED.value, "action_": "action-1", "cursor_": key(4_000), "limit_": 10, "id_": key(100),
    "queue_": "queue-1", "rank_": 50, "limit_key_": "limit-3", "since_": 20, "now_": 300, "key_": "key-7",
    "fair_key_": "tenant-5", "priority_": 5, "task_id_": key(100), "first_": b"\xff" * 16,
}  # fmt: skip


def compiled(statement: ClauseElement) -> tuple[str, list[Any]]:
    """Write a statement as SQL, with a value for each parameter: NULL where none stands above."""
    made = statement.compile(
        dialect=sqlite.dialect(paramstyle="qmark"), compile_kwargs={"render_postcompile": True}
    )
    assert isinstance(made, SQLCompiler)
    values = {**made.params, **VALUES}
    return str(made), [values.get(name) for name in made.positiontup or ()]


def plan(connection: apsw.Connection, statement: ClauseElement) -> list[str]:
    """Return what SQLite says it would do."""
    sql, values = compiled(statement)
    return [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + sql, values)]


def work(connection: apsw.Connection, statement: ClauseElement) -> int:
    """Return how many virtual-machine steps of SQLite a query takes, in hundreds."""
    count = 0

    def tick() -> bool:
        nonlocal count
        count += 1
        return False

    connection.set_progress_handler(tick, 100)
    try:
        sql, values = compiled(statement)
        connection.execute(sql, values).fetchall()
    finally:
        connection.set_progress_handler(None)
    return count
