"""Every look at the tasks goes by an index, without sorting: constant at any size. Lists: test_task_listing."""

from collections.abc import Iterator
from typing import Any

import apsw
import pytest
from sqlalchemy import ClauseElement, select
from task_table import filled, plan, work

from taskmill.tasks.lifecycle import WAITING, Status
from taskmill.tasks.rows import statements, steps
from taskmill.tasks.rows.history import HISTORY
from taskmill.tasks.rows.schema import task
from taskmill.tasks.stepping import statements as stepping

INDEXES = {
    "plain": (statements.PLAIN, "task_status (status=? AND id>?)"),
    "ranked": (statements.RANKED, "task_rank (queue=? AND status=? AND rank>?)"),
    "limited": (statements.LIMITED, "task_limit (limit_key=? AND status=? AND rank>?)"),
    "starts": (statements.STARTS, "task_started (limit_key=? AND started_at>?)"),
    "running": (statements.RUNNING, "task_status (status=? AND id>?)"),
    "due": (statements.DUE, "task_due (status=? AND run_at"),
    "next due": (statements.NEXT_DUE, "task_due (status=?"),
    "expired": (statements.EXPIRED, "task_expiry (status=? AND expires_at>? AND expires_at<?)"),
    "next expiry, queued": (statements.NEXT_EXPIRY[0], "task_expiry (status=?"),
    "next expiry, scheduled": (statements.NEXT_EXPIRY[1], "task_expiry (status=?"),
    "last rank": (statements.LAST_RANK, "task_fair (queue=? AND fair_key=? AND priority=? AND status=?"),
    "same key": (statements.same(WAITING, within=False), "task_unique (action=? AND key=? AND status=?)"),
    "same key of late": (statements.same(WAITING, within=True), "task_key (key=? AND id>?)"),
}


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    connection = filled()
    yield connection
    connection.close()


@pytest.mark.parametrize("name", INDEXES)
def test_a_query_uses_its_index_and_sorts_nothing(connection: apsw.Connection, name: str) -> None:
    statement, index = INDEXES[name]
    found = plan(connection, statement)
    assert any(f"INDEX {index}" in step for step in found), found
    assert not [step for step in found if "SCAN task" in step or "TEMP B-TREE" in step], found


@pytest.mark.parametrize(
    "statement",
    [
        statements.ONE,
        statements.DATA,
        statements.STATE,
        statements.STATUS,
        statements.ATTEMPTS,
        statements.FOR_RETRY,
    ],
)
def test_a_task_is_found_by_its_key(connection: apsw.Connection, statement: Any) -> None:
    assert all("USING PRIMARY KEY" in step for step in plan(connection, statement))


STEPS = ("START", "COMPLETE", "FAIL", "RETRY", "RELEASE", "DUE", "EXPIRE", "CANCEL", "REDRIVE", "REPLACE")


@pytest.mark.parametrize("name", STEPS)
def test_a_step_finds_its_task_by_its_key(connection: apsw.Connection, name: str) -> None:
    assert plan(connection, getattr(steps, name)) == ["SEARCH task USING PRIMARY KEY (id=?)"]


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        (steps.RECORD, "task EXISTS"),
        (steps.FORGET, "attempt"),
        (stepping.KEEP, "task EXISTS"),
        (stepping.STEPS, "step"),
        (stepping.NAME, "step"),
        (statements.USED_KEY, "idempotency"),
        (statements.DROP_KEY, "idempotency"),
        (statements.RESUME, "pause"),
    ],
)
def test_what_belongs_to_a_task_is_found_by_its_key(
    connection: apsw.Connection, statement: Any, table: str
) -> None:
    (step,) = plan(connection, statement)
    assert step.startswith(f"SEARCH {table} USING PRIMARY KEY (")


def test_what_a_task_has_behind_it_is_found_by_its_key(connection: apsw.Connection) -> None:
    found = [line for line in plan(connection, HISTORY) if line.startswith(("SEARCH", "SCAN"))]
    assert found == [f"SEARCH {table} USING PRIMARY KEY (task_id=?)" for table in ("attempt", "step")]


def test_no_statement_scans_or_sorts(connection: apsw.Connection) -> None:
    """Also of those that are added later. The few rows of paused queues are all read at the start."""
    seen = 0
    for module in (statements, steps):
        for name, statement in vars(module).items():
            if name.isupper() and isinstance(statement, ClauseElement) and statement is not statements.PAUSED:
                seen += 1
                found = plan(connection, statement)
                assert not [step for step in found if "SCAN" in step or "TEMP B-TREE" in step], (name, found)
    assert seen > 30


@pytest.mark.parametrize("name", INDEXES)
def test_a_read_costs_by_what_it_returns_and_not_by_what_there_is(
    connection: apsw.Connection, name: str
) -> None:
    """Ten rows at most, of a table of thousands: a scan of one state alone takes some seventy hundred steps."""
    assert work(connection, INDEXES[name][0]) <= 5
    assert work(connection, select(task).where(task.c.queue == "none")) > 100


def test_a_key_that_was_used_ten_thousand_times_is_found_as_quickly(connection: apsw.Connection) -> None:
    with connection:
        connection.execute(
            "INSERT INTO task (id, action, queue, data, status, attempt, max_attempts, created_at, key) "
            "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < 10000) "
            "SELECT randomblob(16), 'action-1', 'tasks', '{}', 3, 1, 1, 0, 'key-7' FROM number"
        )
    for states in (WAITING, (*WAITING, Status.RUNNING)):
        for within in (False, True):
            assert work(connection, statements.same(states, within=within)) <= 2
