"""A connection beside those of a server, for commands that look: it reads one moment's state and changes nothing."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import apsw
from sqlalchemy import ClauseElement

from taskmill.sql.database import Database
from taskmill.sql.errors import DatabaseError
from taskmill.sql.mysql import MysqlDatabase
from taskmill.sql.postgres import PostgresDatabase
from taskmill.sql.sqlite import SqliteDatabase

STEPS = 10_000  # of SQLite's machine between two looks at the clock


class Table(NamedTuple):
    """The columns of a query, its rows, and whether there were more."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    more: bool


class Aside(ABC):
    """Reads. All its queries see the same state."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @abstractmethod
    def run(self, sql: str, arguments: Any, limit: int) -> Table:
        """Run one query; return ``limit`` rows at most. Raises DatabaseError with what the database says."""

    def fetch(self, statement: ClauseElement, values: Mapping[str, Any], limit: int = 2**31) -> list[Any]:
        """Run a statement of Taskmill's own."""
        return self.run(*self.database.bind(statement, values), limit).rows


@contextmanager
def open_aside(database: Database, seconds: float) -> Iterator[Aside]:
    """Look at a database that was not started, for so many seconds a query at most.

    Raises:
        DatabaseError: it cannot be opened; the text says why.
    """
    if isinstance(database, SqliteDatabase):
        with _sqlite(database, seconds) as aside:
            yield aside
    elif isinstance(database, PostgresDatabase):
        with _postgres(database, seconds) as aside:
            yield aside
    elif isinstance(database, MysqlDatabase):
        with _mysql(database, seconds) as aside:
            yield aside
    else:
        raise DatabaseError(f"{database.id} is of no kind that can be looked at")


class _Sqlite(Aside):
    def __init__(self, database: Database, connection: apsw.Connection, seconds: float) -> None:
        super().__init__(database)
        self._connection = connection
        self._seconds = seconds
        self._until = 0.0
        connection.set_progress_handler(lambda: time.monotonic() > self._until, STEPS)

    def run(self, sql: str, arguments: Any, limit: int) -> Table:
        self._until = time.monotonic() + self._seconds
        columns: list[str] = []
        begun: list[str] = []

        def described(cursor: apsw.Cursor, text: str, _arguments: Any) -> bool:
            begun.append(text)
            if len(begun) > 1:
                raise DatabaseError("there are several statements: write one")
            columns[:] = [one[0] for one in cursor.get_description()]
            return True

        cursor = self._connection.cursor()
        cursor.exec_trace = described
        try:
            rows = _some(cursor.execute(sql, arguments or None), limit)
        except apsw.InterruptError:
            raise DatabaseError(f"the query took longer than {self._seconds:g} s, and was given up") from None
        except apsw.Error as error:
            raise DatabaseError(str(error)) from None
        return Table(columns, rows[:limit], len(rows) > limit)


@contextmanager
def _sqlite(database: SqliteDatabase, seconds: float) -> Iterator[Aside]:
    try:
        connection = apsw.Connection(database.path, flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as error:
        raise DatabaseError(f"{database.path} cannot be read: {error}") from None
    try:
        connection.set_busy_timeout(1_000)
        connection.execute("BEGIN")
        yield _Sqlite(database, connection, seconds)
    finally:
        connection.close()


class _Server(Aside):
    """A database on a server, whose driver's ``errors`` say what is wrong."""

    def __init__(self, database: Database, execute: Any, errors: type[Exception]) -> None:
        super().__init__(database)
        self._execute = execute
        self._errors = errors

    def run(self, sql: str, arguments: Any, limit: int) -> Table:
        try:
            cursor = self._execute(sql, arguments)
            rows = _some(cursor, limit)
        except self._errors as error:
            raise DatabaseError(str(error.args[-1] if error.args else error).partition("\n")[0]) from None
        columns = [one[0] for one in cursor.description or ()]
        return Table(columns, rows[:limit], len(rows) > limit)


@contextmanager
def _postgres(database: PostgresDatabase, seconds: float) -> Iterator[Aside]:
    import psycopg  # noqa: PLC0415 - an extra

    connection = database.dialer().connect("reader")
    try:
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        connection.execute(f"SET LOCAL statement_timeout = {int(seconds * 1000)}".encode())

        def execute(
            sql: str, arguments: Any
        ) -> Any:  # as a prepared statement, of which there can be only one
            return connection.execute(sql.encode(), arguments or None, prepare=True)

        yield _Server(database, execute, psycopg.Error)
    finally:
        connection.close()


@contextmanager
def _mysql(database: MysqlDatabase, seconds: float) -> Iterator[Aside]:
    from taskmill.sql.mysql_link import Error  # noqa: PLC0415 - of an extra

    link = database.dialer().connect("reader")
    try:
        limit = (
            f"max_statement_time = {seconds:f}"
            if link.maria
            else f"max_execution_time = {int(seconds * 1000)}"
        )
        link.run(f"SET SESSION {limit}")
        link.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        link.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

        def execute(sql: str, arguments: Any) -> Any:
            if arguments:
                return link.run(sql, arguments)
            cursor = link.cursor()
            cursor.execute(sql)  # as it is: a percent sign stands for itself
            return cursor

        yield _Server(database, execute, Error)
    finally:
        link.drop()


def _some(cursor: Any, limit: int) -> list[tuple[Any, ...]]:
    """Return the first rows, and one more if there is one."""
    rows = []
    for row in cursor:
        rows.append(tuple(row))
        if len(rows) > limit:
            break
    return rows
