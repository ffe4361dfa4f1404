"""The connections to PostgreSQL that only read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, NamedTuple

import psycopg

from taskmill.sql.postgres_connect import Dialer, broken

SPARE_SECONDS = 60.0  # for which a connection beyond `min_idle` is kept though nobody wants it


class _Idle(NamedTuple):
    connection: psycopg.Connection[Any]
    opened: float
    since: float


class PostgresPool:
    """Lends connections to threads; ``most`` at once, the others wait."""

    def __init__(self, dialer: Dialer, most: int, min_idle: int, max_lifetime: float) -> None:
        self._dialer = dialer
        self._min_idle = min_idle
        self._max_lifetime = max_lifetime
        self._places = threading.Semaphore(most)
        self._lock = threading.Lock()
        self._idle: list[_Idle] = []  # the last used one last: those before it may get too old
        self._closed = False

    @contextmanager
    def lend(self, timeout: float | None = None, *, fresh: bool = False) -> Iterator[psycopg.Connection[Any]]:
        """Lend a connection, a ``fresh`` one if that is wanted.

        Raises:
            TimeoutError: none came free within ``timeout`` seconds.
            DatabaseUnavailable: the server cannot be reached.
        """
        if not self._places.acquire(timeout=timeout):
            raise TimeoutError
        try:
            if fresh:
                self._drop(0, since=monotonic())  # the others are hardly any better
            found = self._take()
            opened = found.opened if found else monotonic()
            connection = found.connection if found else self._dialer.connect("reader")
            try:
                yield connection
            finally:
                self._give_back(connection, opened)
        finally:
            self._places.release()

    def close(self) -> None:
        """Close what is idle now, and each of the others when it is given back."""
        self._closed = True
        self._drop(0, since=monotonic())

    def _take(self) -> _Idle | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: psycopg.Connection[Any], opened: float) -> None:
        now = monotonic()
        in_use = connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE
        if broken(connection) or in_use or self._closed or now - opened > self._max_lifetime:
            connection.close()
            return
        with self._lock:
            self._idle.append(_Idle(connection, opened, now))
        self._drop(self._min_idle, since=now - SPARE_SECONDS)

    def _drop(self, keep: int, since: float) -> None:
        """Close what has been idle since then, but for so many."""
        with self._lock:
            old = [one for one in self._idle if one.since <= since][: max(0, len(self._idle) - keep)]
            self._idle = [one for one in self._idle if one not in old]
        for one in old:
            one.connection.close()
