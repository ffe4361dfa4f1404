"""Every statement on schedules, in SQLAlchemy Core."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Delete, Insert, Select, Update, bindparam, delete, func, insert, select, update

from taskmill.tasks.schedules.schema import fire, schedule

_DEFINED = (
    "declared", "cron", "every", "timezone", "anchor", "action", "data", "overlap", "catch_up", "jitter",
    "queue", "priority", "paused", "updated_at", "next_due", "next_run_at",
)  # fmt: skip

# Parameters: name, created_at, and all of _DEFINED.
ADD: Insert = insert(schedule).values(
    name=bindparam("name_"),
    created_at=bindparam("created_at_"),
    revision=bindparam("revision_"),
    forgotten=bindparam("forgotten_"),
    **{name: bindparam(f"{name}_") for name in _DEFINED},
)

# Parameters: name, and all of _DEFINED.
REPLACE: Update = (
    update(schedule)
    .values(revision=schedule.c.revision + 1, **{name: bindparam(f"{name}_") for name in _DEFINED})
    .where(schedule.c.name == bindparam("name_"))
)

# Parameters: paused, next_due, next_run_at, updated_at, name.
SET_PAUSED: Update = (
    update(schedule)
    .values(
        paused=bindparam("paused_"),
        next_due=bindparam("next_due_"),
        next_run_at=bindparam("next_run_at_"),
        updated_at=bindparam("updated_at_"),
        revision=schedule.c.revision + 1,
    )
    .where(schedule.c.name == bindparam("name_"))
)

# Parameters: next_due, next_run_at, name.
SET_NEXT: Update = (
    update(schedule)
    .values(next_due=bindparam("next_due_"), next_run_at=bindparam("next_run_at_"))
    .where(schedule.c.name == bindparam("name_"))
)

# Go on from a due time, unless another node has, or the definition has changed. Parameters: next_due,
# next_run_at, name, revision, and the due time before.
ADVANCE: Update = (
    update(schedule)
    .values(next_due=bindparam("next_due_"), next_run_at=bindparam("next_run_at_"))
    .where(
        schedule.c.name == bindparam("name_"),
        schedule.c.revision == bindparam("revision_"),
        schedule.c.next_due == bindparam("before_"),
    )
)

# Parameters: last_run_at, last_task_id, name.
SET_LAST: Update = (
    update(schedule)
    .values(last_run_at=bindparam("last_run_at_"), last_task_id=bindparam("last_task_id_"))
    .where(schedule.c.name == bindparam("name_"))
)

# Parameters: forgotten, name.
SET_FORGOTTEN: Update = (
    update(schedule).values(forgotten=bindparam("forgotten_")).where(schedule.c.name == bindparam("name_"))
)

# Parameter: name.
DROP: Delete = delete(schedule).where(schedule.c.name == bindparam("name_"))
DROP_FIRES: Delete = delete(fire).where(fire.c.schedule == bindparam("name_"))

ONE: Select[Any] = select(schedule).where(schedule.c.name == bindparam("name_"))

LAST: Select[Any] = select(schedule.c.last_task_id).where(schedule.c.name == bindparam("name_"))

# Schedules after a name, in their order. Parameters: name, limit.
PAGE: Select[Any] = (
    select(schedule)
    .where(schedule.c.name > bindparam("name_"))
    .order_by(schedule.c.name)
    .limit(bindparam("limit_"))
)

# Schedules whose next run has come, the first ones. Parameters: now, limit.
DUE: Select[Any] = (
    select(schedule)
    .where(schedule.c.next_run_at.is_not(None), schedule.c.next_run_at <= bindparam("now_"))
    .order_by(schedule.c.next_run_at, schedule.c.name)
    .limit(bindparam("limit_"))
)

NEXT: Select[Any] = select(func.min(schedule.c.next_run_at)).where(schedule.c.next_run_at.is_not(None))

COUNT: Select[Any] = select(func.count()).select_from(schedule)

# How many run, and how many do not, by who has paused them.
COUNT_PAUSED: Select[Any] = select(schedule.c.paused, func.count()).group_by(schedule.c.paused)

# Parameters: schedule, due.
FIRED: Select[Any] = select(fire.c.due).where(
    fire.c.schedule == bindparam("schedule_"), fire.c.due == bindparam("due_")
)

# Parameters: schedule, due, at, outcome, task_id.
ADD_FIRE: Insert = insert(fire).values(
    schedule=bindparam("schedule_"),
    due=bindparam("due_"),
    at=bindparam("at_"),
    outcome=bindparam("outcome_"),
    task_id=bindparam("task_id_"),
)

# The last due times that have been, the newest first. Parameters: schedule, limit.
RECENT: Select[Any] = (
    select(fire.c.due, fire.c.at, fire.c.outcome, fire.c.task_id)
    .where(fire.c.schedule == bindparam("schedule_"))
    .order_by(fire.c.due.desc())
    .limit(bindparam("limit_"))
)

# The newest due time behind so many. Parameters: schedule, offset.
NTH_FIRE: Select[Any] = (
    select(fire.c.due)
    .where(fire.c.schedule == bindparam("schedule_"))
    .order_by(fire.c.due.desc())
    .limit(1)
    .offset(bindparam("offset_"))
)

# Parameters: schedule, due.
FORGET_FIRES: Delete = delete(fire).where(
    fire.c.schedule == bindparam("schedule_"), fire.c.due <= bindparam("due_")
)
