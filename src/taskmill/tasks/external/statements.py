"""The statements of claims: who outside has which task, and until when.

A claim is what one request got: its id is the lease of all tasks that it got, and stands in their rows as a node's
does. Its time is the database's.
"""

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
    case,
    delete,
    func,
    insert,
    null,
    select,
    update,
)

from taskmill.tasks.cluster.clock import database_now
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.rows.schema import attempt, claim, task
from taskmill.tasks.rows.statements import DISPATCHABLE, code
from taskmill.tasks.rows.steps import step

# Parameters: id, worker, term (milliseconds), timeout (milliseconds) or NULL.
ADD: Insert = insert(claim).values(
    id=bindparam("id_"),
    worker=bindparam("worker_"),
    term=bindparam("term_"),
    expires_at=database_now() + bindparam("term_"),
    ends_at=database_now() + bindparam("timeout_", type_=claim.c.ends_at.type),
)

_until = database_now() + claim.c.term

# A heartbeat: the claim holds for its term from now on, though never beyond the timeout of its tasks. One that has
# run out is not begun anew. Parameter: id.
BEAT: Update = (
    update(claim)
    .values(expires_at=case((claim.c.ends_at < _until, claim.c.ends_at), else_=_until))
    .where(claim.c.id == bindparam("id_"), claim.c.expires_at > database_now())
)

# Until when a claim holds. Parameter: id.
ONE: Select[Any] = select(claim.c.expires_at).where(claim.c.id == bindparam("id_"))

# Claims that have run out, some of them: each with its worker, its term, and whether a timeout ended it.
# Parameter: limit.
RUN_OUT: Select[Any] = (
    select(claim.c.id, claim.c.worker, claim.c.term, claim.c.ends_at <= database_now())
    .where(claim.c.expires_at <= database_now())
    .limit(bindparam("limit_"))
)

# For how many milliseconds the claim still holds that runs out next; NULL where there is none.
NEXT: Select[Any] = select(func.min(claim.c.expires_at) - database_now())

# Parameter: id.
DROP: Delete = delete(claim).where(claim.c.id == bindparam("id_"))
DROP_RUN_OUT: Delete = DROP.where(claim.c.expires_at <= database_now())

_leased = task.c.node == bindparam("node_")
_running = task.c.status == code(Status.RUNNING)

# An attempt begins outside. Parameters: attempt, started_at, lease, id, the attempt before; where nodes share the
# database also the node that may have the task in hand, last.
LEASE: Update = step(
    "start", attempt=bindparam("attempt_"), started_at=bindparam("started_at_"), node=bindparam("lease_")
).where(task.c.attempt == bindparam("before_"))
# Its text must not be that of a node's own start, which has one parameter twice: lanes know statements by their text.
LEASE_SHARED: Update = LEASE.where(_leased | task.c.node.is_(None))

# The row keeps its lease: it tells whose result it is. Parameters: finished_at, result, id, lease.
COMPLETE: Update = step("complete", finished_at=bindparam("finished_at_"), result=bindparam("result_")).where(
    _running, _leased
)

# Parameters: finished_at, error, id, lease.
FAIL: Update = step("fail", finished_at=bindparam("finished_at_"), error=bindparam("error_")).where(
    _running, _leased
)

# Parameters: the attempts that it has used up, error or NULL to keep it, rank, run_at, id, lease.
RETRY: Update = step(
    "retry",
    attempt=bindparam("counted_"),
    error=func.coalesce(bindparam("error_", type_=task.c.error.type), task.c.error),
    rank=bindparam("rank_"),
    run_at=bindparam("run_at_"),
    node=null(),
).where(_running, _leased)

# What a failed attempt leaves behind. Parameters: task_id, attempt, started_at, ended_at, error.
RECORD: Insert = insert(attempt).values({column.name: bindparam(f"{column.name}_") for column in attempt.c})

# A task as a dispatcher needs it, and when its attempt began, while a lease on it holds. Parameters: id, lease.
LEASED: Select[Any] = select(*DISPATCHABLE, task.c.started_at).where(
    task.c.id == bindparam("id_"), _running, _leased
)

# All tasks of a claim. Parameter: lease.
OF_CLAIM: Select[Any] = select(*DISPATCHABLE, task.c.started_at).where(_leased, _running)

# All tasks that are leased, after an id. Parameters: id, limit.
ALL_LEASED: Select[Any] = (
    select(*DISPATCHABLE)
    .where(_running, task.c.id > bindparam("id_"), task.c.node.in_(select(claim.c.id)))
    .order_by(task.c.id)
    .limit(bindparam("limit_"))
)


@cache
def rows_of(count: int, data: bool) -> Select[Any]:
    """What becomes of tasks: id, status, lease, when it ended, queue, attempt, action, and its data if that is wanted.

    Parameters: those of ``sharing.keys``.
    """
    keys: list[Any] = [bindparam(f"key{number}_", LargeBinary) for number in range(count)]
    row = task.c
    columns = (row.id, row.status, row.node, row.finished_at, row.queue, row.attempt, row.action)
    return select(*columns, *([task.c.data] if data else [])).where(task.c.id.in_(keys))
