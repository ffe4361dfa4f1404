"""The statements of retention. All go by an index, and none looks at more rows than its bounds say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Delete, Insert, Select, bindparam, delete, func, insert, literal_column, select

from taskmill.tasks.lifecycle import ENDED, Status
from taskmill.tasks.retention.schema import tombstone
from taskmill.tasks.rows.schema import attempt, idempotency, note, step, task, task_index


class Shelf(NamedTuple):
    """One sort of rows that age, in the order of their ids.

    ``look`` reads an id, the time from which its age counts, and its bytes. Parameters: after, limit.
    ``drop`` are the statements that drop a stretch of rows, the last of which tells how many. Parameters:
    first and last id, before which time, now. All take ``values``, too.
    """

    look: Select[Any]
    drop: Sequence[Insert | Delete]
    values: Mapping[str, Any]


# Tables with rows of a task's own, by `task_id`: they go with it.
DEPENDENT = (attempt, task_index, note, step)


def _bytes(column: Any) -> Any:
    return func.coalesce(func.octet_length(column), literal_column("0"))


# Ended tasks of a status after an id, oldest first. Parameters: status, after, limit.
_LOOK_TASKS: Select[Any] = (
    select(task.c.id, task.c.finished_at, _bytes(task.c.data) + _bytes(task.c.result) + _bytes(task.c.error))
    .where(task.c.status == bindparam("status_"), task.c.id > bindparam("after_"))
    .order_by(task.c.id)
    .limit(bindparam("limit_"))
)

# It may have been run again since it was looked at, so its state and its end are asked for once more.
_aged = (
    (task.c.status == bindparam("status_"))
    & (task.c.id >= bindparam("first_"))
    & (task.c.id <= bindparam("last_"))
    & (task.c.finished_at < bindparam("before_"))
)

_BURY: Insert = insert(tombstone).from_select(
    ["id", "pruned_at"], select(task.c.id, bindparam("now_")).where(_aged)
)

_DROP_DEPENDENT: Sequence[Delete] = tuple(
    delete(table).where(
        table.c.task_id.between(
            bindparam("first_"), bindparam("last_")
        ),  # MariaDB would go through all of it
        table.c.task_id.in_(select(task.c.id).where(_aged)),
    )
    for table in DEPENDENT
)

_DROP_TASKS: Delete = delete(task).where(_aged)


def tasks(status: Status) -> Shelf:
    """Return the tasks that have ended in a state."""
    if status not in ENDED:
        raise ValueError(f"{status.word} tasks have not ended")
    return Shelf(_LOOK_TASKS, (_BURY, *_DROP_DEPENDENT, _DROP_TASKS), {"status_": int(status)})


TOMBSTONES = Shelf(
    select(tombstone.c.id, tombstone.c.pruned_at, literal_column("0"))
    .where(tombstone.c.id > bindparam("after_"))
    .order_by(tombstone.c.id)
    .limit(bindparam("limit_")),
    (
        delete(tombstone).where(
            tombstone.c.id >= bindparam("first_"),
            tombstone.c.id <= bindparam("last_"),
            tombstone.c.pruned_at < bindparam("before_"),
        ),
    ),
    {},
)

# Parameter: id.
BURIED: Select[Any] = select(tombstone.c.id).where(tombstone.c.id == bindparam("id_"))

# MySQL deletes by what it has read of the table itself, if that stands in a FROM.
_old_keys = (
    select(idempotency.c.key)
    .where(idempotency.c.created_at < bindparam("before_"))
    .order_by(idempotency.c.created_at)
    .limit(bindparam("limit_"))
    .subquery("old")
)

# The oldest idempotency keys, so many at most. Parameters: before which time, limit.
DROP_KEYS: Delete = delete(idempotency).where(idempotency.c.key.in_(select(_old_keys.c.key)))
