"""Where a task stands in line is read by indexes, up to a bound, and so are the ranks of those who take turns."""

from collections.abc import Iterator
from typing import Any

import apsw
import pytest
from task_table import filled, plan, work

from taskmill.tasks.rows import statements
from taskmill.tasks.view import line, why

INDEXES = {
    "ranked": (line.RANKED_AHEAD, "task_rank"),
    "plain": (line.PLAIN_AHEAD, "task_status"),
    "limited": (line.LIMITED_AHEAD, "task_limit"),
    "unended": (statements.UNENDED, "task_status"),
    "first of a turn": (statements.FIRST_RANK, "task_turn"),
    "last of a key": (statements.LAST_RANK, "task_fair"),
    "due in turn": (statements.DUE_IN_TURN, "task_due"),
}


@pytest.fixture(scope="module")
def connection() -> Iterator[apsw.Connection]:
    connection = filled()
    yield connection
    connection.close()


@pytest.mark.parametrize("name", INDEXES)
def test_a_query_uses_its_index(connection: apsw.Connection, name: str) -> None:
    statement, index = INDEXES[name]
    steps = plan(connection, statement)
    assert any(f"INDEX {index} (" in step for step in steps), steps
    assert not [step for step in steps if "SCAN task" in step or "FOR ORDER BY" in step], steps


@pytest.mark.parametrize("statement", [statements.FAIR_KEY, statements.PLACE, statements.LIMIT, why.THIS])
def test_a_task_is_found_by_its_key(connection: apsw.Connection, statement: Any) -> None:
    steps = plan(connection, statement)
    assert steps[0] == "SEARCH task USING PRIMARY KEY (id=?)"


@pytest.mark.parametrize("name", ["ranked", "plain", "limited", "first of a turn", "last of a key"])
def test_no_more_is_read_than_the_bound(connection: apsw.Connection, name: str) -> None:
    """The table has some hundred of each; the bound is ten, and a whole scan takes a thousand hundred steps."""
    assert work(connection, INDEXES[name][0]) <= 10
