"""Every statement on tasks, once, in SQLAlchemy Core: each database compiles them to its own dialect."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Column,
    CompoundSelect,
    Insert,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    Update,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    union_all,
    update,
)

from taskmill.sql import Migration
from taskmill.tasks.model import Status

task = Table(
    "task",
    MetaData(),
    Column("id", LargeBinary(16), primary_key=True),  # UUIDv7: sorted by time, so rows are added at the end
    Column("action", Text, nullable=False),
    Column("queue", Text, nullable=False),
    Column("data", Text, nullable=False),  # JSON, exactly as it was sent
    Column("status", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("created_at", Integer, nullable=False),  # milliseconds since 1970, as the other times
    Column("started_at", Integer),
    Column("finished_at", Integer),
    Column("result", Text),  # JSON
    Column("error", Text),  # JSON
)

COMPONENT = "tasks"

# The table is its primary key (WITHOUT ROWID): one tree to grow instead of two. The two indexes serve the
# lists, newest first, with either filter or both; the first also finds what is not finished.
MIGRATIONS = (
    Migration(
        1,
        "tasks",
        """
        CREATE TABLE task (
            id BLOB NOT NULL PRIMARY KEY,
            action TEXT NOT NULL,
            queue TEXT NOT NULL,
            data TEXT NOT NULL,
            status INTEGER NOT NULL,
            attempt INTEGER NOT NULL,
            max_attempts INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            started_at INTEGER,
            finished_at INTEGER,
            result TEXT,
            error TEXT
        ) WITHOUT ROWID;
        CREATE INDEX task_status ON task (status, id);
        CREATE INDEX task_action ON task (action, status, id);
        """,
    ),
)


def _code(status: Status) -> Any:
    return literal_column(str(status.value))


_unfinished = task.c.status.in_([_code(Status.QUEUED), _code(Status.RUNNING)])

# A submitted task. Parameters: id, action, queue, data, max_attempts, created_at.
ADD: Insert = insert(task).values(
    id=bindparam("id_"),
    action=bindparam("action_"),
    queue=bindparam("queue_"),
    data=bindparam("data_"),
    status=_code(Status.QUEUED),
    attempt=literal_column("0"),
    max_attempts=bindparam("max_attempts_"),
    created_at=bindparam("created_at_"),
)

# An attempt that has begun. Parameters: attempt, started_at, id.
START: Update = (
    update(task)
    .values(status=_code(Status.RUNNING), attempt=bindparam("attempt_"), started_at=bindparam("started_at_"))
    .where(task.c.id == bindparam("id_"), _unfinished, task.c.attempt < bindparam("attempt_"))
)

# An attempt that a shutdown broke off costs nothing. Parameters: id, attempt.
RELEASE: Update = (
    update(task)
    .values(status=_code(Status.QUEUED), attempt=task.c.attempt - literal_column("1"))
    .where(task.c.id == bindparam("id_"), task.c.status == _code(Status.RUNNING))
)

# The end of a task; never of one that has ended. Parameters: status, attempt, started_at, finished_at,
# result, error, id.
FINISH: Update = (
    update(task)
    .values(
        status=bindparam("status_"),
        attempt=bindparam("attempt_"),
        started_at=bindparam("started_at_"),
        finished_at=bindparam("finished_at_"),
        result=bindparam("result_"),
        error=bindparam("error_"),
    )
    .where(task.c.id == bindparam("id_"), _unfinished)
)

ONE: Select[Any] = select(task).where(task.c.id == bindparam("id_"))

NEWEST_ID: Select[Any] = select(func.max(task.c.id))

# What a dispatcher needs of the tasks of one status after an id, oldest first. Parameters: status, id, limit.
DISPATCHABLE: Select[Any] = (
    select(task.c.id, task.c.action, task.c.data, task.c.attempt)
    .where(task.c.status == bindparam("status_"), task.c.id > bindparam("id_"))
    .order_by(task.c.id)
    .limit(bindparam("limit_"))
)

# The last of the oldest queued tasks. Parameter: how many of them.
NTH_QUEUED: Select[Any] = select(
    func.max(
        select(task.c.id)
        .where(task.c.status == _code(Status.QUEUED))
        .order_by(task.c.id)
        .limit(bindparam("limit_"))
        .subquery()
        .c.id
    )
)


def page(*, status: bool, action: bool, cursor: bool) -> Select[Any] | CompoundSelect[Any]:
    """List tasks, newest first, by the filters named. Parameters: status, action, cursor, limit, as far as used.

    The index by action has the status before the id, so without a status it is read once for each, and the
    few rows of each are merged: the cost is the same whatever the table's size.
    """
    if not action or status:
        return _newest(bindparam("status_") if status else None, action, cursor)
    parts = [_newest(_code(one), action, cursor).subquery() for one in Status]
    merged = union_all(*(select(part) for part in parts))
    return merged.order_by(merged.selected_columns.id.desc()).limit(bindparam("limit_"))


def _newest(status: Any, action: bool, cursor: bool) -> Select[Any]:
    statement = select(task)
    if status is not None:
        statement = statement.where(task.c.status == status)
    if action:
        statement = statement.where(task.c.action == bindparam("action_"))
    if cursor:
        statement = statement.where(task.c.id < bindparam("cursor_"))
    return statement.order_by(task.c.id.desc()).limit(bindparam("limit_"))
