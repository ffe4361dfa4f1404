"""Transactions from a thread: for what must not depend on the event loop, such as a node's heartbeat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from taskmill.sql.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from taskmill.sql.database import Database, Transaction
    from taskmill.sql.writer import Transactor

T = TypeVar("T")

PATIENCE = 10.0  # seconds that a transaction may wait for the loop and for those before it


class Session(Protocol):
    """Runs transactions from any one thread, each committed when ``run`` returns."""

    def run(self, call: Callable[[Transaction], T]) -> T:
        """Run ``call(transaction)``; raise DatabaseError where it may not be committed. Connects anew by itself."""

    def close(self) -> None:
        """Let go of its connection."""


class WriterSession:
    """A session through the database's writer: it waits for the loop, and behind all other writes."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def run(self, call: Callable[[Transaction], T]) -> T:
        """Run ``call(transaction)`` within the next commit."""
        written = asyncio.run_coroutine_threadsafe(self._database.write(call), self._database.writer.loop)
        try:
            return written.result(PATIENCE)
        except TimeoutError:
            written.cancel()
            raise DatabaseUnavailable(f"{self._database.place} took longer than {PATIENCE:g} s") from None

    def close(self) -> None:
        """Do nothing: there is no connection of its own."""


class ApartSession:
    """A session on a connection of its own, which waits for nothing but the database."""

    def __init__(
        self, transactor: Transactor, transaction: Callable[[Any], Transaction], close: Callable[[], None]
    ) -> None:
        self._transactor = transactor
        self._transaction = transaction
        self.close = close

    def run(self, call: Callable[[Transaction], T]) -> T:
        """Run ``call(transaction)`` and commit."""
        (value,) = self._transactor.commit([], [lambda connection: call(self._transaction(connection))])
        if isinstance(value, Exception):
            raise value
        return cast(T, value)
