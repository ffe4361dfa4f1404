"""The statement on tasks that tell of others."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, literal_column, select

from taskmill.tasks.rows.schema import task

# The last task that tells of another. Parameters: action, key.
LAST: Select[Any] = (
    select(task.c.status, task.c.run_at, task.c.data)
    .where(task.c.action == bindparam("action_"), task.c.key == bindparam("key_"), task.c.key.is_not(None))
    .order_by(task.c.id.desc())
    .limit(literal_column("1"))
)
