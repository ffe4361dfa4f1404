"""Statements some of whose values are stored otherwise than they are used, such as encrypted.

A lane keeps its rows as they are used, since those who wait for them look at them; they are changed as they go into
the database, in the writer's thread where that is the one to run them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class Coded(str):
    """SQL, with what makes rows of its parameters as they are stored of rows as they are used."""

    code: Callable[[Sequence[Any]], list[Any]]


def stored(sql: str, rows: Sequence[Any]) -> Sequence[Any]:
    """Return the rows of a statement's parameters as they are stored."""
    return sql.code(rows) if isinstance(sql, Coded) else rows
