"""The statements on batches and their members."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Delete,
    Insert,
    Select,
    Update,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal_column,
    select,
    update,
)

from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.rows.schema import batch, task
from taskmill.tasks.rows.statements import code

_UNENDED = [code(status) for status in Status if status not in ENDED]
_LOST = [code(Status.FAILED), code(Status.CANCELLED)]

# Parameters: id, name, created_at, total, closed_at, on_complete.
ADD: Insert = insert(batch).values(
    id=bindparam("id_"),
    name=bindparam("name_"),
    created_at=bindparam("created_at_"),
    total=bindparam("total_"),
    closed_at=bindparam("closed_at_"),
    on_complete=bindparam("on_complete_"),
)

_open = batch.c.closed_at.is_(None)
_unended = batch.c.ended_at.is_(None)

# It is given so many more members. Parameters: count, id.
GROW: Update = (
    update(batch)
    .values(total=batch.c.total + bindparam("count_"))
    .where(batch.c.id == bindparam("id_"), _open)
)

# Parameters: closed_at, id.
CLOSE: Update = (
    update(batch).values(closed_at=bindparam("closed_at_")).where(batch.c.id == bindparam("id_"), _open)
)

# Parameters: cancelled_at, id.
CALL_OFF: Update = (
    update(batch)
    .values(
        cancelled_at=bindparam("cancelled_at_"),
        closed_at=func.coalesce(batch.c.closed_at, bindparam("cancelled_at_")),
    )
    .where(batch.c.id == bindparam("id_"), _unended)
)

# All of its members have ended, and it takes no more. Parameters: ended_at, counts, id.
END: Update = (
    update(batch)
    .values(ended_at=bindparam("ended_at_"), counts=bindparam("counts_"))
    .where(
        batch.c.id == bindparam("id_"),
        _unended,
        ~_open,
        ~exists().where(task.c.batch == bindparam("id_"), task.c.status.in_(_UNENDED)),
    )
)

ONE: Select[Any] = select(batch).where(batch.c.id == bindparam("id_"))

# Before an id, newest first. Parameters: id, limit.
PAGE: Select[Any] = (
    select(batch).where(batch.c.id < bindparam("id_")).order_by(batch.c.id.desc()).limit(bindparam("limit_"))
)

# Those that have not ended, after an id. Parameters: id, limit.
RUNNING: Select[Any] = (
    select(batch)
    .where(_unended, batch.c.id > bindparam("id_"))
    .order_by(batch.c.id)
    .limit(bindparam("limit_"))
)

# The batch whose end a task waits for. Parameter: id.
WAITED_FOR: Select[Any] = select(batch.c.id, batch.c.name).where(
    _unended, batch.c.on_complete == bindparam("id_")
)

# Members that have not ended. Parameters: id, limit.
LEFT: Select[Any] = (
    select(task.c.id)
    .where(task.c.batch == bindparam("id_"), task.c.status.in_(_UNENDED))
    .limit(bindparam("limit_"))
)

# How many members are in each state. Parameter: id.
COUNTS: Select[Any] = (
    select(task.c.status, func.count()).where(task.c.batch == bindparam("id_")).group_by(task.c.status)
)

# Members that failed or were cancelled. Parameters: id, limit.
LOST: Select[Any] = (
    select(task.c.id, task.c.name, task.c.action, task.c.status, task.c.error)
    .where(task.c.batch == bindparam("id_"), task.c.status.in_(_LOST))
    .order_by(task.c.id)
    .limit(bindparam("limit_"))
)

# The ids of members, in the order in which they were given. Parameters: id, after, limit.
MEMBERS: Select[Any] = (
    select(task.c.id)
    .where(task.c.batch == bindparam("id_"), task.c.id > bindparam("after_"))
    .order_by(task.c.id)
    .limit(bindparam("limit_"))
)

# MySQL takes no LIMIT in what IN is asked of, but in what that reads.
_members = MEMBERS.subquery()

# What members came to, in that order. Parameters: id, after, limit.
RESULTS: Select[Any] = (
    select(task.c.id, task.c.name, task.c.status, task.c.result, task.c.error)
    .where(task.c.id.in_(select(_members.c.id)))
    .order_by(task.c.id)
)

# Batches that ended before a time and have no member left. Parameter: before.
PRUNE: Delete = delete(batch).where(
    batch.c.ended_at < bindparam("before_"),
    ~exists(select(literal_column("1")).where(task.c.batch == batch.c.id).correlate(batch)),
)
