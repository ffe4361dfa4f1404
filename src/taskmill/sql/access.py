"""``sql.get(id)``: a database for functions that want one, with SQLAlchemy Core as the query builder.

Statements are built and compiled by SQLAlchemy and run on Taskmill's own connections. A second SQLite
library in the process (Python's ``sqlite3``) must not open the same file: the locks of one would be dropped
by the other.
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sqlalchemy import ClauseElement, Compiled, Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from taskmill.registry import nearest
from taskmill.sql.errors import DatabaseError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from taskmill.sql.database import Database

Row = dict[str, Any]

LEASE_TIMEOUT = 10.0  # seconds to wait for a connection
_databases: dict[str, Database] = {}


def register(id_: str, database: Database) -> None:
    """Make a started database known to :func:`get`."""
    _databases[id_] = database


def forget(id_: str, database: Database) -> None:
    """Take back :func:`register`."""
    if _databases.get(id_) is database:
        del _databases[id_]


def get(id: str) -> Lease:  # noqa: A002 - it is called an id everywhere
    """Return a connection to the database entry ``id``.

    In a ``def``: ``with sql.get("app:db") as db: db.query(select(…))``. In an ``async def``:
    ``async with sql.get("app:db") as db: await db.query(select(…))``.

    Raises:
        DatabaseError: no such database has started.
    """
    database = _databases.get(id)
    if database is None:
        near = nearest(id, _databases)
        raise DatabaseError(f"no database `{id}` has started" + (f"; did you mean `{near}`?" if near else ""))
    return Lease(database)


class Lease:
    """A connection that is given back at the end of its ``with`` block, or by :meth:`release`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._borrowed: AbstractContextManager[Any] | None = None

    def __enter__(self) -> Session:
        """Take a connection, in a thread."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.acquire()
        raise DatabaseError(
            "this would block the event loop: write `async with sql.get(…)` in an `async def`"
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back."""
        self.release()

    async def __aenter__(self) -> AsyncSession:
        """Take a connection, on the loop."""
        return AsyncSession(await asyncio.to_thread(self.acquire))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the connection back."""
        self.release()

    def acquire(self) -> Session:
        """Take a connection without a ``with`` block; :meth:`release` must follow."""
        borrowed = self._database.reader(LEASE_TIMEOUT)
        try:
            connection = borrowed.__enter__()
        except TimeoutError:
            raise DatabaseError(
                f"no connection of {self._database.id} came free in {LEASE_TIMEOUT:g} s; "
                f"release them sooner, or raise its `{self._database.readers_field}`"
            ) from None
        self._borrowed = borrowed
        return Session(self._database, connection, self)

    def release(self) -> None:
        """Give the connection back. More than once is no error."""
        borrowed, self._borrowed = self._borrowed, None
        if borrowed is not None:
            borrowed.__exit__(None, None, None)

    def __del__(self) -> None:
        if self._borrowed is not None:
            warnings.warn(
                f"a connection of {self._database.id} was never released: use `with sql.get(…)`",
                ResourceWarning,
                stacklevel=2,
            )
            self.release()


class Session:
    """A connection in use, in a thread."""

    def __init__(self, database: Database, connection: Any, lease: Lease) -> None:
        self._database = database
        self._connection = connection
        self._lease = lease  # kept alive by its session, and released with it

    def query(self, statement: ClauseElement) -> list[Row]:
        """Run a SELECT and return its rows, each a mapping of column names to values."""
        if self._connection is None:
            rows: list[Row] = self._write(lambda connection: self._run(connection, statement)[0])
            return rows
        try:
            return self._run(self._connection, statement)[0]
        except Exception as error:
            raise self._database.explain(error) from error

    def execute(self, *statements: ClauseElement) -> int:
        """Run statements in one transaction; return how many rows changed once that is durable.

        They share the writer's next commit, so a transaction is a list of statements and never stays open.
        """
        count: int = self._write(lambda connection: sum(self._run(connection, one)[1] for one in statements))
        return count

    def _write(self, call: Callable[[Any], Any]) -> Any:
        writer = self._database.writer
        return asyncio.run_coroutine_threadsafe(writer.run(call), writer.loop).result()

    def _run(self, connection: Any, statement: ClauseElement) -> tuple[list[Row], int]:
        dialect = self._database.core
        compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
        ran = self._database.run(connection, str(compiled), _arguments(compiled))
        converters = _converters(compiled, ran.names, dialect)
        rows = [
            {
                name: convert(value) if convert else value
                for name, convert, value in zip(ran.names, converters, row, strict=True)
            }
            for row in ran.rows
        ]
        return rows, ran.changed


class AsyncSession:
    """A connection in use, on the event loop."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def query(self, statement: ClauseElement) -> list[Row]:
        """Run a SELECT and return its rows, each a mapping of column names to values."""
        return await asyncio.to_thread(self._session.query, statement)

    async def execute(self, *statements: ClauseElement) -> int:
        """Run statements in one transaction; return how many rows changed once that is durable."""
        return await asyncio.to_thread(self._session.execute, *statements)


def _arguments(compiled: Compiled) -> list[Any]:
    if not isinstance(compiled, SQLCompiler):  # such as CREATE TABLE
        return []
    processors = compiled._bind_processors  # as SQLAlchemy's own execution does
    params = compiled.construct_params()
    return [
        processors[name](params[name]) if name in processors else params[name]  # type: ignore[operator]
        for name in compiled.positiontup or ()
    ]


def _converters(
    compiled: Compiled, names: Sequence[str], dialect: Dialect
) -> Sequence[Callable[[Any], Any] | None]:
    """Return what makes Python values of each column, such as of JSON and DateTime, as SQLAlchemy would."""
    columns = compiled._result_columns if isinstance(compiled, SQLCompiler) else []
    if [column.keyname for column in columns] != names:  # SQL written as text says nothing of types
        return [None] * len(names)
    return [column.type._cached_result_processor(dialect, None) for column in columns]
