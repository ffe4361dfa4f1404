"""Every statement on tasks, once, in SQLAlchemy Core: each database compiles them to its own dialect.

The steps of a task's life stand in :mod:`taskmill.tasks.rows.steps`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    Delete,
    Insert,
    Select,
    Update,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    select,
    update,
)

from taskmill.tasks.lifecycle import WAITING, Status
from taskmill.tasks.rows.schema import attempt, idempotency, pause, task


def code(status: Status) -> Any:
    """Write a status as a constant, so that the planner may use a partial index."""
    return literal_column(str(status.value))


# A plain task. Parameters: id, action, queue, data, max_attempts, created_at, version.
ADD: Insert = insert(task).values(
    id=bindparam("id_"),
    action=bindparam("action_"),
    queue=bindparam("queue_"),
    data=bindparam("data_"),
    status=code(Status.QUEUED),
    attempt=literal_column("0"),
    max_attempts=bindparam("max_attempts_"),
    created_at=bindparam("created_at_"),
    version=bindparam("version_"),
)

# The same, with the trace that it is part of, the last parameter.
ADD_TRACED: Insert = ADD.values(trace=bindparam("trace_"))

# Any other task. Parameters: all of FULL, in this order.
FULL = (
    "id", "action", "queue", "data", "status", "max_attempts", "created_at", "rank", "priority",
    "run_at", "expires_at", "timeout", "key", "fair_key", "limit_key", "tags", "held", "version", "after", "batch",
    "name", "trace",
)  # fmt: skip
ADD_FULL: Insert = insert(task).values(
    attempt=literal_column("0"), **{name: bindparam(f"{name}_") for name in FULL}
)

ONE: Select[Any] = select(task).where(task.c.id == bindparam("id_"))

DATA: Select[Any] = select(task.c.data).where(task.c.id == bindparam("id_"))

ATTEMPTS: Select[Any] = (
    select(attempt.c.attempt, attempt.c.started_at, attempt.c.ended_at, attempt.c.error)
    .where(attempt.c.task_id == bindparam("id_"))
    .order_by(attempt.c.attempt)
)

# The greatest id after an id. Parameter: id.
NEWEST_ID: Select[Any] = (
    select(task.c.id)
    .where(task.c.id > bindparam("id_"))
    .order_by(task.c.id.desc())
    .limit(literal_column("1"))
)

# What a dispatcher needs of a task; see `taskmill.tasks.message.from_row`.
DISPATCHABLE = (
    task.c.id, task.c.action, task.c.data, task.c.attempt, task.c.max_attempts, task.c.queue, task.c.rank,
    task.c.priority, task.c.expires_at, task.c.timeout, task.c.key, task.c.limit_key, task.c.trace,
)  # fmt: skip

# Queued tasks after an id, oldest first; the data is NULL unless it is a plain task of the queue. So a read has
# an end also where a million others stand between two plain ones. Parameters: queue, id, limit.
PLAIN: Select[Any] = (
    select(
        *(
            case((task.c.rank.is_(None) & (task.c.queue == bindparam("queue_")), column))
            if column is task.c.data
            else column
            for column in DISPATCHABLE
        )
    )
    .where(task.c.status == code(Status.QUEUED), task.c.id > bindparam("id_"))
    .order_by(task.c.id)
    .limit(bindparam("limit_"))
)


def _after_place() -> Any:
    """Come after a place in a queue. Parameters: rank, id."""
    return (task.c.rank > bindparam("rank_")) | (
        (task.c.rank == bindparam("rank_")) & (task.c.id > bindparam("id_"))
    )


# Ranked tasks of a queue after a place, first in line first. Parameters: queue, rank, id, limit.
RANKED: Select[Any] = (
    select(*DISPATCHABLE)
    .where(
        task.c.status == code(Status.QUEUED),
        task.c.queue == bindparam("queue_"),
        task.c.rank.is_not(None),
        task.c.rank >= bindparam("rank_"),  # what the index is entered by
        _after_place(),
    )
    .order_by(task.c.rank, task.c.id)
    .limit(bindparam("limit_"))
)

# Queued tasks under one limit after a place. Parameters: limit_key, rank, id, limit.
LIMITED: Select[Any] = (
    select(*DISPATCHABLE)
    .where(
        task.c.status == code(Status.QUEUED),
        task.c.limit_key == bindparam("limit_key_"),
        task.c.limit_key.is_not(None),
        task.c.rank >= bindparam("rank_"),
        _after_place(),
    )
    .order_by(task.c.rank, task.c.id)
    .limit(bindparam("limit_"))
)

# When the last tasks under a limit started, since a time. Parameters: limit_key, since, limit.
STARTS: Select[Any] = (
    select(task.c.started_at)
    .where(
        task.c.limit_key == bindparam("limit_key_"),
        task.c.limit_key.is_not(None),
        task.c.started_at > bindparam("since_"),
    )
    .order_by(task.c.started_at.desc())
    .limit(bindparam("limit_"))
)

# Tasks that were running when the last run ended, after an id. Parameters: id, limit.
RUNNING: Select[Any] = (
    select(*DISPATCHABLE)
    .where(task.c.status == code(Status.RUNNING), task.c.id > bindparam("id_"))
    .order_by(task.c.id)
    .limit(bindparam("limit_"))
)

# Scheduled tasks whose time has come, the first ones, and last of each whether it is held. Parameters: now, limit.
DUE: Select[Any] = (
    select(*DISPATCHABLE, task.c.held)
    .where(task.c.status == code(Status.SCHEDULED), task.c.run_at <= bindparam("now_"))
    .order_by(task.c.run_at, task.c.id)
    .limit(bindparam("limit_"))
)

NEXT_DUE: Select[Any] = select(func.min(task.c.run_at)).where(
    task.c.status == code(Status.SCHEDULED), task.c.run_at.is_not(None)
)

_may_expire = task.c.status.in_([code(Status.QUEUED), code(Status.SCHEDULED)]) & task.c.expires_at.is_not(
    None
)

# Tasks that nobody started in time, some of them. Parameters: now, limit.
EXPIRED: Select[Any] = (
    select(task.c.id).where(_may_expire, task.c.expires_at <= bindparam("now_")).limit(bindparam("limit_"))
)

# One for each state: the least of both would be looked for among all.
NEXT_EXPIRY: tuple[Select[Any], ...] = tuple(
    select(func.min(task.c.expires_at)).where(task.c.status == code(status), task.c.expires_at.is_not(None))
    for status in WAITING
)

# How many tasks have not ended: an index has all of it.
UNENDED: Select[Any] = (
    select(func.count())
    .select_from(task)
    .where(task.c.status.in_([code(Status.QUEUED), code(Status.SCHEDULED), code(Status.RUNNING)]))
)

# What an idempotency key was used for, since a time. Parameters: key, since.
USED_KEY: Select[Any] = select(idempotency.c.body, idempotency.c.task_id).where(
    idempotency.c.key == bindparam("key_"), idempotency.c.created_at > bindparam("since_")
)

# Parameters: key.
DROP_KEY: Delete = delete(idempotency).where(idempotency.c.key == bindparam("key_"))

# Parameters: key, body, task_id, created_at.
USE_KEY: Insert = insert(idempotency).values(
    key=bindparam("key_"),
    body=bindparam("body_"),
    task_id=bindparam("task_id_"),
    created_at=bindparam("created_at_"),
)

# Parameter: id.
STATE: Select[Any] = select(task.c.status, task.c.rank, task.c.queue, task.c.action).where(
    task.c.id == bindparam("id_")
)

STATUS: Select[Any] = select(task.c.status).where(task.c.id == bindparam("id_"))

# The first rank among the waiting tasks of a priority that take turns. Parameters: queue, priority.
FIRST_RANK: Select[Any] = select(func.min(task.c.rank)).where(
    task.c.status == code(Status.QUEUED),
    task.c.queue == bindparam("queue_"),
    task.c.fair_key.is_not(None),
    task.c.priority == bindparam("priority_"),
)

# The last rank among the waiting tasks of one key. Parameters: queue, fair_key, priority.
LAST_RANK: Select[Any] = select(func.max(task.c.rank)).where(
    task.c.status == code(Status.QUEUED),
    task.c.queue == bindparam("queue_"),
    task.c.fair_key == bindparam("fair_key_"),
    task.c.fair_key.is_not(None),
    task.c.priority == bindparam("priority_"),
)

# Those of the tasks that are due which take turns, as DUE. Parameters: now, limit.
DUE_IN_TURN: Select[Any] = (
    select(task.c.id, task.c.fair_key)
    .where(
        task.c.status == code(Status.SCHEDULED),
        task.c.run_at <= bindparam("now_"),
        task.c.fair_key.is_not(None),
    )
    .order_by(task.c.run_at, task.c.id)
    .limit(bindparam("limit_"))
)

# Parameter: id.
FAIR_KEY: Select[Any] = select(task.c.fair_key).where(task.c.id == bindparam("id_"))

# A queued task that was stored without a limit gets one, and a place if it had none. Parameters: limit_key,
# rank, id.
LIMIT: Update = (
    update(task)
    .values(limit_key=bindparam("limit_key_"), rank=func.coalesce(task.c.rank, bindparam("rank_")))
    .where(task.c.id == bindparam("id_"), task.c.status == code(Status.QUEUED), task.c.limit_key.is_(None))
)

# A scheduled task gets another place. Parameters: rank, id.
PLACE: Update = (
    update(task)
    .values(rank=bindparam("rank_"))
    .where(task.c.id == bindparam("id_"), task.c.status == code(Status.SCHEDULED))
)


@cache
def same(states: tuple[Status, ...], *, within: bool) -> Select[Any]:
    """Find the last task of an action with a key, in one of the states, or submitted since a time.

    A key may have been used a million times, so the index leads to the states, or to the ids since then.
    Parameters: action, key, and if ``within`` since and the least id that a task may have which is meant.
    """
    counts: Any = task.c.status.in_([code(status) for status in states])
    order = [task.c.status.desc(), task.c.id.desc()]
    if within:
        counts = (task.c.created_at > bindparam("since_")) & (task.c.id >= bindparam("first_"))
        order = [task.c.id.desc()]
    return (
        select(task.c.id, task.c.status)
        .where(
            task.c.action == bindparam("action_"),
            task.c.key == bindparam("key_"),
            task.c.key.is_not(None),
            counts,
        )
        .order_by(*order)
        .limit(literal_column("1"))
    )


# A task as a dispatcher needs it. Parameter: id.
FOR_RETRY: Select[Any] = select(*DISPATCHABLE).where(task.c.id == bindparam("id_"))

PAUSED: Select[Any] = select(pause.c.queue)

# Parameters: queue, paused_at, paused_by.
PAUSE: Insert = insert(pause).values(
    queue=bindparam("queue_"), paused_at=bindparam("paused_at_"), paused_by=bindparam("paused_by_")
)

# Parameter: queue.
RESUME: Delete = delete(pause).where(pause.c.queue == bindparam("queue_"))
