"""Makes a server die at a named instant, run under strace or checkpoint often, without a hook in its source.

Python imports this by itself where its folder stands in PYTHONPATH. It acts only in `taskmill run`, not in the
worker processes that inherit the environment. If a name that it wraps is gone, the server does not start.
"""

import os
import signal
import sys
import types
from typing import Any

INSTANT = os.environ.get("DIE_AT", "")
MARK = os.environ.get("DIE_MARK", "")  # only when a task is concerned whose data holds this


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Connection:
    """The writer's connection, watched for its COMMIT."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.armed = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def execute(self, sql: str, *arguments: Any) -> Any:
        armed = self.armed and sql == "COMMIT"
        if armed and INSTANT.startswith("before"):
            die()
        value = self.inner.execute(sql, *arguments)
        if armed:
            die()
        return value


def at_commit(statement: str, mark: str) -> None:
    """Die before or after the COMMIT of a transaction that has such a statement with the mark in its rows."""
    from taskmill.sql.sqlite_file import SqliteTransactor

    make, stage, commit = SqliteTransactor.__init__, SqliteTransactor.stage, SqliteTransactor.commit

    def wrapped_make(self: Any, connection: Any, path: str) -> None:
        make(self, Connection(connection), path)

    def look(self: Any, groups: Any) -> None:
        concerned = any(sql.startswith(statement) and mark in repr(rows) for sql, rows in groups)
        self._connection.armed = self._connection.armed or concerned

    def wrapped_stage(self: Any, groups: Any) -> Any:
        look(self, groups)
        return stage(self, groups)

    def wrapped_commit(self: Any, groups: Any, calls: Any) -> Any:
        look(self, groups)
        return commit(self, groups, calls)

    SqliteTransactor.__init__ = wrapped_make
    SqliteTransactor.stage, SqliteTransactor.commit = wrapped_stage, wrapped_commit


def around(owner: type, name: str, *, before: bool) -> None:
    """Die just before or after a method is called with the mark in what it is given."""
    method = getattr(owner, name)

    def wrapped(self: Any, *arguments: Any, **named: Any) -> Any:
        concerned = MARK.lower() in described((arguments, named)).lower()
        if concerned and before:
            die()
        value = method(self, *arguments, **named)
        if concerned:
            die()
        return value

    setattr(owner, name, wrapped)


def described(value: Any) -> str:
    """Write out a value, and what the objects in it hold."""
    if isinstance(value, dict):
        value = (*value, *value.values())
    if isinstance(value, list | tuple):
        return " ".join(map(described, value))
    slots = [slot for base in type(value).__mro__ for slot in getattr(base, "__slots__", ())]
    return repr(value) + " ".join(repr(getattr(value, slot, "")) for slot in slots)


def install() -> None:
    if pages := os.environ.get("CHECKPOINT_PAGES"):  # so that a short test sees many checkpoints
        from taskmill.sql import sqlite_file

        sqlite_file.CHECKPOINT_PAGES = int(pages)
    if INSTANT in ("before-commit", "after-commit"):
        at_commit("INSERT INTO task", MARK)
    elif INSTANT == "after-publish":
        from taskmill.tasks.dispatch.dispatcher import Dispatcher

        around(Dispatcher, "committed", before=False)
    elif INSTANT == "result-computed":
        from taskmill.tasks.rows.store import Store

        around(Store, "complete", before=True)
    elif INSTANT in ("before-finish", "finish-committed"):
        at_commit("UPDATE task", MARK.upper())
    elif INSTANT == "migration":
        from taskmill.sql import migrations

        migrations.time = types.SimpleNamespace(time=die)  # type: ignore[attr-defined]
    elif INSTANT:
        raise ValueError(INSTANT)


if sys.orig_argv[1:4] == ["-m", "taskmill", "run"]:
    if strace := os.environ.pop("UNDER_STRACE", ""):
        # -D: strace becomes a child of the server, which so keeps its process id.
        os.execvp("strace", ["strace", "-D", "-f", *strace.split("\t"), *sys.orig_argv])
    install()
