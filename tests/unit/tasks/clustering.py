"""Nodes in one process, over one database in memory, with every clock in the test's hands."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import apsw

from taskmill.registry import Entry
from taskmill.sql import DatabaseUnavailable, SqliteDatabase, Transaction
from taskmill.sql.sqlite import SqliteConfig
from taskmill.supervisor import Context
from taskmill.tasks.cluster.beat import Details
from taskmill.tasks.cluster.heart import Heard, Heart, Turn
from taskmill.tasks.rows.schema import MIGRATIONS

T = TypeVar("T")
EPOCH = 2440587.5  # 1970 as SQLite counts days
BEGINNING = 1_700_000_000.0  # seconds since 1970


class World:
    """A database, its clock, and the one that all nodes' monotonic clocks go by; or the true ones."""

    def __init__(self, true_clock: bool = False) -> None:
        self.now = 0.0  # seconds since the beginning
        self._lock = threading.Lock()
        self.away = False  # the database answers nobody
        self.connection = apsw.Connection(":memory:")
        if not true_clock:
            self.connection.create_scalar_function("julianday", self._julianday, deterministic=False)
        for migration in MIGRATIONS:
            self.connection.execute(migration.sql["sqlite"])
        config = SqliteConfig(name="db", kind="db.sql.sqlite", file=":memory:")
        entry: Entry[Any] = Entry("app:db", config.kind, config, Path("_index.yaml"), 1, Path())
        context = Context({}, lambda *_: None, data_dir=Path(), app_dir=Path())
        self.database = SqliteDatabase(entry, context)  # for its statements: it is never started

    def run(self, call: Callable[[Transaction], T]) -> T:
        """What a session does."""
        if self.away:
            raise DatabaseUnavailable("away")
        with self._lock, self.connection:
            return call(Transaction(self.database, self.connection))
        raise AssertionError("unreachable")

    def close(self) -> None:
        """Nothing: each node has this one."""

    def node(self, name: str = "") -> "Node":
        return Node(self, name or os.urandom(2).hex())

    def rows(self, sql: str) -> list[Any]:
        with self._lock:
            return self.connection.execute(sql).fetchall()

    def _julianday(self, *_: object) -> float:
        return EPOCH + (BEGINNING + self.now) / 86_400


class Node:
    """A heart that beats when it is told to."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.heart = Heart(name, "1.0", ["workers"], lambda: world.now)
        self.turn = Turn(world.now, Details())
        self._last: Heard | None = None

    @property
    def heard(self) -> Heard:
        """What the last beat came to."""
        assert self._last is not None
        return self._last

    def beat(self, blocked: bool = False) -> Heard:
        if not blocked:
            self.turn.at = self.world.now
        self._last = self.heart.beat(self.world, self.turn)
        return self._last

    @property
    def leads(self) -> bool:
        """Whether it believes that it leads, now."""
        return self._last is not None and self._last.fence is not None and self.world.now < self._last.until


def on_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test on a loop of its own."""

    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


def on_loop_with_path(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """Run a test that has a directory on a loop of its own."""

    @wraps(test)
    def run(tmp_path: Path) -> None:
        asyncio.run(test(tmp_path))

    return run


def on_loop_in(test: Callable[[World], Coroutine[Any, Any, None]]) -> Callable[[World], None]:
    """Run a test that has a place on a loop of its own."""

    @wraps(test)
    def run(place: World) -> None:
        asyncio.run(test(place))

    return run


@contextmanager
def world(true_clock: bool = False) -> Iterator[World]:
    """Make a world."""
    made = World(true_clock)
    try:
        yield made
    finally:
        made.connection.close()
