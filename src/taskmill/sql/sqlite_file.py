"""Opening SQLite the durable way, and telling its errors apart (docs/architecture.md: why APSW)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import apsw

from taskmill.sql import sqlite_rows
from taskmill.sql.coded import stored
from taskmill.sql.errors import DatabaseDamaged, DatabaseError, DatabaseUnavailable
from taskmill.sql.sqlite_text import LenientCursor
from taskmill.sql.writer import Groups

T = TypeVar("T")

CHECKPOINT_PAGES = 1000  # of the write-ahead log, as SQLite's own default
CHECK_STEPS = 20_000_000  # virtual-machine steps of the integrity check at start: well under half a second
STAGE_ROWS = 1_000  # in a batch that the loop runs itself: a few milliseconds
INCREMENTAL = 2  # `auto_vacuum`: the file can give space back later
BUSY_MS = 5_000  # for a backup or a shell that holds the file for a moment

# What a failed write may be followed by: SQLite has rolled it back, and it may work the next time.
_PASSING = (apsw.FullError, apsw.BusyError, apsw.LockedError)
_NO_ROOM = (apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_SHMSIZE)
_DAMAGE = (apsw.CorruptError, apsw.NotADBError)


def explain(error: apsw.Error, path: str) -> DatabaseError:
    """Turn SQLite's error into what is to be done about it."""
    if isinstance(error, apsw.FullError) or getattr(error, "extendedresult", 0) in _NO_ROOM:
        return DatabaseUnavailable(
            f"the disk of {path} is full or refuses writes: make room; it goes on by itself"
        )
    if isinstance(error, _PASSING):
        return DatabaseUnavailable(f"{path} is locked by another program, such as a backup: end it")
    if isinstance(error, _DAMAGE):
        return DatabaseDamaged(
            f"{path} is damaged ({error}): restore a backup, or salvage it with `sqlite3 {path} .recover`"
        )
    if isinstance(error, apsw.IOError):
        return DatabaseDamaged(
            f"reading or flushing {path} failed ({error}): look after the disk, then start again"
        )
    return DatabaseError(f"{path}: {error}")


def open_writer(path: str, pragmas: Mapping[str, str | int]) -> apsw.Connection:
    """Open the connection that alone writes and checkpoints, in WAL mode with ``synchronous=FULL``.

    Two connections that write or checkpoint one file met a bug of SQLite up to 3.51.2 that damaged it, so
    there is only this one. A fresh database's directory is flushed too, which SQLite does not insist on.
    """
    fresh = path == ":memory:" or not Path(path).exists()
    try:
        connection = apsw.Connection(path)
        connection.cursor_factory = LenientCursor
        connection.set_busy_timeout(BUSY_MS)
        if fresh:
            connection.pragma("auto_vacuum", INCREMENTAL)
        connection.pragma("journal_mode", "wal")
        connection.pragma("wal_autocheckpoint", 0)  # by hand, after the commits that wait are reported
        connection.pragma("journal_size_limit", 2**26)
        connection.pragma("cache_size", -65_536)  # KiB, given as a negative number
        settings = {"synchronous": "full", **pragmas}
        for name, value in settings.items():
            connection.pragma(name, value)
        if connection.pragma("synchronous") not in (2, 3) and settings["synchronous"] == "full":
            raise DatabaseError(f"{path}: SQLite did not take `synchronous=full`")
        if path != ":memory:":
            _check(connection)
    except apsw.Error as error:
        raise explain(error, path) from error
    if fresh and path != ":memory:":
        directory = os.open(Path(path).parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(directory)
        os.close(directory)
    return connection


def open_reader(path: str) -> apsw.Connection:
    """Open a connection that can only read, and so never blocks or meets the writer."""
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    connection.cursor_factory = LenientCursor
    connection.set_busy_timeout(BUSY_MS)
    connection.pragma("query_only", 1)
    connection.pragma("cache_size", -16_384)
    return connection


def _check(connection: apsw.Connection) -> None:
    """Look for damage, for a bounded time: all of a small database, the first part of a large one."""
    connection.set_progress_handler(lambda: True, CHECK_STEPS)
    try:
        with suppress(apsw.InterruptError):
            found = connection.execute("PRAGMA quick_check(1)").fetchall()
            if found != [("ok",)]:
                raise apsw.CorruptError(str(found[0][0]).replace("\n", " "))
    finally:
        connection.set_progress_handler(None)


class SqliteTransactor:
    """The writer's hands: its thread's, and the loop's while the thread waits for a batch."""

    def __init__(self, connection: apsw.Connection, path: str) -> None:
        self.changed: Sequence[int] = ()  # a process that has the file for itself need not know
        self._connection = connection
        self._path = path
        self._log_pages = 0
        self.checkpoint_soon = False  # with the next commit, however short the log is
        connection.set_wal_hook(self._grown)

    def stage(self, groups: Groups) -> bool:
        """Begin a transaction and run small groups in it, without waiting for a lock."""
        connection = self._connection
        if sum(len(rows) for _, rows in groups) > STAGE_ROWS or connection.in_transaction:
            return False
        try:
            connection.set_busy_timeout(0)
            connection.execute("BEGIN IMMEDIATE")
            for sql, rows in groups:
                connection.executemany(sql, stored(sql, rows))
        except Exception:  # the thread meets it again, with time to wait, and explains it
            self._roll_back()
            return False
        finally:
            connection.set_busy_timeout(BUSY_MS)
        return True

    def commit(self, groups: Groups, calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        """Run groups and calls in one transaction; see :class:`taskmill.sql.writer.Transactor`."""
        connection = self._connection
        try:
            if not connection.in_transaction:
                connection.execute("BEGIN IMMEDIATE")
            for sql, rows in groups:
                sqlite_rows.run(connection, sql, stored(sql, rows))
            values = [self._attempt(call) for call in calls]
            connection.execute("COMMIT")
        except Exception as error:  # also of a value that cannot be bound, which is no error of SQLite
            self._roll_back()
            if isinstance(error, apsw.Error):
                raise explain(error, self._path) from error
            raise
        return values

    def upkeep_due(self) -> bool:
        """Whether the write-ahead log is long, or somebody waits for it to be moved."""
        return self._log_pages >= CHECKPOINT_PAGES or self.checkpoint_soon

    def upkeep(self) -> None:
        """Move the write-ahead log into the database."""
        self.checkpoint_soon = False
        self.checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)

    def checkpoint(self, mode: int) -> None:
        """Move what readers let go of the write-ahead log into the database."""
        try:
            self._connection.wal_checkpoint(mode=mode)
            self._log_pages = 0
        except apsw.Error as error:
            explained = explain(error, self._path)
            if not isinstance(explained, DatabaseUnavailable):
                raise explained from error

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(apsw.Error):
                self._connection.execute("ROLLBACK")

    def _attempt(self, call: Callable[[apsw.Connection], T]) -> T | Exception:
        self._connection.execute("SAVEPOINT attempt")
        try:
            value: T | Exception = call(self._connection)
        except apsw.Error as error:
            if not self._connection.in_transaction:
                raise  # a full disk ends the whole transaction, not only the call
            self._connection.execute("ROLLBACK TO attempt")
            value = explain(error, self._path)
        except Exception as error:
            self._connection.execute("ROLLBACK TO attempt")
            value = error
        self._connection.execute("RELEASE attempt")
        return value

    def _grown(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_pages = pages
        return apsw.SQLITE_OK
