"""The writer's hands in MySQL: one connection, and one transaction a batch."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic, time
from typing import Any, TypeVar

from taskmill.sql.coded import stored
from taskmill.sql.errors import DatabaseUnavailable
from taskmill.sql.mysql_batch import Batch
from taskmill.sql.mysql_connect import Dialer
from taskmill.sql.mysql_link import BESIDE, MOVED, Error, Link, Session, code_of, lost
from taskmill.sql.writer import Groups

logger = logging.getLogger(__name__)
T = TypeVar("T")

PATIENCE = 15.0  # seconds for which a transaction that others are in the way of is tried again
SHORTEST, LONGEST = 0.1, 2.0  # seconds between two attempts to reach a server that is gone
CLOCK_EVERY = 60.0  # seconds between two looks at the server's clock


class _Unknown(Exception):
    """The answer to a COMMIT did not come, or was an error: it may have been made."""


class MysqlTransactor:
    """Commits batches; see :class:`taskmill.sql.writer.Transactor`. ``batches`` are the statements of the lanes.

    A connection that is lost before the COMMIT is sent has left nothing, so the batch is run again on another. A
    commit whose answer does not come is reported as DatabaseUnavailable, though it may have been made. So nobody is
    told that it was; each statement of a lane may be run again, and finds that nothing is left to change.
    """

    def __init__(self, dialer: Dialer, batches: Mapping[str, Batch], max_lifetime: float) -> None:
        self.changed: Sequence[int] = ()
        self.clock_offset = 0.0  # seconds by which the server's clock is before this one's
        self._dialer = dialer
        self._batches = batches
        self._max_lifetime = max_lifetime
        self._session: Session | None = None
        self._opened = 0.0
        self._pause = SHORTEST
        self._not_before = 0.0  # when the next attempt to reach the server may be made
        self._looked_at_clock = -CLOCK_EVERY

    def stage(self, groups: Groups) -> bool:  # noqa: ARG002 - the server is far away: it is for the thread
        """Leave it to the thread."""
        return False

    def commit(self, groups: Groups, calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        """Run groups and calls in one transaction; see :class:`taskmill.sql.writer.Transactor`."""
        end = monotonic() + PATIENCE
        while True:
            session = self.connect()
            try:
                values = self._commit(session, groups, calls)
            except _Unknown as unknown:
                self._lose(session)
                error = unknown.args[0]
                if code_of(error) not in BESIDE:
                    raise DatabaseUnavailable(
                        f"{self._dialer.place} did not say whether it has committed ({error.args[-1]})"
                    ) from error
                why: Exception = error
            except Error as error:
                if lost(session.link, error) or code_of(error) in MOVED:
                    self._lose(session)
                else:
                    self._roll_back(session)
                    if code_of(error) not in BESIDE:
                        raise self._dialer.explain(error) from error
                why = error
            except Exception:
                self._roll_back(session)
                raise
            else:
                self._dialer.outage.end()
                return values
            if monotonic() > end:
                raise self._dialer.explain(why) from why

    def upkeep_due(self) -> bool:
        """Whether the server's clock has not been looked at for a while, or the connection is old."""
        now = monotonic()
        return now - self._looked_at_clock > CLOCK_EVERY or now - self._opened > self._max_lifetime

    def upkeep(self) -> None:
        """Look at the server's clock; give an old connection up."""
        session = self._session
        if session is None:
            return
        if monotonic() - self._opened > self._max_lifetime:
            self.close()
        elif monotonic() - self._looked_at_clock > CLOCK_EVERY:
            with suppress(Error):  # the next commit meets it, too
                self._look_at_clock(session.link)

    def connect(self) -> Session:
        """Return the connection, a new one where there is none; raise DatabaseUnavailable, at once while one waits."""
        if self._session is not None:
            return self._session
        if monotonic() < self._not_before:
            raise DatabaseUnavailable(f"{self._dialer.place} is gone; it goes on by itself once it is back")
        try:
            link = self._dialer.connect("writer")
            self._look_at_clock(link)
        except (Error, DatabaseUnavailable) as error:
            self._not_before = monotonic() + self._pause
            self._pause = min(LONGEST, 2 * self._pause)
            self._dialer.outage.begin(str(error))
            raise error if isinstance(error, DatabaseUnavailable) else self._dialer.explain(error) from None
        self._pause = SHORTEST
        self._opened = monotonic()
        self._session = Session(link)
        return self._session

    def close(self) -> None:
        """Close the connection."""
        if self._session is not None:
            self._lose(self._session)

    def _commit(self, session: Session, groups: Groups, calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        """Run a transaction, which begins with its first statement; raise what goes wrong, with it still open."""
        self.changed = [
            sum([session.link.run(*one).rowcount for one in self._batches[sql].statements(stored(sql, rows))])
            for sql, rows in groups
        ]
        # Where there is nothing else, what a call has done is undone with the transaction.
        alone = len(calls) == 1 and not groups
        values = [self._attempt(session, call, alone) for call in calls]
        if alone and isinstance(values[0], Exception):
            self._roll_back(session)
            return values
        try:
            session.link.commit()
        except Error as error:
            raise _Unknown(error) from error
        self._unlock(session)
        return values

    def _attempt(self, session: Session, call: Callable[[Any], T], alone: bool) -> T | Exception:
        if not alone:
            session.link.run("SAVEPOINT attempt")
        try:
            return call(session)
        except Error as error:
            if lost(session.link, error) or code_of(error) in BESIDE | MOVED:
                raise  # a deadlock has undone the whole transaction, not only the call
            value: Exception = self._dialer.explain(error)
        except Exception as error:
            value = error
        if not alone:
            session.link.run("ROLLBACK TO SAVEPOINT attempt")
        return value

    def _roll_back(self, session: Session) -> None:
        try:
            session.link.rollback()
            self._unlock(session)
        except Error:
            self._lose(session)

    def _unlock(self, session: Session) -> None:
        """Let go of named locks, which belong to the connection and not to the transaction."""
        if session.locks:
            session.locks = False
            try:
                session.link.run("SELECT RELEASE_ALL_LOCKS()")
            except Error:  # they go with it
                self._lose(session)

    def _lose(self, session: Session) -> None:
        """Let go of a connection. Only a server that cannot be reached anew is an outage."""
        self._session = None
        session.link.drop()

    def _look_at_clock(self, link: Link) -> None:
        before = time()
        ((at,),) = link.run("SELECT UNIX_TIMESTAMP(SYSDATE(6))").fetchall()
        after = time()
        offset = float(at) - (before + after) / 2
        # What is less than the look itself took is no difference that anybody knows of.
        self.clock_offset = offset if abs(offset) > (after - before) / 2 else 0.0
        self._looked_at_clock = monotonic()
