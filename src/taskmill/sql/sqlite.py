"""``db.sql.sqlite``: an SQLite database, one writer and a few readers."""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from shutil import disk_usage
from typing import Annotated, Any, ClassVar, TypeVar

import apsw
from msgspec import Meta, field
from sqlalchemy import ClauseElement
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from taskmill.registry import Entry, EntryConfig
from taskmill.sql import access
from taskmill.sql.errors import DatabaseDamaged, DatabaseError, DatabaseUnavailable
from taskmill.sql.ownership import Ownership
from taskmill.sql.sqlite_file import SqliteTransactor, explain, open_reader, open_writer
from taskmill.sql.writer import Writer
from taskmill.supervisor import Context

logger = logging.getLogger(__name__)
T = TypeVar("T")

MEMORY = ":memory:"
ROOM = 2**20  # bytes on its disk below which a database is not well


_DIALECT = sqlite.dialect(paramstyle="qmark")


@cache
def _compiled(statement: ClauseElement) -> SQLCompiler:
    compiled = statement.compile(dialect=_DIALECT, compile_kwargs={"render_postcompile": True})
    if not isinstance(compiled, SQLCompiler):
        raise TypeError("only queries and changes of rows have parameters")
    return compiled


class SqliteConfig(EntryConfig, kw_only=True, forbid_unknown_fields=True):
    """An SQLite database. A ``202`` is given only once its row is flushed to this file."""

    file: Annotated[
        str,
        Meta(min_length=1, description="The file, below the data directory unless absolute; or `:memory:`."),
    ]
    options: Annotated[
        dict[Annotated[str, Meta(pattern="^[a-z_]+$")], str | int],
        Meta(
            description="Pragmas, such as `cache_size: -100000`. `synchronous` below `full` risks acknowledged tasks."
        ),
    ] = field(default_factory=dict)
    max_pending: Annotated[
        int, Meta(ge=1, description="Writes that may wait for a commit; beyond it 503.")
    ] = 10_000
    readers: Annotated[int, Meta(ge=1, le=64, description="Connections for reading.")] = 4


class Transaction:
    """What a call of :meth:`SqliteDatabase.write` works with: statements of SQLAlchemy Core, in one transaction."""

    def __init__(self, database: SqliteDatabase, connection: apsw.Connection) -> None:
        self._database = database
        self._connection = connection

    def fetch(self, statement: ClauseElement, **values: Any) -> list[Any]:
        """Run a query, and return its rows as tuples."""
        sql, arguments = self._database.bind(statement, values)
        return self._connection.execute(sql, arguments).fetchall()

    def change(self, statement: ClauseElement, **values: Any) -> int:
        """Run an insert, update or delete; return how many rows it changed."""
        sql, arguments = self._database.bind(statement, values)
        self._connection.execute(sql, arguments)
        return self._connection.changes()


class SqliteDatabase:
    """The database. Writes go through :attr:`writer`, reads through :meth:`read`, neither blocks the other."""

    kind: ClassVar[str] = "db.sql.sqlite"
    Config: ClassVar[type[EntryConfig]] = SqliteConfig

    writer: Writer

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        config: SqliteConfig = entry.config
        self.id = entry.id
        self._entry = entry
        self.path = MEMORY if config.file == MEMORY else str((context.data_dir / config.file).resolve())
        self.in_memory = self.path == MEMORY
        self.killed = False  # the last process that had it open was killed
        self._config = config
        self._context = context
        self._ownership: Ownership | None = None
        self._readers: queue.Queue[apsw.Connection] = queue.Queue()
        self._connection: apsw.Connection | None = None
        self._opening: asyncio.Future[apsw.Connection] | None = None

    @classmethod
    def warnings(cls, entry: Entry[Any]) -> Iterator[str]:
        """Tell of options that are allowed and yet risk tasks."""
        if str(entry.config.options.get("synchronous", "full")).lower() not in ("full", "extra", "2", "3"):
            yield (
                f"{entry.id}: with this `synchronous` a power loss takes acknowledged tasks along; "
                "leave it out, or set it to `full`"
            )

    async def start(self) -> None:
        """Open the database. Raises DatabaseError where it is another's, damaged, or cannot be written."""
        for warning in self.warnings(self._entry):
            logger.warning("%s", warning)
        # A thread goes on where its caller is cancelled: what it opens is for `stop` to find, and to close.
        self._opening = asyncio.get_running_loop().run_in_executor(None, self._open)
        connection = await asyncio.shield(self._opening)
        self._transactor = SqliteTransactor(connection, self.path)
        self._threads = ThreadPoolExecutor(self._config.readers, thread_name_prefix="taskmill-reader")
        self.writer = Writer(self._transactor, self._config.max_pending, self._damaged)
        if self._ownership is not None:
            await self.probe()
            self._ownership.opened()
            for _ in range(self._config.readers):
                self._readers.put(open_reader(self.path))
        access.register(self.id, self)

    async def stop(self) -> None:
        """Commit what waits, move the write-ahead log into the file, close."""
        access.forget(self.id, self)
        if self._opening is not None:
            await asyncio.wait([self._opening])
        connection, self._connection = self._connection, None
        ownership, self._ownership = self._ownership, None
        if connection is not None and hasattr(self, "writer"):
            await self.writer.stop()
            await asyncio.to_thread(self._threads.shutdown)
            await asyncio.to_thread(self._close, connection, ownership)
            return
        if connection is not None:
            connection.close()
        if ownership is not None:
            ownership.release(clean=False)

    async def probe(self) -> None:
        """Write something, and raise DatabaseError where that is not possible, or soon will not be."""
        if not self.in_memory and disk_usage(Path(self.path).parent).free < ROOM:
            raise DatabaseUnavailable(f"the disk of {self.path} is full: make room; it goes on by itself")
        await self.writer.run(lambda connection: connection.pragma("user_version", 1))

    def compile(self, statement: ClauseElement) -> str:
        """Write a statement as SQL with `?` for each of its parameters, in the order of its text."""
        return str(_compiled(statement))

    def bind(self, statement: ClauseElement, values: Mapping[str, Any]) -> tuple[str, list[Any]]:
        """Return a statement's SQL and the values of its parameters, some of which SQLAlchemy has added."""
        compiled = _compiled(statement)
        every = {**compiled.params, **values}
        return str(compiled), [every[name] for name in compiled.positiontup or ()]

    async def read(self, call: Callable[[apsw.Connection], T]) -> T:
        """Run ``call(connection)`` on a connection that can only read, in a thread.

        Fetch all rows at once: a read that stays open keeps the write-ahead log from being reused.
        """
        if self.in_memory:  # it is private to its one connection
            return await self.writer.run(call)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, call)

    async def write(self, call: Callable[[Transaction], T], then: Callable[[T], None] | None = None) -> T:
        """Run ``call(transaction)`` within the next commit, in the writer's thread; see :meth:`Writer.run`."""
        return await self.writer.run(lambda connection: call(Transaction(self, connection)), then)

    async def checkpoint(self) -> None:
        """Move the write-ahead log into the file soon, as far as readers let go of it; the file may get shorter."""
        self._transactor.checkpoint_soon = True
        await self.writer.run(lambda _: None)

    @contextmanager
    def reader(self, timeout: float | None = None) -> Iterator[apsw.Connection]:
        """Borrow a read connection, in a thread. Raises queue.Empty if none is free within ``timeout`` seconds."""
        connection = self._readers.get(timeout=timeout)
        try:
            yield connection
        finally:
            self._readers.put(connection)

    def _read(self, call: Callable[[apsw.Connection], T]) -> T:
        with self.reader() as connection:
            try:
                return call(connection)
            except apsw.Error as error:
                explained = explain(error, self.path)
                if isinstance(explained, DatabaseDamaged):
                    self.writer.loop.call_soon_threadsafe(self._damaged, explained)
                raise explained from error

    def _damaged(self, error: DatabaseDamaged) -> None:
        self.writer.damage = error  # also where a read has found it
        self._context.fail(self.id, error)

    def _open(self) -> apsw.Connection:
        if not self.in_memory:
            self._ownership = Ownership(Path(self.path))
            self.killed = self._ownership.killed
        self._connection = open_writer(self.path, self._config.options)
        return self._connection

    def _close(self, connection: apsw.Connection, ownership: Ownership | None) -> None:
        while not self._readers.empty():
            self._readers.get_nowait().close()
        clean = False
        if ownership is not None:
            try:
                if self.writer.damage is None:
                    self._transactor.checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
                else:  # leave the files as they are
                    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                connection.close()
                clean = not Path(self.path + "-wal").exists()
            except (apsw.Error, DatabaseError):
                logger.exception(
                    "%s was not closed cleanly; its write-ahead log keeps what it needs", self.path
                )
            ownership.release(clean)
        else:
            connection.close()
