"""Many rows for SQLite: an INSERT of hundreds of rows as one statement, which runs without Python's lock.

`executemany` takes the lock back for each row, and the loop's thread wants it too. For small batches that makes no
difference; for thousands of rows one statement for each few hundred costs two thirds, and leaves the lock to others
(docs/performance.md).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from itertools import chain
from typing import Any

import apsw

ROWS = 250  # of one statement: its parameters stay far below SQLite's 32,766

_INSERT = re.compile(r"(INSERT INTO \w+ \([^()]*\) VALUES )(\([^()]*\))")


def run(connection: apsw.Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
    """Run a statement for each of the rows, in order."""
    many = _of_many(sql) if len(rows) >= ROWS else None
    whole = 0
    if many is not None:
        whole = len(rows) - len(rows) % ROWS
        for first in range(0, whole, ROWS):
            connection.execute(many, list(chain.from_iterable(rows[first : first + ROWS])))
    if whole < len(rows):
        connection.executemany(sql, rows[whole:])


@cache
def _of_many(sql: str) -> str | None:
    """Return an INSERT of as many rows as one statement should have; None where it is none of plain values."""
    match = _INSERT.fullmatch(sql)
    return None if match is None else match[1] + ", ".join([match[2]] * ROWS)
