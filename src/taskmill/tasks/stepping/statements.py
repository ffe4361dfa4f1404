"""The statements of steps."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Insert, LargeBinary, Select, Text, bindparam, insert, select

from taskmill.tasks.rows.schema import step
from taskmill.tasks.rows.steps import not_anothers, under_way

# The steps of a task, in the order of their ends. Parameter: id.
STEPS: Select[Any] = (
    select(step.c.number, step.c.name, step.c.result, step.c.started_at)
    .where(step.c.task_id == bindparam("id_"))
    .order_by(step.c.number)
)

# The name of one. Parameters: id, number.
NAME: Select[Any] = select(step.c.name).where(
    step.c.task_id == bindparam("id_"), step.c.number == bindparam("number_")
)


def _keep(*guards: Any) -> Insert:
    """Store a step, if the attempt that took it is its task's own."""
    return insert(step).from_select(
        ["task_id", "number", "name", "attempt", "started_at", "ended_at", "result"],
        select(
            bindparam("task_id_", type_=LargeBinary),
            bindparam("number_", type_=BigInteger),
            bindparam("name_", type_=Text),
            bindparam("by_", type_=BigInteger),
            bindparam("started_at_", type_=BigInteger),
            bindparam("ended_at_", type_=BigInteger),
            bindparam("result_", type_=step.c.result.type),
        ).where(under_way(*guards)),
    )


KEEP: Insert = _keep()
KEEP_SHARED: Insert = _keep(not_anothers)
