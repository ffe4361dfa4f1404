"""The statements of those who wait: which tasks have ended, and tasks as they are, many at once.

Made for some numbers of tasks alone, as those of :mod:`taskmill.tasks.rows.sharing`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, CompoundSelect, LargeBinary, Select, bindparam, select

from taskmill.tasks.lifecycle import ENDED
from taskmill.tasks.rows import history
from taskmill.tasks.rows.schema import task
from taskmill.tasks.rows.statements import code


@cache
def ended(count: int) -> Select[Any]:
    """Return those of some tasks that have ended. Parameters: keys."""
    return select(task.c.id).where(_among(task.c.id, count), task.c.status.in_(list(map(code, ENDED))))


@cache
def whole(count: int) -> Select[Any]:
    """Return some tasks as they are. Parameters: keys."""
    return select(task).where(_among(task.c.id, count))


@cache
def histories(count: int) -> CompoundSelect[Any]:
    """Return what some tasks have behind them, as :func:`taskmill.tasks.rows.history.of`. Parameters: keys."""
    return history.of(lambda column: _among(column, count))


def _among(column: ColumnElement[bytes], count: int) -> ColumnElement[bool]:
    return column.in_([bindparam(f"key{number}_", LargeBinary) for number in range(count)])
