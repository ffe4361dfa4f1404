"""What a task has behind it, in one query: the attempts that failed, and the steps that were taken.

Both are read together since most tasks have neither, and a second query would cost them as much as the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, bindparam, null, select, union_all

from taskmill.tasks.rows.schema import attempt, step


def of(which: Callable[[ColumnElement[bytes]], ColumnElement[bool]]) -> CompoundSelect[Any]:
    """Read the history of tasks, in no order: ``which`` says of a column that it has the id of one.

    Each row has the task's id, a number, when it began and when it ended, an attempt's error, and a step's name.
    """
    attempts = select(
        attempt.c.task_id,
        attempt.c.attempt,
        attempt.c.started_at,
        attempt.c.ended_at,
        attempt.c.error,
        null(),
    )
    steps = select(step.c.task_id, step.c.number, step.c.started_at, step.c.ended_at, null(), step.c.name)
    return union_all(attempts.where(which(attempt.c.task_id)), steps.where(which(step.c.task_id)))


# Of one task. Parameter: id.
HISTORY: CompoundSelect[Any] = of(lambda column: column == bindparam("id_"))
