"""Many rows as one statement of MySQL."""

from typing import Any

import pytest
from sqlalchemy import Insert, Update
from sqlalchemy.sql import visitors

from taskmill.sql import mysql_batch
from taskmill.sql.mysql_batch import batch_of, compiled
from taskmill.tasks.control import dead_letter
from taskmill.tasks.rows import statements, steps
from taskmill.tasks.schedules import statements as schedules


def sql_of(statement: Any, rows: list[tuple[Any, ...]]) -> list[tuple[str, list[Any]]]:
    return [(" ".join(sql.split()), list(values)) for sql, values in batch_of(statement).statements(rows)]


def test_inserts_have_many_values() -> None:
    rows = [(b"1", "a", "q", "{}", 3, 5, 1), (b"2", "b", "q", "{}", 3, 6, None)]
    ((sql, values),) = sql_of(statements.ADD, rows)
    assert sql.endswith("VALUES (%s, %s, %s, %s, 0, 0, %s, %s, %s), (%s, %s, %s, %s, 0, 0, %s, %s, %s)")
    assert values == [*rows[0], *rows[1]]


def test_updates_are_joined_with_their_rows_which_come_first() -> None:
    rows = [(1, 10, b"1", 0), (2, 20, b"2", 1)]
    ((sql, values),) = sql_of(steps.START, rows)
    assert sql.startswith(
        "UPDATE (SELECT %s AS attempt_, %s AS started_at_, %s AS id_, %s AS before_ "
        "UNION ALL SELECT %s, %s, %s, %s) AS rows_ STRAIGHT_JOIN task SET task.status=2, "
    )
    assert "WHERE task.id = rows_.id_ AND " in sql
    assert values == [*rows[0], *rows[1]]


def test_one_row_is_the_statement_itself() -> None:
    row = (1, 10, b"1", 0)
    ((sql, values),) = sql_of(steps.START, [row])
    assert sql == " ".join(str(compiled(steps.START)).split())
    assert values == [*row]


def test_a_value_that_stands_in_two_places_is_given_once() -> None:
    rows = [(1, 10, 11, "r", b"1", 1), (1, 10, 11, "r", b"2", 1)]
    ((sql, values),) = sql_of(steps.COMPLETE, rows)
    assert values == [1, 10, 11, "r", b"1", 1, 10, 11, "r", b"2"]
    assert sql.count("rows_.attempt_") == 2


def test_constants_stand_where_they_belong() -> None:
    ((sql, values),) = sql_of(dead_letter._note(["x", "y"]), [(b"1", 5, "x", "y"), (b"2", 6, "x", "y")])
    assert values == [b"1", 5, b"2", 6, "x", "y"]
    assert sql.endswith("(task.queue = %s OR task.queue = %s)")


def test_a_task_that_changes_twice_does_so_in_two_statements_in_order() -> None:
    rows = [(1, 10, b"1", 0), (1, 10, b"2", 0), (2, 20, b"1", 1), (3, 30, b"1", 2)]
    found = sql_of(steps.START, rows)
    assert [values for _, values in found] == [[*rows[0], *rows[1]], [*rows[2]], [*rows[3]]]


def test_long_rows_and_many_rows_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mysql_batch, "LENGTH", 100)
    monkeypatch.setattr(mysql_batch, "ROWS", 3)
    rows = [
        (b"%d" % n, "a", "q", "x" * length, 3, 1, 1) for n, length in enumerate([10, 200, 50, 50, 1, 1, 1, 1])
    ]
    taken = [len(values) // 7 for _, values in sql_of(statements.ADD, rows)]
    assert taken == [1, 1, 1, 3, 2]


EVERY: list[Any] = [
    value
    for module in (statements, steps, schedules)
    for value in vars(module).values()
    if isinstance(value, Update)
]


@pytest.mark.parametrize("statement", EVERY)
def test_no_change_reads_what_it_has_changed_itself(statement: Update) -> None:
    """MySQL assigns from left to right, and others all at once."""
    values: dict[Any, Any] = dict(statement._values or {})
    changed = {getattr(column, "key", column) for column in values}
    for column, value in values.items():
        own = getattr(column, "key", column)
        parts: list[Any] = list(visitors.iterate(value)) if hasattr(value, "__visit_name__") else []
        read = {part.key for part in parts if getattr(part, "table", None) is statement.table}
        assert not (read - {own}) & changed, f"{own} is made of {read}"


def test_there_are_such_statements() -> None:
    assert len(EVERY) > 10
    assert not [statement for statement in EVERY if isinstance(statement, Insert)]
