r"""Texts in SQLite that are not UTF-8, which another program or a damaged disk may leave: the rest stays readable.

APSW refuses all rows of a query for one such text. They are then read again, with the bytes that are no text written
as `\xff`: what was JSON is none any more, so that it is shown, and is not run as though nothing had happened.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import apsw


class LenientCursor(apsw.Cursor):
    """A cursor whose :meth:`fetchall` reads any text. To read row by row, use :func:`rows_of`."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        try:
            return super().fetchall()
        except UnicodeDecodeError:
            return _legible(self)


def rows_of(connection: apsw.Connection, sql: str, arguments: Sequence[Any]) -> Generator[Any]:
    """Run a query, and give its rows as they come."""
    cursor = connection.execute(sql, arguments)
    given = 0
    try:
        for row in cursor:
            yield row
            given += 1
    except UnicodeDecodeError:
        yield from _legible(cursor)[given:]
    finally:
        cursor.close()


def _legible(cursor: apsw.Cursor) -> list[Any]:
    """Return all rows of the query that the cursor has run. Raises the error under way where it was a change."""
    if not cursor.is_readonly:
        raise  # noqa: PLE0704 - it would be done a second time
    columns = [f"c{place}" for place in range(len(cursor.get_description()))]
    read = ", ".join(
        f"typeof({name}), iif(typeof({name}) = 'text', CAST({name} AS BLOB), {name})" for name in columns
    )
    names = ", ".join(columns)
    query = f"SELECT {read} FROM found"  # noqa: S608 - names of ours
    asked = f"WITH found({names}) AS MATERIALIZED ({cursor.expanded_sql}) {query}"
    return [
        tuple(
            value.decode(errors="backslashreplace") if kind == "text" else value
            for kind, value in zip(row[::2], row[1::2], strict=True)
        )
        for row in cursor.connection.execute(asked)
    ]
