"""Every list and every look of the dispatcher goes by an index, without sorting: constant at any size."""

import itertools
from collections.abc import Iterator
from typing import Any

import apsw
import pytest
from sqlalchemy import Select, Update, select
from sqlalchemy.dialects import sqlite

from taskmill.tasks import statements
from taskmill.tasks.model import Status

ROWS = 5_000


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    """A table with rows of every status and three actions, as the planner would find it."""
    connection = apsw.Connection(":memory:")
    for migration in statements.MIGRATIONS:
        connection.execute(migration.sql)
    statuses = [status.value for status in Status]
    with connection:
        connection.executemany(
            "INSERT INTO task VALUES (?, ?, 'tasks', '{}', ?, 1, 1, 0, 0, 0, NULL, NULL)",
            [
                (number.to_bytes(16, "big"), f"action-{number % 3}", statuses[number % 7 % len(statuses)])
                for number in range(ROWS)
            ],
        )
    yield connection
    connection.close()


VALUES = {
    "status_": Status.COMPLETED.value, "action_": "action-1", "cursor_": (4_000).to_bytes(16, "big"), "limit_": 10,
    "id_": (100).to_bytes(16, "big"),
}  # fmt: skip


def _sql(statement: Select[Any] | Update) -> tuple[str, list[Any]]:
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
    return str(compiled), [{**compiled.params, **VALUES}[name] for name in compiled.positiontup or ()]


def _plan(connection: apsw.Connection, statement: Select[Any] | Update) -> list[str]:
    sql, values = _sql(statement)
    return [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + sql, values)]


def _steps(connection: apsw.Connection, statement: Select[Any]) -> int:
    """Return how many virtual-machine steps of SQLite the query takes, in hundreds."""
    count = 0

    def tick() -> bool:
        nonlocal count
        count += 1
        return False

    connection.set_progress_handler(tick, 100)
    try:
        sql, values = _sql(statement)
        connection.execute(sql, values).fetchall()
    finally:
        connection.set_progress_handler(None)
    return count


PAGES = {
    "+".join(name for name, used in zip(("status", "action", "cursor"), filters, strict=True) if used) or "all":
        statements.page(status=filters[0], action=filters[1], cursor=filters[2])
    for filters in itertools.product((False, True), repeat=3)
}  # fmt: skip
QUERIES = {
    **PAGES, "one": statements.ONE, "newest": statements.NEWEST_ID, "dispatchable": statements.DISPATCHABLE,
}  # fmt: skip


MERGED = ("action", "action+cursor")


def _check_merged(plan: list[str]) -> None:
    """One page for each status, each cut off by the index's own order; what is then sorted is those few rows."""
    searches = [step for step in plan if "task" in step]
    assert len(searches) == len(Status)
    for step in searches:
        assert step.startswith("SEARCH task USING INDEX task_action (action=? AND status=?"), plan
    # A search that had to sort before its limit would show a sort within its co-routine.
    for step, following in itertools.pairwise(plan):
        assert not (step.startswith("SEARCH") and "TEMP B-TREE" in following), plan


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_uses_an_index_and_sorts_nothing(connection: apsw.Connection, name: str) -> None:
    plan = _plan(connection, QUERIES[name])
    if name in MERGED:
        _check_merged(plan)
        return
    assert not [step for step in plan if "TEMP B-TREE" in step], plan
    if name in ("all", "newest"):  # walks the table from its newest end, as far as the limit
        assert all(step.startswith(("SCAN task", "SEARCH task")) for step in plan), plan
    else:
        assert all(step.startswith("SEARCH task") for step in plan), plan


@pytest.mark.parametrize("name", PAGES)
def test_a_page_costs_the_same_wherever_it_lies(connection: apsw.Connection, name: str) -> None:
    """A page of 10 takes some hundred steps, or, merged of four, some hundred for each; a whole scan far more."""
    assert _steps(connection, PAGES[name]) <= (40 if name in MERGED else 10)
    assert _steps(connection, select(statements.task).where(statements.task.c.queue == "none")) > 100


@pytest.mark.parametrize("statement", [statements.START, statements.RELEASE, statements.FINISH])
def test_a_change_of_a_task_finds_it_by_its_key(connection: apsw.Connection, statement: Update) -> None:
    compiled = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
    plan = [
        row[3]
        for row in connection.execute(
            "EXPLAIN QUERY PLAN " + str(compiled), [None] * len(compiled.positiontup or ())
        )
    ]
    assert plan == ["SEARCH task USING PRIMARY KEY (id=?)"]
