"""One owner for a database file, and what the owner before left behind.

A lock on a file *beside* the database: closing any descriptor of the database itself would drop the locks
that SQLite holds on it. The kernel lets go of the lock when its holder dies, so a ``kill -9`` leaves none.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import msgspec

from taskmill.sql.errors import DatabaseDamaged, DatabaseError


class _Note(msgspec.Struct):
    """What stands in the lock file."""

    pid: int = 0
    created: bool = False  # the database has held data
    clean: bool = True  # its last owner closed it, so no write-ahead log is needed


class Ownership:
    """The claim on a database file, held until :meth:`release`.

    Raises:
        DatabaseError: another process holds it, or the directory cannot be written.
        DatabaseDamaged: the database or its write-ahead log, which must be there, is not.
    """

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".lock")
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise DatabaseError(
                f"{database.parent} cannot be written ({error.strerror}); "
                "choose a directory that this user may write, with `--data DIR`"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = self._read().pid
            os.close(self._descriptor)
            raise DatabaseError(
                f"{database} is in use by process {holder}; stop that one, or choose another `--data DIR`"
            ) from None
        self._note = self._read()
        self.killed = not self._note.clean  # the last owner had no time to close the database
        try:
            self._look_for(database)
            self._note.pid = os.getpid()
            self._write()
        except DatabaseDamaged:
            os.close(self._descriptor)
            raise
        except OSError as error:
            os.close(self._descriptor)
            raise DatabaseError(
                f"{self._path} cannot be written ({error.strerror}): make room on its disk"
            ) from None

    def opened(self) -> None:
        """Note that the database holds data and is open: from now on its write-ahead log belongs to it."""
        self._note.created, self._note.clean = True, False
        self._write()

    def release(self, clean: bool) -> None:
        """Let go. ``clean`` says that everything stands in the database file itself."""
        self._note.clean = clean or self._note.clean
        self._note.pid = 0
        self._write()
        os.close(self._descriptor)

    def _look_for(self, database: Path) -> None:
        if not self._note.created:
            return
        remedy = f"restore a backup, or remove {self._path} to begin with an empty database"
        if not database.exists() or database.stat().st_size == 0:
            raise DatabaseDamaged(f"{database} held tasks and is gone or empty now; {remedy}")
        log = database.with_name(database.name + "-wal")
        if not self._note.clean and not log.exists():
            raise DatabaseDamaged(
                f"{log} is gone, and with it the last tasks that were acknowledged; {remedy}, "
                f"or to go on without them"
            )

    def _read(self) -> _Note:
        content = os.pread(self._descriptor, 4096, 0)
        try:
            return msgspec.json.decode(content, type=_Note)
        except msgspec.DecodeError:
            return _Note()

    def _write(self) -> None:
        content = msgspec.json.encode(self._note)
        os.pwrite(self._descriptor, content.ljust(80) + b"\n", 0)
        os.fdatasync(self._descriptor)
