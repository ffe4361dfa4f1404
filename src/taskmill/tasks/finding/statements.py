"""The statements of the index of data. Its rows are written in the transaction that writes their task."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Delete,
    Insert,
    LargeBinary,
    Select,
    Text,
    Update,
    bindparam,
    delete,
    exists,
    insert,
    select,
    update,
)

from taskmill.tasks.rows.schema import indexed, task, task_index

# Parameters: path, value, task_id.
ADD: Insert = insert(task_index).values(
    path=bindparam("path_"), value=bindparam("value_"), task_id=bindparam("task_id_")
)

# The same of a task that is there still and may be in the index already. Parameters: path, value, id.
ADD_LATER: Insert = insert(task_index).from_select(
    ["path", "value", "task_id"],
    select(bindparam("path_", type_=Text), bindparam("value_", type_=Text), task.c.id).where(
        task.c.id == bindparam("id_", type_=LargeBinary),
        ~exists().where(
            task_index.c.path == bindparam("path_"),
            task_index.c.value == bindparam("value_"),
            task_index.c.task_id == task.c.id,
        ),
    ),
)

# Parameter: task_id.
REMOVE: Delete = delete(task_index).where(task_index.c.task_id == bindparam("task_id_"))

# What actions have indexed, and down to which id; an empty one is the end.
INDEXED: Select[Any] = select(indexed.c.action, indexed.c.path, indexed.c.reached)

# Parameters: action, path, reached.
BEGIN: Insert = insert(indexed).values(
    action=bindparam("action_"), path=bindparam("path_"), reached=bindparam("reached_")
)

# Parameters: reached, action, path.
REACH: Update = (
    update(indexed)
    .values(reached=bindparam("reached_"))
    .where(indexed.c.action == bindparam("action_"), indexed.c.path == bindparam("path_"))
)

# Parameters: action, path.
END: Delete = delete(indexed).where(
    indexed.c.action == bindparam("action_"), indexed.c.path == bindparam("path_")
)
