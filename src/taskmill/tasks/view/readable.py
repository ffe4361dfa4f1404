"""The tables as people read them, for queries of their own: ids as text, status by name, times as RFC 3339.

They stand before a query as its common table expressions: nothing is stored in the database for it.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import Dialect, Select, case, literal_column, select

from taskmill.tasks.lifecycle import Status
from taskmill.tasks.rows.portable import id_text, time_text
from taskmill.tasks.rows.schema import attempt, task
from taskmill.tasks.rows.statements import code

_FIRST: Final = re.compile(r"\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(\w+)", re.DOTALL)
_WITH: Final = re.compile(r"\bwith\b(\s+recursive\b)?", re.IGNORECASE)
_READING: Final = ("select", "with", "values", "explain")

_TIMES = ("created_at", "run_at", "started_at", "finished_at", "expires_at", "ended_at")


class NotReading(ValueError):
    """A statement is no query; the text says what is one."""


def _readable(table: Any, *ids: str) -> list[Any]:
    columns = []
    for column in table.columns:
        shown: Any = column
        if column.name in ids:
            shown = id_text(column)
        elif column.name in _TIMES:
            shown = time_text(column)
        elif column is task.c.status:
            words: list[tuple[Any, Any]] = [
                (column == code(one), literal_column(f"'{one.word}'")) for one in Status
            ]
            shown = case(*words)
        columns.append(shown.label(column.name))
    return columns


VIEWS: Final[dict[str, Select[Any]]] = {
    "tasks": select(*_readable(task, "id", "node")),
    "attempts": select(*_readable(attempt, "task_id")),
}


def query(sql: str, dialect: Dialect) -> str:
    """Return a query with the readable tables before it.

    Raises:
        NotReading: it is no query.
    """
    sql = sql.strip().removesuffix(";")
    first = _FIRST.match(sql)
    word = first[1].lower() if first else ""
    if first is None or word not in _READING:
        raise NotReading(f"write one query, which begins with {', '.join(map(str.upper, _READING))}")
    if word == "explain":
        return sql
    views = [f"{name} AS ({_text(view, dialect)})" for name, view in VIEWS.items()]
    if word != "with":
        return f"WITH {', '.join(views)} {sql}"
    found = _WITH.match(sql, first.start(1))
    assert found is not None  # noqa: S101 - it begins with that word
    return f"WITH{found[1] or ''} {', '.join(views)}, {sql[found.end() :]}"


def _text(view: Select[Any], dialect: Dialect) -> str:
    return str(view.compile(dialect=dialect, compile_kwargs={"literal_binds": True})).replace("%%", "%")
