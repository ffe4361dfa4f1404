"""``db.sql.sqlite``: an SQLite database, one writer and a few readers."""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from shutil import disk_usage
from time import perf_counter
from typing import Annotated, Any, ClassVar, TypeVar

import apsw
from msgspec import Meta, field
from sqlalchemy import ClauseElement, Dialect
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from taskmill.registry import Entry, EntryConfig
from taskmill.sql import access, sqlite_rows
from taskmill.sql.database import Database, Ran
from taskmill.sql.errors import ONLY_READS, DatabaseDamaged, DatabaseError, DatabaseUnavailable
from taskmill.sql.ownership import Ownership
from taskmill.sql.signals import Signals
from taskmill.sql.space import Space
from taskmill.sql.sqlite_file import INCREMENTAL, SqliteTransactor, explain, open_reader, open_writer
from taskmill.sql.sqlite_text import rows_of
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


class SqliteDatabase(Database):
    """A file that one process has for itself."""

    kind: ClassVar[str] = "db.sql.sqlite"
    Config: ClassVar[type[EntryConfig]] = SqliteConfig
    dialect: ClassVar[str] = "sqlite"
    shared: ClassVar[bool] = False
    core: ClassVar[Dialect] = _DIALECT
    readers_field: ClassVar[str] = "readers"

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        config: SqliteConfig = entry.config
        self.id = entry.id
        self._entry = entry
        self.path = MEMORY if config.file == MEMORY else str((context.data_dir / config.file).resolve())
        self.place = self.path
        self.in_memory = self.path == MEMORY
        self.killed = False
        self.clock_offset = 0.0
        self.signals = Signals()
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

    def change(self, connection: apsw.Connection, sql: str, arguments: Sequence[Any]) -> int:
        """In a call of the writer, change rows; return how many that were."""
        connection.execute(sql, arguments)
        return connection.changes()

    def change_all(self, connection: apsw.Connection, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """In a call of the writer, run a statement of a lane for each of the rows."""
        sqlite_rows.run(connection, sql, rows)

    def iterate(self, connection: apsw.Connection, sql: str, arguments: Sequence[Any]) -> Generator[Any]:
        """In a call of :meth:`read`, give rows as they come."""
        return rows_of(connection, sql, arguments)

    def run(self, connection: apsw.Connection, sql: str, arguments: Sequence[Any]) -> Ran:
        """In a call, run any statement."""
        before = connection.total_changes()
        cursor = connection.execute(sql, arguments)
        try:
            names = [column[0] for column in cursor.get_description()]
        except apsw.ExecutionCompleteError:  # it returns no rows
            names = []
        rows = cursor.fetchall()
        return Ran(names, rows, connection.total_changes() - before)

    def explain(self, error: Exception) -> Exception:
        """Turn an error of SQLite, in a call, into what is to be done about it; return any other as it is."""
        if isinstance(error, apsw.ReadOnlyError):
            return DatabaseError(ONLY_READS)
        return explain(error, self.path) if isinstance(error, apsw.Error) else error

    def serialize(self, connection: apsw.Connection, name: str) -> None:
        """Do nothing: there is one writer."""

    async def read(self, call: Callable[[apsw.Connection], T]) -> T:
        """Run ``call(connection)`` on a connection that can only read, in a thread.

        Fetch all rows at once: a read that stays open keeps the write-ahead log from being reused.
        """
        if self.in_memory:  # it is private to its one connection
            return await self.writer.run(call)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, call)

    async def measure(self) -> Space:
        """Return the space that its file takes by its last commit."""

        def call(connection: apsw.Connection) -> Space:
            names = ("page_size", "page_count", "freelist_count", "auto_vacuum")
            page_size, pages, free, vacuum = (connection.pragma(name) for name in names)
            return Space(page_size, pages, free, vacuum == INCREMENTAL)

        return await self.read(call)

    async def give_back(self, pages: int) -> float:
        """Cut so many free pages off the file; return the seconds for which that kept the writer busy.

        What is in use at the file's end is moved. The file is cut by the checkpoint after it.
        """

        def call(connection: apsw.Connection) -> float:
            began = perf_counter()
            # It frees a page with each step of its cursor, so it is done only when all are fetched.
            connection.execute(f"PRAGMA incremental_vacuum({pages:d})").fetchall()
            return perf_counter() - began

        return await self.writer.run(call)

    async def checkpoint(self) -> None:
        """Move the write-ahead log into the file soon, as far as readers let go of it; the file may get shorter."""
        self._transactor.checkpoint_soon = True
        await self.writer.run(lambda _: None)

    @contextmanager
    def reader(self, timeout: float | None = None) -> Iterator[Any]:
        """Borrow a read connection, in a thread: None in memory, where the writer's is the only one.

        Raises TimeoutError if none is free within ``timeout`` seconds.
        """
        if self.in_memory:
            yield None
            return
        try:
            connection = self._readers.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None
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
