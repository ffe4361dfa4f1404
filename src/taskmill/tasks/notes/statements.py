"""The statements of notes. How an attempt writes one is a matter of its guards: :mod:`taskmill.tasks.rows.steps`."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from sqlalchemy import (
    Delete,
    Insert,
    LargeBinary,
    Select,
    Update,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from taskmill.tasks.rows.schema import note, task

COLUMNS: Final = (note.c.number, note.c.attempt, note.c.progress, note.c.log, note.c.count, note.c.lost)

# A note of an attempt that is known to be the task's own. Parameters: its columns.
ADD: Insert = insert(note).values({column.name: bindparam(f"{column.name}_") for column in note.c})

# Whether there is a task. Parameter: id.
EXISTS: Select[Any] = select(task.c.id).where(task.c.id == bindparam("id_"))

# What attempts have said since a number. Parameters: id, number.
SINCE: Select[Any] = (
    select(*COLUMNS)
    .where(note.c.task_id == bindparam("id_"), note.c.number >= bindparam("number_"))
    .order_by(note.c.number)
)

# The last progress of a task, with its attempt. Parameter: id.
PROGRESS: Select[Any] = (
    select(note.c.progress, note.c.attempt)
    .where(note.c.task_id == bindparam("id_"), note.c.progress.is_not(None))
    .order_by(note.c.number.desc())
    .limit(1)
)

# What there is of a task's notes, the last first. Parameter: id.
SIZES: Select[Any] = (
    select(note.c.number, note.c.count, note.c.size, note.c.lost, note.c.progress)
    .where(note.c.task_id == bindparam("id_"))
    .order_by(note.c.number.desc())
)

# Parameters: id, number.
DROP: Delete = delete(note).where(note.c.task_id == bindparam("id_"), note.c.number == bindparam("number_"))

# Lines before a note are no longer there. Parameters: lost, id, number.
TAKE_OVER: Update = (
    update(note)
    .values(lost=note.c.lost + bindparam("lost_"))
    .where(note.c.task_id == bindparam("id_"), note.c.number == bindparam("number_"))
)


@cache
def sums(count: int) -> Select[Any]:
    """How many notes tasks have, with how many lines and bytes. Parameters: those of ``sharing.keys``."""
    return (
        select(note.c.task_id, func.count(), func.sum(note.c.count), func.sum(note.c.size))
        .where(note.c.task_id.in_(_keys(count)))
        .group_by(note.c.task_id)
    )


@cache
def since(count: int) -> Select[Any]:
    """What attempts of some tasks have said since a number. Parameters: those of ``sharing.keys``, number."""
    return (
        select(note.c.task_id, *COLUMNS)
        .where(note.c.task_id.in_(_keys(count)), note.c.number >= bindparam("number_"))
        .order_by(note.c.task_id, note.c.number)
    )


@cache
def progress(count: int) -> Select[Any]:
    """The progress that some tasks have noted, the last last. Parameters: those of ``sharing.keys``."""
    return (
        select(note.c.task_id, note.c.progress, note.c.attempt)
        .where(note.c.task_id.in_(_keys(count)), note.c.progress.is_not(None))
        .order_by(note.c.task_id, note.c.number)
    )


def _keys(count: int) -> list[Any]:
    return [bindparam(f"key{number}_", LargeBinary) for number in range(count)]
