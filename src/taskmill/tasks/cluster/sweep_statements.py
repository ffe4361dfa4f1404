"""The statements of the sweep: what dead nodes had in hand, and what becomes of it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Insert, Select, Update, bindparam, insert, null, select

from taskmill.tasks.lifecycle import Status
from taskmill.tasks.rows.schema import attempt, claim, node, task
from taskmill.tasks.rows.statements import DISPATCHABLE, code
from taskmill.tasks.rows.steps import step

# Tasks that a node has: claimed, or running. An index holds just these.
_held = (task.c.node.is_not(None), task.c.status.in_([code(Status.QUEUED), code(Status.RUNNING)]))

# The nodes that have tasks, and are not, or no longer, among the nodes; workers outside have claims instead.
MISSING: Select[Any] = (
    select(task.c.node)
    .where(*_held, task.c.node.not_in(select(node.c.id)), task.c.node.not_in(select(claim.c.id)))
    .distinct()
)

# What a node has, after an id: each with its status, and when its attempt began. Parameters: node, id, limit.
HELD: Select[Any] = (
    select(*DISPATCHABLE, task.c.status, task.c.started_at)
    .where(*_held, task.c.node == bindparam("node_"), task.c.id > bindparam("id_"))
    .order_by(task.c.id)
    .limit(bindparam("limit_"))
)

_as_read = (task.c.node == bindparam("node_"), task.c.attempt == bindparam("attempt_"))

# One that ran waits again; its attempt stays counted. Parameters: id, node, attempt.
RECLAIM: Update = step("reclaim", node=null()).where(*_as_read)

# One that ran in its last attempt has failed. Parameters: finished_at, error, id, node, attempt.
LOSE: Update = step("fail", finished_at=bindparam("finished_at_"), error=bindparam("error_")).where(
    *_as_read, task.c.status == code(Status.RUNNING)
)

# What the lost attempt leaves behind. Parameters: task_id, attempt, started_at, ended_at, error.
RECORD: Insert = insert(attempt).values({column.name: bindparam(f"{column.name}_") for column in attempt.c})
