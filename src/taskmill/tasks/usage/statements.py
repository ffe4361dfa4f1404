"""The statements on usage."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    Delete,
    Insert,
    LargeBinary,
    Select,
    Update,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from taskmill.tasks.rows.schema import attempt, task
from taskmill.tasks.usage.schema import usage_day, usage_open

COUNTS = ("submitted", "completed", "failed", "cancelled", "milliseconds")

# Parameters: task_id, caller.
OPEN: Insert = insert(usage_open).values(task_id=bindparam("id_"), caller=bindparam("caller_"))

# Parameter: task_id. Who has deleted a row counts its task, and nobody else does.
CLOSE: Delete = delete(usage_open).where(usage_open.c.task_id == bindparam("id_"))

# What is open, in the order of ids. Parameters: id, limit.
OPEN_AFTER: Select[Any] = (
    select(usage_open.c.task_id, usage_open.c.caller)
    .where(usage_open.c.task_id > bindparam("id_"))
    .order_by(usage_open.c.task_id)
    .limit(bindparam("limit_"))
)

# Parameters: day, caller, counts.
ADD: Update = (
    update(usage_day)
    .values({name: usage_day.c[name] + bindparam(f"{name}_") for name in COUNTS})
    .where(usage_day.c.day == bindparam("day_"), usage_day.c.caller == bindparam("caller_"))
)

# Parameters: day, caller, counts.
BEGIN: Insert = insert(usage_day).values(
    day=bindparam("day_"), caller=bindparam("caller_"), **{name: bindparam(f"{name}_") for name in COUNTS}
)

# Parameter: day.
FORGET: Delete = delete(usage_day).where(usage_day.c.day < bindparam("day_"))

# Parameters: from and to (days), limit.
_DAYS: Select[Any] = (
    select(usage_day)
    .where(usage_day.c.day >= bindparam("from_"), usage_day.c.day <= bindparam("to_"))
    .order_by(usage_day.c.day.desc(), usage_day.c.caller)
    .limit(bindparam("limit_"))
)
ALL: Select[Any] = _DAYS

# Parameters: those of ALL, and caller.
OF_ONE: Select[Any] = _DAYS.where(usage_day.c.caller == bindparam("caller_"))


@cache
def ends(count: int) -> Select[Any]:
    """Where tasks are in their lives, when the last attempt began and ended, and its number. Parameters: keys."""
    return select(task.c.id, task.c.status, task.c.started_at, task.c.finished_at, task.c.attempt).where(
        task.c.id.in_([bindparam(f"key{number}_", LargeBinary) for number in range(count)])
    )


@cache
def spent(count: int) -> Select[Any]:
    """For how long the failed attempts of tasks ran, in milliseconds. Parameters: keys."""
    ran = func.sum(attempt.c.ended_at - attempt.c.started_at)
    return (
        select(attempt.c.task_id, ran)
        .where(
            attempt.c.task_id.in_([bindparam(f"key{number}_", LargeBinary) for number in range(count)]),
            attempt.c.started_at.is_not(None),
        )
        .group_by(attempt.c.task_id)
    )
