"""What :class:`taskmill.sql.postgres.PostgresDatabase` is made of, once it has started. It needs psycopg."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from psycopg import Connection, Error
from psycopg.errors import ReadOnlySqlTransaction
from sqlalchemy import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from taskmill.sql.errors import ONLY_READS, DatabaseError
from taskmill.sql.pool import Pool
from taskmill.sql.postgres_batch import Batch, batch_of
from taskmill.sql.postgres_connect import Dialer, Session, broken, usable
from taskmill.sql.postgres_signals import PostgresSignals
from taskmill.sql.postgres_start import examine
from taskmill.sql.postgres_transactor import PostgresTransactor

T = TypeVar("T")

STREAMED = 100  # rows that are fetched at a time where more may not be wanted


class Options(NamedTuple):
    """Of the connections, besides where they go to."""

    readers: int
    min_idle: int
    max_lifetime: float  # seconds
    listen: bool


class Engine:
    """The connections of a database. Its methods are for threads, other than :meth:`listen` and :meth:`add`."""

    def __init__(self, dialer: Dialer, options: Options) -> None:
        self.batches: dict[str, Batch] = {}
        self._options = options
        self._dialer = dialer
        self.transactor = PostgresTransactor(dialer, self.batches, options.max_lifetime)
        self.pool = Pool(
            lambda: dialer.connect("reader"), usable, Connection.close,
            most=options.readers, min_idle=options.min_idle, max_lifetime=options.max_lifetime,
        )  # fmt: skip

    def examine(self) -> list[str]:
        """Connect once; return what is allowed there and yet risks tasks. Raises DatabaseError."""
        return examine(self._dialer)

    def listen(self) -> PostgresSignals:
        """Begin to hear signals, on the loop."""
        return PostgresSignals(self._dialer, listen=self._options.listen)

    def add(self, compiled: SQLCompiler, statement: ClauseElement) -> str:
        """Make a statement known that lanes write rows by; return its name.

        That is its SQL with the names of its parameters: of two with the same text, only one may use a value twice.
        """
        name = f"{compiled} -- {', '.join(compiled.positiontup or ())}"
        if name not in self.batches:
            self.batches[name] = batch_of(statement)
        return name

    def explain(self, error: Exception) -> Exception:
        """Tell what is to be done about an error of psycopg; return any other as it is."""
        if isinstance(error, ReadOnlySqlTransaction):
            return DatabaseError(ONLY_READS)
        return self._dialer.explain(error) if isinstance(error, Error) else error

    def another(self) -> PostgresTransactor:
        """Return what commits calls on one more connection."""
        return PostgresTransactor(self._dialer, {}, self._options.max_lifetime)

    def read(self, call: Callable[[Session], T]) -> T:
        """Run a call on a connection that can only read; again on a new one where the server has closed it."""
        for last in (False, True):
            with self.pool.lend(fresh=last) as connection:
                try:
                    return call(Session(connection))
                except Error as error:
                    if last or not broken(connection):
                        raise self._dialer.explain(error) from error
        raise AssertionError("unreachable")

    @contextmanager
    def reader(self, timeout: float | None) -> Iterator[Session]:
        """Lend a connection. Raises TimeoutError where none comes free within ``timeout`` seconds."""
        with self.pool.lend(timeout) as connection:
            yield Session(connection)

    def close(self) -> None:
        """Close all connections; nobody uses one any more."""
        self.pool.close()
        self.transactor.close()


def stream(session: Session, sql: str, arguments: Sequence[Any]) -> Generator[Any]:
    """Give rows as they come; the query is cancelled where this is closed before the last."""
    cursor = session.connection.cursor(binary=True)
    yield from cursor.stream(sql, arguments, size=STREAMED)
