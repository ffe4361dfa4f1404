"""The steps of a task's life as statements: each a guarded UPDATE, made of the table of steps."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import (
    Delete,
    Insert,
    Integer,
    LargeBinary,
    Select,
    Update,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)

from taskmill.tasks.lifecycle import STEPS, WAITING, Status
from taskmill.tasks.rows.schema import attempt, note, task
from taskmill.tasks.rows.statements import code

KEPT_ATTEMPTS = 10  # failed attempts of a task whose errors are kept


def _may(name: str) -> Any:
    return task.c.status.in_([code(source) for source in STEPS[name].sources])


def step(name: str, **values: Any) -> Update:
    """Make a step's UPDATE of one task: it changes nothing where the step does not start from. Parameter: id."""
    return (
        update(task)
        .values(status=code(STEPS[name].target), **values)
        .where(task.c.id == bindparam("id_"), _may(name))
    )


# An attempt ends in its own row alone: one that says that this attempt runs, or, where its start was not
# written, that the attempt before it was the last. Parameter: attempt.
_own = task.c.attempt + case(
    (task.c.status == code(Status.QUEUED), literal_column("1")), else_=literal_column("0")
) == (bindparam("attempt_"))

# An attempt that has begun. Parameters: attempt, started_at, id, the attempt before.
START: Update = step("start", attempt=bindparam("attempt_"), started_at=bindparam("started_at_")).where(
    task.c.attempt == bindparam("before_")
)


def _end(name: str, **values: Any) -> Update:
    """Make a step that ends a task by its attempt.

    Parameters: attempt, started_at, finished_at, those of the values, id, attempt.
    """
    return step(
        name,
        attempt=bindparam("attempt_"),
        started_at=bindparam("started_at_"),
        finished_at=bindparam("finished_at_"),
        **values,
    ).where(_own)


COMPLETE: Update = _end("complete", result=bindparam("result_"))

FAIL: Update = _end("fail", error=bindparam("error_"))

# An attempt failed, or asked for another time; the task will run again. `counted` is the attempts it has used
# up by now. Parameters: counted, started_at, error or NULL to keep it, rank, run_at, id, attempt.
RETRY: Update = step(
    "retry",
    attempt=bindparam("counted_"),
    started_at=bindparam("started_at_"),
    error=func.coalesce(bindparam("error_", type_=task.c.error.type), task.c.error),
    rank=bindparam("rank_"),
    run_at=bindparam("run_at_"),
).where(_own)

# An attempt that a shutdown broke off costs nothing. Parameters: id, attempt.
RELEASE: Update = step("release", attempt=task.c.attempt - literal_column("1")).where(
    task.c.attempt == bindparam("attempt_")
)


def under_way(*guards: Any) -> Any:
    """Whether an attempt is its task's own, and has not ended. Parameters: id, attempt, those of the guards."""
    return exists().where(task.c.id == bindparam("id_"), _may("fail"), _own, *guards)


def _record(*guards: Any) -> Insert:
    return insert(attempt).from_select(
        ["task_id", "attempt", "started_at", "ended_at", "error"],
        select(
            bindparam("task_id_", type_=LargeBinary),
            bindparam("number_", type_=Integer),
            bindparam("started_at_", type_=Integer),
            bindparam("ended_at_", type_=Integer),
            bindparam("error_", type_=attempt.c.error.type),
        ).where(under_way(*guards)),
    )


# What a failed attempt leaves behind, if it is its task's own. Parameters: task_id, attempt, started_at,
# ended_at, error, id, attempt.
RECORD: Insert = _record()


def _note(*guards: Any) -> Insert:
    columns = list(note.c)
    values = [
        bindparam(f"{column.name}_", type_=column.type) for column in columns if column is not note.c.attempt
    ]
    values.insert(columns.index(note.c.attempt), bindparam("number_of_attempt_", type_=Integer))
    return insert(note).from_select(
        [column.name for column in columns],
        select(*values).where(exists().where(task.c.id == bindparam("id_"), _may("complete"), _own, *guards)),
    )


# What an attempt says of itself, if it is its task's own. Parameters: the columns of the table, id, attempt.
NOTE: Insert = _note()

# Parameters: id, and the last attempt that is forgotten.
FORGET: Delete = delete(attempt).where(
    attempt.c.task_id == bindparam("id_"), attempt.c.attempt <= bindparam("attempt_")
)

DUE: Update = step("due")

# One that waits for other tasks has no time to run at.
_follows = task.c.run_at.is_(None)

# All that it waited for have ended. Parameters: rank, id.
READY: Update = step("ready", rank=bindparam("rank_")).where(_follows)

# The same, of one that is told how they ended. Parameters: data, rank, id.
READY_WITH: Update = step("ready", data=bindparam("data_"), rank=bindparam("rank_")).where(_follows)

# One of those that it waited for has failed. Parameters: finished_at, error, id.
FORSAKE: Update = step("forsake", finished_at=bindparam("finished_at_"), error=bindparam("error_")).where(
    _follows
)

# Parameters: finished_at, error, id.
EXPIRE: Update = step("expire", finished_at=bindparam("finished_at_"), error=bindparam("error_"))

# Parameters: finished_at, error, id. The error says by what, unless it was a client.
CANCEL: Update = step(
    "cancel",
    finished_at=bindparam("finished_at_"),
    error=func.coalesce(bindparam("error_", type_=task.c.error.type), task.c.error),
)

# A held task whose time is over, or that its client drops; one that was let go of meanwhile stays as it is.
# Parameters: finished_at, error, id.
LAPSE: Update = step("lapse", finished_at=bindparam("finished_at_"), error=bindparam("error_")).where(
    task.c.held.is_not(None)
)

# Parameters: the attempts that it may have in all, rank, id.
REDRIVE: Update = step(
    "redrive",
    max_attempts=bindparam("max_attempts_"),
    finished_at=null(),
    rank=bindparam("rank_"),
    run_at=null(),
    expires_at=null(),
    node=null(),
    held=null(),
)

_put_off = (task.c.status == code(Status.SCHEDULED)) & task.c.after.is_(None)

# A later submission with the same key takes a waiting task over. Parameters: data, and for a scheduled one that
# follows no others run_at and rank, or NULL to keep them; id.
REPLACE: Update = (
    update(task)
    .values(
        data=bindparam("data_"),
        rank=case(
            (_put_off, func.coalesce(bindparam("rank_"), task.c.rank)),
            else_=task.c.rank,
        ),
        run_at=case(
            (_put_off, func.coalesce(bindparam("run_at_"), task.c.run_at)),
            else_=task.c.run_at,
        ),
    )
    .where(task.c.id == bindparam("id_"), task.c.status.in_([code(status) for status in WAITING]))
)


# A task that is held. Parameter: id.
HELD: Select[Any] = select(task.c.priority, task.c.held).where(
    task.c.id == bindparam("id_"), task.c.status == code(Status.SCHEDULED), task.c.held.is_not(None)
)

# It is held no more, and waits for its own time. Parameters: run_at, rank, id.
LET_GO: Update = (
    update(task)
    .values(run_at=bindparam("run_at_"), rank=bindparam("rank_"), held=null())
    .where(task.c.id == bindparam("id_"), task.c.status == code(Status.SCHEDULED), task.c.held.is_not(None))
)


class Steps(NamedTuple):
    """What attempts write of themselves."""

    start: Update
    release: Update
    note: Insert
    record: Insert
    retry: Update
    fail: Update
    complete: Update
    expire: Update


# Where one process has the database for itself, the number of the attempt tells whose a row is.
OWN = Steps(START, RELEASE, NOTE, RECORD, RETRY, FAIL, COMPLETE, EXPIRE)

# Where several nodes share it, a node leaves alone what another has. Parameter, the last one: node. START has it
# twice, before the id and last.
not_anothers = task.c.node.is_(None) | (task.c.node == bindparam("node_"))
SHARED = Steps(
    start=START.values(node=bindparam("node_")).where(not_anothers),
    release=RELEASE.values(node=null()).where(not_anothers),
    note=_note(not_anothers),
    record=_record(not_anothers),
    retry=RETRY.values(node=null()).where(not_anothers),
    fail=FAIL.where(not_anothers),
    complete=COMPLETE.where(not_anothers),
    expire=EXPIRE.where(not_anothers),
)
