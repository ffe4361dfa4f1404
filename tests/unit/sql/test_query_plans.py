"""Every look at the tasks goes by an index, without sorting: constant at any size. Lists: test_task_listing."""

from collections.abc import Iterator
from typing import Any

import apsw
import pytest
from task_table import filled, plan

from taskmill.tasks import statements, steps
from taskmill.tasks.lifecycle import WAITING

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
    "same key": (statements.same(WAITING, within=False), "task_key (key=?)"),
    "same key of late": (statements.same(WAITING, within=True), "task_key (key=?)"),
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


@pytest.mark.parametrize(
    "name",
    ["START", "COMPLETE", "FAIL", "RETRY", "RELEASE", "DUE", "EXPIRE", "CANCEL", "REDRIVE", "REPLACE"],
)
def test_a_step_finds_its_task_by_its_key(connection: apsw.Connection, name: str) -> None:
    assert plan(connection, getattr(steps, name)) == ["SEARCH task USING PRIMARY KEY (id=?)"]
