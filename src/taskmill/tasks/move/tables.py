"""What is copied: the tables, and the statements that read and write them in the order of their keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Column, Delete, Insert, Select, Table, bindparam, delete, func, insert, select, tuple_

from taskmill.tasks.control.dead_letter import letter
from taskmill.tasks.move.schema import change
from taskmill.tasks.retention.schema import tombstone
from taskmill.tasks.rows.schema import (
    action_schema,
    attempt,
    batch,
    claim,
    follow,
    idempotency,
    note,
    pause,
    seal_key,
    step,
    task,
)
from taskmill.tasks.schedules.schema import fire, schedule
from taskmill.tasks.usage.schema import usage_day, usage_open

SIZES: Final = (1, 16, 128)  # keys in one statement
MOST: Final = SIZES[-1]

Row = tuple[Any, ...]

# Copied bit by bit while they change: each change of theirs is noted.
LARGE: Final[Sequence[Table]] = (task, attempt, note, step, idempotency, tombstone)

# Copied at once in the end. Of a dead letter the number is left out: it only says which came first.
SMALL: Final[Sequence[Table]] = (
    pause,
    schedule,
    fire,
    claim,
    action_schema,
    follow,
    batch,
    seal_key,
    letter,
    usage_open,
    usage_day,
)

COLUMNS: Final[Mapping[str, Sequence[Column[Any]]]] = {
    table.name: [column for column in table.columns if column is not letter.c.number]
    for table in (*LARGE, *SMALL)
}

# Notes of changes, the oldest first. Parameter: limit.
CHANGES: Select[Any] = (
    select(change.c.number, change.c.name, change.c.id, change.c.key)
    .order_by(change.c.number)
    .limit(bindparam("limit_"))
)
COUNT_CHANGES: Select[Any] = select(func.count()).select_from(change)
FORGET_ALL: Delete = delete(change)
ANY_TASK: Select[Any] = select(task.c.id).limit(1)


def key_of(table: Table) -> list[Column[Any]]:
    """Return the columns of the primary key."""
    return list(table.primary_key.columns)


@cache
def count(table: Table) -> Select[Any]:
    """Count the rows."""
    return select(func.count()).select_from(table)


@cache
def ordered(table: Table, after: bool) -> Select[Any]:
    """Read rows in the order of their keys. Parameters: limit; with ``after`` a key, `key0_` and so on."""
    key = key_of(table)
    rows = select(*COLUMNS[table.name]).order_by(*key).limit(bindparam("limit_"))
    if not after:
        return rows
    values = [bindparam(f"key{number}_", type_=column.type) for number, column in enumerate(key)]
    return rows.where(tuple_(*key) > tuple_(*values) if len(key) > 1 else key[0] > values[0])


@cache
def every(table: Table) -> Select[Any]:
    """Read all rows, in the order of their keys."""
    return select(*COLUMNS[table.name]).order_by(*key_of(table))


@cache
def insertion(table: Table) -> Insert:
    """Insert a row. Parameters: its columns."""
    return insert(table).values(
        {column.name: bindparam(f"{column.name}_", type_=column.type) for column in COLUMNS[table.name]}
    )


@cache
def among(column: Column[Any], size: int) -> Select[Any]:
    """Read the rows of some keys. Parameters: `key0_` and so on."""
    return select(*COLUMNS[column.table.name]).where(_in(column, size))


@cache
def removal(column: Column[Any], size: int) -> Delete:
    """Remove the rows of some keys. Parameters: `key0_` and so on."""
    table: Any = column.table
    return delete(table).where(_in(column, size))


@cache
def clearing(table: Table) -> Delete:
    """Remove all rows."""
    return delete(table)


def parts(keys: Sequence[Any]) -> list[tuple[int, dict[str, Any]]]:
    """Divide keys up for statements: the size of each, and its parameters. The last key fills up what is left."""
    divided = []
    for start in range(0, len(keys), MOST):
        some = keys[start : start + MOST]
        size = next(size for size in SIZES if size >= len(some))
        padded = [*some, *([some[-1]] * (size - len(some)))]
        divided.append((size, {f"key{number}_": key for number, key in enumerate(padded)}))
    return divided


def _in(column: Column[Any], size: int) -> Any:
    return column.in_([bindparam(f"key{number}_", type_=column.type) for number in range(size)])


def fitting(table: Table, row: Row, shared: bool) -> Row:
    """Return a row as the new database has it: of a task nobody has it in hand; where nodes share it, it has a rank."""
    if table is not task:
        return tuple(row)
    values = list(row)
    values[_NODE] = None
    if shared and values[_RANK] is None:
        values[_RANK] = values[_CREATED]
    return tuple(values)


_names = [column.name for column in COLUMNS["task"]]
_NODE, _RANK, _CREATED = _names.index("node"), _names.index("rank"), _names.index("created_at")
