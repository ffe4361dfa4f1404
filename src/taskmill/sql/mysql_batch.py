"""Many rows as one statement: an INSERT with many VALUES, or a table of the rows that the one to change is joined with.

One statement for a batch costs a third of one for each row (docs/performance.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

from sqlalchemy import ClauseElement, Insert, Update, column, text
from sqlalchemy.dialects import mysql
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import BindParameter

from taskmill.sql.mysql_text import placed

DIALECT = mysql.dialect(paramstyle="format")

Row = tuple[Any, ...]

LENGTH = (
    2**21
)  # characters of the values in one statement, unless a row has more: far below what a server takes
ROWS = 1_000  # in one statement

_TABLE = "SELECT rows_of_the_batch"  # where the rows are written into the statement
# The rows come first and lead to the others by their keys, whatever the server thinks of the number of those.
_UPDATE = re.compile(rf"\AUPDATE (\S+), (\({_TABLE}\) AS \w+) SET ")


class Batch(NamedTuple):
    """A statement for many rows: ``before``, one part for each of them, and ``after``."""

    single: str  # for one row
    picks: Sequence[int]  # which values of a row stand in its part
    before: str
    first: str
    other: str
    after: str
    constants: tuple[Sequence[Any], Sequence[Any]]  # before the parts, and after them
    key: int | None  # the place of an id that two rows of one statement must not share

    def statements(self, rows: Sequence[Row]) -> Iterator[tuple[str, Sequence[Any]]]:
        """Give the statement, with its arguments, for rows: more than one where they are long, or one changes twice."""
        for part in self._parts(rows):
            if len(part) == 1:
                yield self.single, part[0]
                continue
            values = [row[pick] for row in part for pick in self.picks]
            sql = self.before + self.first + self.other * (len(part) - 1) + self.after
            yield sql, [*self.constants[0], *values, *self.constants[1]]

    def _parts(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        for part in self._rounds(rows):
            taken: list[Row] = []
            length = 0
            for row in part:
                size = sum([len(value) for value in row if isinstance(value, str)])
                if taken and (length + size > LENGTH or len(taken) >= ROWS):
                    yield taken
                    taken, length = [], 0
                taken.append(row)
                length += size
            yield taken

    def _rounds(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        key = self.key
        while rows and key is not None:
            first: dict[Any, Row] = {}
            later = [row for row in rows if first.setdefault(row[key], row) is not row]
            yield list(first.values())
            rows = later
        if rows:
            yield rows


def batch_of(statement: ClauseElement) -> Batch:
    """Make the statement for many rows of one for a row, whose parameters are in the order of its text."""
    single = compiled(statement)
    order = list(single.positiontup or ())
    if isinstance(statement, Insert) and statement.select is None:
        head, _, values = str(single).partition(" VALUES ")
        parts = (f"{head} VALUES ", values, f", {values}", "")
        return Batch(str(single), range(len(order)), *parts, ((), ()), None)
    # What SQLAlchemy has added has a value: a constant, which each row repeats.
    names = [name for name in dict.fromkeys(order) if single.binds[name].value is None]
    many = compiled(_of_table(statement, names))
    sql = _UPDATE.sub(r"UPDATE \2 STRAIGHT_JOIN \1 SET ", str(many))
    before, table, after = sql.partition(_TABLE)
    if not table:
        raise TypeError("a statement for many rows must use their values")
    first = "SELECT " + ", ".join(f"%s AS {name}" for name in names)
    other = f" UNION ALL SELECT {placed(len(names))}"
    outer = [many.params[name] for name in many.positiontup or ()]
    split = before.count("%s")
    key = order.index("id_") if isinstance(statement, Update) and "id_" in order else None
    constants = (outer[:split], outer[split:])
    return Batch(str(single), list(map(order.index, names)), before, first, other, after, constants, key)


def compiled(statement: ClauseElement) -> SQLCompiler:
    """Write a statement as SQL."""
    found = statement.compile(dialect=DIALECT, compile_kwargs={"render_postcompile": True})
    if not isinstance(found, SQLCompiler):
        raise TypeError("only queries and changes of rows have parameters")
    return found


def _of_table(statement: ClauseElement, names: Sequence[str]) -> ClauseElement:
    """Let a statement take its parameters from a table of the rows."""
    rows = text(_TABLE).columns(*map(column, names)).alias("rows_")

    def of_row(element: Any, **_: Any) -> Any:
        return rows.c[element.key] if isinstance(element, BindParameter) and element.key in names else None

    return cast(ClauseElement, visitors.replacement_traverse(statement, {}, of_row))
