"""The connections to a server that only read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

C = TypeVar("C")

SPARE_SECONDS = 60.0  # for which a connection beyond `min_idle` is kept though nobody wants it


@dataclass(frozen=True, slots=True, eq=False)
class _Idle(Generic[C]):
    connection: C
    opened: float
    since: float


class Pool(Generic[C]):
    """Lends connections to threads; ``most`` at once, the others wait.

    ``connect`` opens one, ``usable`` tells whether one that comes back may be lent again, ``close`` closes it.
    """

    def __init__(
        self,
        connect: Callable[[], C],
        usable: Callable[[C], bool],
        close: Callable[[C], None],
        *,
        most: int,
        min_idle: int,
        max_lifetime: float,
    ) -> None:
        self._connect = connect
        self._usable = usable
        self._close = close
        self._min_idle = min_idle
        self._max_lifetime = max_lifetime
        self._places = threading.Semaphore(most)
        self._lock = threading.Lock()
        self._idle: list[_Idle[C]] = []  # the last used one last: those before it may get too old
        self._closed = False

    @contextmanager
    def lend(self, timeout: float | None = None, *, fresh: bool = False) -> Iterator[C]:
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
            connection = found.connection if found else self._connect()
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

    def _take(self) -> _Idle[C] | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _give_back(self, connection: C, opened: float) -> None:
        now = monotonic()
        if self._closed or now - opened > self._max_lifetime or not self._usable(connection):
            self._close(connection)
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
            self._close(one.connection)
