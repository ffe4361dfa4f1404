"""What :class:`taskmill.sql.mysql.MysqlDatabase` is made of, once it has started. It needs PyMySQL."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from pymysql.err import OperationalError
from sqlalchemy import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

from taskmill.sql.errors import ONLY_READS, DatabaseError
from taskmill.sql.mysql_batch import Batch, batch_of
from taskmill.sql.mysql_connect import Dialer
from taskmill.sql.mysql_link import LOCK_TIMEOUT, Error, Link, Session, code_of, lost
from taskmill.sql.mysql_signals import MysqlSignals
from taskmill.sql.mysql_space import measure
from taskmill.sql.mysql_start import examine
from taskmill.sql.mysql_transactor import MysqlTransactor
from taskmill.sql.pool import Pool
from taskmill.sql.space import Space

T = TypeVar("T")

READ_ONLY = 1792  # the number of the error that a change in a transaction that only reads is
NAMED_LOCK_SECONDS = 1  # to wait for another transaction that holds a name


class Options(NamedTuple):
    """Of the connections, besides where they go to."""

    readers: int
    min_idle: int
    max_lifetime: float  # seconds


class Engine:
    """The connections of a database. Its methods are for threads, other than :meth:`listen` and :meth:`add`."""

    def __init__(self, dialer: Dialer, options: Options) -> None:
        self.batches: dict[str, Batch] = {}
        self._options = options
        self._dialer = dialer
        self.transactor = MysqlTransactor(dialer, self.batches, options.max_lifetime)
        self.pool = Pool(
            lambda: dialer.connect("reader"), lambda link: link.open, Link.drop,
            most=options.readers, min_idle=options.min_idle, max_lifetime=options.max_lifetime,
        )  # fmt: skip

    def examine(self) -> list[str]:
        """Connect once; return what is allowed there and yet risks tasks. Raises DatabaseError."""
        return examine(self._dialer)

    def listen(self, *, listen: bool) -> MysqlSignals:
        """Begin to hear signals, on the loop."""
        return MysqlSignals(self._dialer, listen=listen)

    def add(self, compiled: SQLCompiler, statement: ClauseElement) -> str:
        """Make a statement known that lanes write rows by; return its name.

        That is its SQL with the names of its parameters: of two with the same text, only one may use a value twice.
        """
        name = f"{compiled} -- {', '.join(compiled.positiontup or ())}"
        if name not in self.batches:
            self.batches[name] = batch_of(statement)
        return name

    def explain(self, error: Exception) -> Exception:
        """Tell what is to be done about an error of the driver; return any other as it is."""
        if code_of(error) == READ_ONLY:
            return DatabaseError(ONLY_READS)
        return self._dialer.explain(error) if isinstance(error, Error) else error

    def another(self) -> MysqlTransactor:
        """Return what commits calls on one more connection."""
        return MysqlTransactor(self._dialer, {}, self._options.max_lifetime)

    def read(self, call: Callable[[Session], T]) -> T:
        """Run a call on a connection that can only read; again on a new one where the server has closed it."""
        for last in (False, True):
            with self.pool.lend(fresh=last) as link:
                try:
                    return call(Session(link))
                except Error as error:
                    gone = lost(link, error)
                    if gone:
                        link.drop()
                    if last or not gone:
                        raise self._dialer.explain(error) from error
        raise AssertionError("unreachable")

    @contextmanager
    def reader(self, timeout: float | None) -> Iterator[Session]:
        """Lend a connection. Raises TimeoutError where none comes free within ``timeout`` seconds."""
        with self.pool.lend(timeout) as link:
            yield Session(link)

    def measure(self) -> Space:
        """Return the space in use."""
        link = self._dialer.connect("upkeep")
        try:
            return measure(link)
        except Error as error:
            raise self._dialer.explain(error) from error
        finally:
            link.drop()

    def serialize(self, session: Session, name: str) -> None:
        """Take a named lock, until the transaction has ended.

        Such names are the whole server's, so they have that of the database in them.
        """
        session.locks = True
        sql = f"SELECT GET_LOCK(SHA1(CONCAT('taskmill ', DATABASE(), %s)), {NAMED_LOCK_SECONDS})"
        ((taken,),) = session.execute(sql, [name]).fetchall()
        if not taken:
            # The server finds no circle of such names and rows: give all up, and begin anew.
            raise OperationalError(LOCK_TIMEOUT, "another node is about the same")

    def close(self) -> None:
        """Close all connections; nobody uses one any more."""
        self.pool.close()
        self.transactor.close()


def stream(session: Session, sql: str, arguments: Sequence[Any]) -> Generator[Any]:
    """Give rows as they come."""
    return session.link.stream(sql, arguments)
