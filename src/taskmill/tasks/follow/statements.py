"""The statements on tasks that wait for others to end."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Delete, Insert, Integer, LargeBinary, Select, bindparam, delete, insert, select

from taskmill.tasks.lifecycle import ENDED
from taskmill.tasks.rows.schema import follow, task
from taskmill.tasks.rows.statements import code

# A task waits no longer. Parameter: follower.
DROP: Delete = delete(follow).where(follow.c.follower == bindparam("follower_"))

# Tasks that wait, after an id. Parameters: id, limit.
WAITING: Select[Any] = (
    select(follow.c.follower)
    .where(follow.c.follower > bindparam("id_"))
    .distinct()
    .order_by(follow.c.follower)
    .limit(bindparam("limit_"))
)

# What a task waits for that has not ended. Parameters: id, limit.
LEFT: Select[Any] = (
    select(follow.c.task_id)
    .select_from(follow.join(task, task.c.id == follow.c.task_id))
    .where(follow.c.follower == bindparam("id_"), task.c.status.not_in([code(status) for status in ENDED]))
    .order_by(follow.c.task_id)
    .limit(bindparam("limit_"))
)


def _among(column: Any, count: int) -> Any:
    return column.in_([bindparam(f"key{number}_", LargeBinary) for number in range(count)])


@cache
def add(count: int) -> Insert:
    """Have a task wait for those of some others that there are. Parameters: keys, follower, anyhow."""
    others = select(
        task.c.id, bindparam("follower_", type_=LargeBinary), bindparam("anyhow_", type_=Integer)
    ).where(_among(task.c.id, count))
    return insert(follow).from_select(["task_id", "follower", "anyhow"], others)


@cache
def followers(count: int) -> Select[Any]:
    """Which tasks wait for one of some tasks. Parameters: keys."""
    return select(follow.c.follower).where(_among(follow.c.task_id, count)).distinct()


@cache
def states(count: int) -> Select[Any]:
    """What some tasks wait for, and where both are in their lives; NULL where a task has been pruned.

    Parameters: keys.
    """
    waiting, one = task.alias("waiting"), task.alias("one")
    return (
        select(
            follow.c.follower,
            waiting.c.status,
            waiting.c.run_at,
            follow.c.task_id,
            one.c.status,
            follow.c.anyhow,
        )
        .select_from(
            follow.outerjoin(waiting, waiting.c.id == follow.c.follower).outerjoin(
                one, one.c.id == follow.c.task_id
            )
        )
        .where(_among(follow.c.follower, count))
    )
