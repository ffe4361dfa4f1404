"""A copy of an SQLite database as it is at one moment, also while its owner writes to it.

It is made by a process of its own that only reads. SQLite's locks and its write-ahead log see to it that
the copy is of one commit, and that the owner is not held up.
"""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from taskmill.sql.errors import DatabaseError
from taskmill.sql.sqlite_file import BUSY_MS, INCREMENTAL, explain


def back_up(database: Path, copy: Path) -> int:
    """Write a copy of a database into a new file; return its bytes once they are flushed to the disk.

    All that was committed before the call is in it. There is no file of that name before it is complete.

    Raises:
        DatabaseError: there is no such database, the file exists already, or it cannot be written.
    """
    if not database.is_file():
        raise DatabaseError(
            f"no database {database}; it stands in the data directory, such as `data/tasks.db`"
        )
    if copy.exists():
        raise DatabaseError(f"{copy} exists already: choose another name, or remove it")
    if not copy.parent.is_dir():
        raise DatabaseError(f"there is no directory {copy.parent}: make it")
    unfinished = copy.with_name(copy.name + f".{os.getpid()}.unfinished")
    try:
        _write(database, unfinished)
        _flush(unfinished)
        size = unfinished.stat().st_size
        unfinished.rename(copy)
        _flush(copy.parent)
    except OSError as error:
        raise DatabaseError(f"{copy} cannot be written ({error.strerror}): choose another place") from None
    finally:
        for left in (unfinished, unfinished.with_name(unfinished.name + "-journal")):
            left.unlink(missing_ok=True)
    return size


def _write(database: Path, copy: Path) -> None:
    try:
        connection = apsw.Connection(str(database), flags=apsw.SQLITE_OPEN_READONLY)
    except apsw.Error as error:
        raise explain(error, str(database)) from error
    try:
        # The last one to close a database would move its log into it, and remove the log. That is the owner's:
        # after a kill it looks for the log.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.set_busy_timeout(BUSY_MS)
        if not connection.pragma("auto_vacuum"):  # the copy of an old database shall give space back, too
            connection.pragma("auto_vacuum", INCREMENTAL)
        connection.execute("VACUUM INTO ?", (str(copy),))
    except (apsw.FullError, apsw.CantOpenError, apsw.IOError) as error:
        raise DatabaseError(
            f"the copy cannot be written ({error}): see that its disk has room, or choose another place"
        ) from error
    except apsw.Error as error:
        raise explain(error, str(database)) from error
    finally:
        connection.close()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
