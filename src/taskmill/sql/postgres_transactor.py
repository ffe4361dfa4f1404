"""The writer's hands in PostgreSQL: one connection, and one transaction a batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic, time
from typing import Any, TypeVar

import psycopg
from psycopg import errors

from taskmill.sql.coded import stored
from taskmill.sql.errors import DatabaseAway, DatabaseUnavailable
from taskmill.sql.postgres_batch import Batch
from taskmill.sql.postgres_connect import SETTINGS, Dialer, Session, broken
from taskmill.sql.writer import Groups

logger = logging.getLogger(__name__)
T = TypeVar("T")

TRIES = 10  # of a transaction that others are in the way of
SHORTEST, LONGEST = 0.1, 2.0  # seconds between two attempts to reach a server that is gone
CLOCK_EVERY = 60.0  # seconds between two looks at the server's clock

# Others are in the way: the same again may well succeed.
_BESIDE = (errors.SerializationFailure, errors.DeadlockDetected)
# The session can write no more, though its connection stands: the server has become a standby.
_MOVED = (errors.ReadOnlySqlTransaction,)


class PostgresTransactor:
    """Commits batches; see :class:`taskmill.sql.writer.Transactor`. ``batches`` are the statements of the lanes.

    A commit whose answer does not come is reported as DatabaseUnavailable, though it may have been made. So
    nobody is told that it was; each statement of a lane may be run again, and finds that nothing is left to change.
    """

    def __init__(self, dialer: Dialer, batches: Mapping[str, Batch], max_lifetime: float) -> None:
        self.changed: Sequence[int] = ()
        self.clock_offset = 0.0  # seconds by which the server's clock is before this one's
        self._dialer = dialer
        self._batches = batches
        self._max_lifetime = max_lifetime
        self._connection: psycopg.Connection[Any] | None = None
        self._opened = 0.0
        self._pause = SHORTEST
        self._not_before = 0.0  # when the next attempt to reach the server may be made
        self._looked_at_clock = -CLOCK_EVERY
        local = "; ".join(f"SET LOCAL {name} = {value}" for name, value in SETTINGS["writer"].items())
        self._begin = f"BEGIN; {local}" if dialer.pgbouncer else "BEGIN"

    def stage(self, groups: Groups) -> bool:  # noqa: ARG002 - the server is far away: it is for the thread
        """Leave it to the thread."""
        return False

    def commit(self, groups: Groups, calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        """Run groups and calls in one transaction; see :class:`taskmill.sql.writer.Transactor`."""
        for attempt in range(TRIES):
            connection = self.connect()
            try:
                values = self._commit(connection, groups, calls)
            except _BESIDE as error:
                self._roll_back(connection)
                if attempt == TRIES - 1:
                    raise DatabaseUnavailable(
                        f"{self._dialer.place}: others are in the way ({error})"
                    ) from None
                continue
            except psycopg.Error as error:
                self._roll_back(connection)
                if broken(connection) or isinstance(error, _MOVED):
                    self._lose(connection, error)
                raise self._dialer.explain(error) from error
            except Exception:
                self._roll_back(connection)
                raise
            self._dialer.outage.end()
            return values
        raise AssertionError("unreachable")

    def upkeep_due(self) -> bool:
        """Whether the server's clock has not been looked at for a while, or the connection is old."""
        now = monotonic()
        return now - self._looked_at_clock > CLOCK_EVERY or now - self._opened > self._max_lifetime

    def upkeep(self) -> None:
        """Look at the server's clock; give an old connection up."""
        connection = self._connection
        if connection is None:
            return
        if monotonic() - self._opened > self._max_lifetime:
            self.close()
        elif monotonic() - self._looked_at_clock > CLOCK_EVERY:
            with suppress(psycopg.Error):  # the next commit meets it, too
                self._look_at_clock(connection)

    def connect(self) -> psycopg.Connection[Any]:
        """Return the connection, a new one where there is none; raise DatabaseUnavailable, at once while one waits."""
        if self._connection is not None:
            return self._connection
        if monotonic() < self._not_before:
            raise DatabaseAway(f"{self._dialer.place} is gone; it goes on by itself once it is back")
        try:
            connection = self._dialer.connect("writer")
            self._look_at_clock(connection)
        except (psycopg.Error, DatabaseUnavailable) as error:
            self._not_before = monotonic() + self._pause
            self._pause = min(LONGEST, 2 * self._pause)
            raise error if isinstance(error, DatabaseUnavailable) else self._dialer.explain(error) from None
        self._pause = SHORTEST
        self._opened = monotonic()
        self._connection = connection
        return connection

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _commit(
        self, connection: psycopg.Connection[Any], groups: Groups, calls: Sequence[Callable[[Any], Any]]
    ) -> list[Any]:
        """Send all that needs no answer in one go; raise what goes wrong, with the transaction still open."""
        values: list[Any] = []
        with connection.pipeline():
            for statement in self._begin.split("; "):
                connection.execute(statement)
            cursors = [
                [
                    connection.execute(statement, arguments)
                    for statement, arguments in self._batches[sql].statements(stored(sql, rows))
                ]
                for sql, rows in groups
            ]
            if not calls:
                end = connection.execute("COMMIT")
        self.changed = [sum([cursor.rowcount for cursor in group]) for group in cursors]
        if calls:
            session = Session(connection)
            # Where there is nothing else, what a call has done is undone with the transaction.
            alone = len(calls) == 1 and not groups
            values = [self._attempt(session, call, alone) for call in calls]
            undo = alone and isinstance(values[0], Exception)
            end = connection.execute("ROLLBACK" if undo else "COMMIT")
            if undo:
                return values
        if end.statusmessage != "COMMIT":
            raise errors.InternalError(f"the transaction ended with {end.statusmessage}")
        return values

    def _attempt(self, session: Session, call: Callable[[Any], T], alone: bool) -> T | Exception:
        if not alone:
            session.execute("SAVEPOINT attempt")
        try:
            value: T | Exception = call(session)
        except (*_BESIDE, *_MOVED):
            raise
        except psycopg.Error as error:
            if broken(session.connection):
                raise
            value = self._dialer.explain(error)
        except Exception as error:
            value = error
        if not alone:
            session.execute("ROLLBACK TO attempt" if isinstance(value, Exception) else "RELEASE attempt")
        return value

    def _roll_back(self, connection: psycopg.Connection[Any]) -> None:
        if not broken(connection):
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")

    def _lose(self, connection: psycopg.Connection[Any], error: psycopg.Error) -> None:
        """Let go of a connection that is of no use. Only a server that cannot be reached anew is an outage."""
        self._connection = None
        with suppress(psycopg.Error):
            connection.close()
        logger.debug("the writer's connection has ended: %s", error)

    def _look_at_clock(self, connection: psycopg.Connection[Any]) -> None:
        before = time()
        ((at,),) = connection.execute("SELECT extract(epoch FROM clock_timestamp())").fetchall()
        after = time()
        self.clock_offset = float(at) - (before + after) / 2
        self._looked_at_clock = monotonic()
