"""The statements of those who wait: which tasks have ended, and tasks as they are, many at once.

Made for some numbers of tasks alone, as those of :mod:`taskmill.tasks.rows.sharing`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, Select, bindparam, select

from taskmill.tasks.lifecycle import ENDED
from taskmill.tasks.rows.schema import attempt, task
from taskmill.tasks.rows.statements import code


@cache
def ended(count: int) -> Select[Any]:
    """Return those of some tasks that have ended. Parameters: keys."""
    return select(task.c.id).where(_among(task.c.id, count), task.c.status.in_(list(map(code, ENDED))))


@cache
def whole(count: int) -> Select[Any]:
    """Return some tasks as they are. Parameters: keys."""
    return select(task).where(_among(task.c.id, count))


@cache
def attempts(count: int) -> Select[Any]:
    """Return the failed attempts of some tasks, each after its task's id, in their order. Parameters: keys."""
    columns = (
        attempt.c.task_id,
        attempt.c.attempt,
        attempt.c.started_at,
        attempt.c.ended_at,
        attempt.c.error,
    )
    return (
        select(*columns)
        .where(_among(attempt.c.task_id, count))
        .order_by(attempt.c.task_id, attempt.c.attempt)
    )


def _among(column: ColumnElement[bytes], count: int) -> ColumnElement[bool]:
    return column.in_([bindparam(f"key{number}_", LargeBinary) for number in range(count)])
