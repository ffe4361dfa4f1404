"""What the rest of Taskmill uses of a database, whichever engine it is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from sqlalchemy import ClauseElement, Dialect

from taskmill.registry import Entry, EntryConfig
from taskmill.sql.sessions import Session, WriterSession
from taskmill.sql.signals import Signals
from taskmill.sql.space import Space
from taskmill.sql.writer import Writer
from taskmill.supervisor import Context

T = TypeVar("T")


class Cursor(Protocol):
    """The rows of a query, as tuples."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def close(self) -> object:
        """Let go of what is left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What the calls of :meth:`Database.read` and of the writer work with, in a thread."""

    def execute(self, sql: str, arguments: Sequence[Any] = ..., /) -> Cursor:
        """Run one statement as :meth:`Database.bind` returns it."""


class Ran(NamedTuple):
    """What a statement came to: its columns and rows if it has any, and how many rows it changed."""

    names: list[str]
    rows: list[Any]
    changed: int


class Transaction:
    """What a call of :meth:`Database.write` works with: statements of SQLAlchemy Core, in one transaction."""

    def __init__(self, database: Database, connection: Any) -> None:
        self._database = database
        self._connection = connection

    def fetch(self, statement: ClauseElement, **values: Any) -> list[Any]:
        """Run a query, and return its rows as tuples."""
        sql, arguments = self._database.bind(statement, values)
        rows: list[Any] = self._connection.execute(sql, arguments).fetchall()
        return rows

    def change(self, statement: ClauseElement, **values: Any) -> int:
        """Run an insert, update or delete; return how many rows it changed."""
        return self._database.change(self._connection, *self._database.bind(statement, values))

    def change_all(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run a statement that :meth:`Database.compile` has written for each of the rows, hundreds in one go."""
        self._database.change_all(self._connection, sql, rows)

    def serialize(self, name: str) -> None:
        """Wait until no other node is in a transaction that has called this for the name: to look before a write."""
        self._database.serialize(self._connection, name)


class Database(ABC):
    """A database. Writes go through :attr:`writer`, reads through :meth:`read`, neither blocks the other.

    Attributes:
        dialect: ``sqlite``, ``postgresql`` or ``mysql``: which SQL of a migration is its own.
        shared: whether several nodes may use it at once.
        core: how SQLAlchemy writes statements for it, with parameters by their place.
        readers_field: which field of its entry says how many connections read.
        id: of its entry.
        place: what messages call it: its file or server, without secrets.
        killed: whether what used it last may have been killed, so that a task may have begun without a trace.
        clock_offset: seconds to add to this machine's clock to have the database's.
        signals: how nodes wake each other up; a hint only, which may be lost.
        writer: of every write; it is there once the database has started.
    """

    kind: ClassVar[str]
    Config: ClassVar[type[EntryConfig]]
    dialect: ClassVar[str]
    shared: ClassVar[bool]

    core: ClassVar[Dialect]
    readers_field: ClassVar[str]

    id: str
    place: str
    killed: bool
    clock_offset: float
    signals: Signals
    writer: Writer

    @abstractmethod
    def __init__(self, entry: Entry[Any], context: Context) -> None: ...

    @abstractmethod
    async def start(self) -> None:
        """Open it. Raises DatabaseError where it cannot be used."""

    @abstractmethod
    async def stop(self) -> None:
        """Commit what waits, and close it."""

    @abstractmethod
    async def probe(self) -> None:
        """Write something, and raise DatabaseError where that is not possible, or soon will not be."""

    @abstractmethod
    def compile(self, statement: ClauseElement) -> str:
        """Write a statement as SQL for a lane of the writer, whose rows are its parameters in the order of its text."""

    @abstractmethod
    def bind(self, statement: ClauseElement, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """Return a statement's SQL and the values of its parameters, some of which SQLAlchemy has added."""

    @abstractmethod
    def change(self, connection: Any, sql: str, arguments: Sequence[Any]) -> int:
        """In a call of the writer, change rows; return how many that were."""

    @abstractmethod
    def change_all(self, connection: Any, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """In a call of the writer, run a statement of a lane for each of the rows."""

    @abstractmethod
    def run(self, connection: Any, sql: str, arguments: Sequence[Any]) -> Ran:
        """In a call, run any statement."""

    @abstractmethod
    def explain(self, error: Exception) -> Exception:
        """Turn an error of the driver, in a call, into what is to be done about it; return any other as it is."""

    @abstractmethod
    def iterate(self, connection: Any, sql: str, arguments: Sequence[Any]) -> Generator[Any]:
        """In a call of :meth:`read`, give rows as they come, for one who stops before the last: close it then."""

    @abstractmethod
    def serialize(self, connection: Any, name: str) -> None:
        """In a call of the writer, wait until no other node is in a transaction that has called this for the name."""

    @abstractmethod
    async def read(self, call: Callable[[Any], T]) -> T:
        """Run ``call(connection)`` on a :class:`Connection` that can only read, in a thread.

        Fetch all rows at once: a read that stays open keeps the database from using space again.
        """

    @abstractmethod
    def reader(self, timeout: float | None = None) -> AbstractContextManager[Any]:
        """Borrow a read connection, in a thread; None where only the writer has one.

        Raises TimeoutError if none is free within ``timeout`` seconds.
        """

    async def write(self, call: Callable[[Transaction], T], then: Callable[[T], None] | None = None) -> T:
        """Run ``call(transaction)`` within the next commit, in the writer's thread; see :meth:`Writer.run`.

        It may be run again from its start where the database could not commit it beside other transactions.
        """
        return await self.writer.run(lambda connection: call(Transaction(self, connection)), then)

    def session(self) -> Session:
        """Return what runs transactions from a thread: on a connection of its own, where the database has such."""
        return WriterSession(self)

    @abstractmethod
    async def measure(self) -> Space:
        """Return the space that it takes by its last commit."""

    @abstractmethod
    async def give_back(self, pages: int) -> float:
        """Cut so many free pages off, if it can; return the seconds for which that kept the writer busy."""

    @abstractmethod
    async def checkpoint(self) -> None:
        """Have what :meth:`give_back` cut off leave the disk soon."""
