"""Many rows in few statements: the same rows, in the same order."""

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.sql import sqlite_rows
from taskmill.sql.sqlite_rows import ROWS

ADD = "INSERT INTO t (a, b, c) VALUES (?, ?, 0)"


def table() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (a, b, c)")
    return connection


@given(st.integers(0, 3 * ROWS))
def test_every_row_is_there_once_and_in_order(count: int) -> None:
    connection = table()
    rows = [(number, f"text {number}") for number in range(count)]
    sqlite_rows.run(connection, ADD, rows)
    assert connection.execute("SELECT a, b, c FROM t ORDER BY rowid").fetchall() == [
        (*row, 0) for row in rows
    ]


def test_other_statements_run_for_each_row() -> None:
    connection = table()
    rows = [(number, "x") for number in range(2 * ROWS)]
    sqlite_rows.run(connection, ADD, rows)
    sqlite_rows.run(connection, "UPDATE t SET b = ? WHERE a = ?", [(str(row[0]), row[0]) for row in rows])
    assert connection.execute("SELECT count(*) FROM t WHERE b = CAST(a AS TEXT)").fetchall() == [(2 * ROWS,)]
    selected = "INSERT INTO t (a, b, c) SELECT ?, ?, 1 WHERE NOT EXISTS (SELECT 1 FROM t WHERE c = 1)"
    sqlite_rows.run(connection, selected, rows)
    assert connection.execute("SELECT count(*) FROM t WHERE c = 1").fetchall() == [(1,)]


def test_a_row_that_cannot_be_stored_is_an_error() -> None:
    connection = table()
    connection.execute("CREATE UNIQUE INDEX only ON t (a)")
    with pytest.raises(apsw.ConstraintError):
        sqlite_rows.run(connection, ADD, [(number % (ROWS - 1), "x") for number in range(2 * ROWS)])
