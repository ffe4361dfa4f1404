"""A connection to MySQL, and what the numbers of its errors mean for it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor, SSCursor

from taskmill.sql.errors import DatabaseError
from taskmill.sql.mysql_text import write

Error = pymysql.err.MySQLError

STATEMENT_SECONDS = 30  # after which a statement is given up

DEADLOCK, LOCK_TIMEOUT, LOCK_CYCLE = 1213, 1205, 3058
BESIDE = frozenset(
    {DEADLOCK, LOCK_TIMEOUT, LOCK_CYCLE, 1020}
)  # others are in the way: the same may well succeed
# The connection is of no use any more, or will not be in a moment: lost, killed, idle for too long, server ends.
LOST = frozenset(
    {0, 1053, 1152, 1158, 1159, 1160, 1161, 1927, 2003, 2006, 2013, 2014, 2027, 2055, 3169, 4031}
)
MOVED = frozenset({1290, 1836, 4022})  # the server takes no writes: it has become a replica


class TooLong(DatabaseError):
    """A statement is longer than the server takes."""


class Rows(Cursor):
    """A cursor that gives a list of rows, as all databases do here."""

    def fetchall(self) -> list[Any]:  # type: ignore[override]
        """Return all rows that are left."""
        return list(super().fetchall())


class Link(Connection):
    """A connection that waits less long for its first answers than for those of statements."""

    maria = False  # it is MariaDB's server, not MySQL's
    packet = 2**24  # bytes that a statement may have

    if TYPE_CHECKING:  # what its types leave out
        server_status: int
        _result: Any

        def _force_close(self) -> None: ...

    def opened(self) -> None:
        """Be patient from now on."""
        self._read_timeout = self._write_timeout = STATEMENT_SECONDS + 2

    def run(self, sql: str, arguments: Sequence[Any] = ()) -> Cursor:
        """Run one statement; raise TooLong where the server would not take it."""
        cursor = self.cursor()
        cursor.execute(self._written(sql, arguments))
        return cursor

    def stream(self, sql: str, arguments: Sequence[Any]) -> Generator[Any]:
        """Give the rows of a query as they come. Where this is closed before the last, so is the connection.

        The protocol has no other way to be spared the rest.
        """
        cursor = self.cursor(SSCursor)
        cursor.execute(self._written(sql, arguments))
        try:
            yield from iter(cursor.fetchone, None)
        finally:
            if self._result is not None and self._result.unbuffered_active:
                self._result.unbuffered_active = False
                self._force_close()

    def _written(self, sql: str, arguments: Sequence[Any]) -> Any:
        text = write(sql, arguments).encode()
        if len(text) >= self.packet:
            raise TooLong(
                f"a statement of {len(text):,} bytes is over the server's `max_allowed_packet` of {self.packet:,}: "
                "raise that, to 64M or more"
            )
        return text  # it goes out as it is, whatever the driver's types say

    def drop(self) -> None:
        """Close it. More than once is no error."""
        with suppress(Error):
            self.close()


class Session:
    """A connection as calls use it: plain statements, rows as tuples."""

    __slots__ = ("link", "locks")

    def __init__(self, link: Link) -> None:
        self.link = link
        self.locks = False  # it holds named locks, until its transaction has ended

    def execute(self, sql: str, arguments: Sequence[Any] | None = None, /) -> Cursor:
        """Run a statement; without arguments it may be several, divided by semicolons."""
        if arguments is not None:
            return self.link.run(sql, arguments)
        for one in [one for one in map(str.strip, sql.split(";")) if one]:
            cursor = self.link.run(one)
        return cursor


def code_of(error: Exception) -> int:
    """Return the number of an error of the server or the driver; -1 where it has none."""
    code = error.args[0] if isinstance(error, Error) and error.args else -1
    return code if isinstance(code, int) else -1


def lost(link: Link, error: Exception) -> bool:
    """Whether a connection is of no use after an error."""
    return not link.open or code_of(error) in LOST
