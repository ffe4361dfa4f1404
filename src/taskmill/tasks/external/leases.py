"""Leases: what workers outside have, as the rows say. Each change is guarded by the lease that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

import msgspec

from taskmill.sql import Database, Lane, Transaction
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.external import statements
from taskmill.tasks.ids import time_in
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import Dispatchable, TaskMessage
from taskmill.tasks.model import TaskError, timestamp
from taskmill.tasks.notes.notes import Notes
from taskmill.tasks.notes.said import Said
from taskmill.tasks.redacting.redaction import Redaction
from taskmill.tasks.rows import sharing
from taskmill.tasks.rows.over import Over
from taskmill.tasks.rows.steps import FORGET, KEPT_ATTEMPTS

MOST = 1_000  # tasks in one request


class Leased(NamedTuple):
    """A task that a worker outside has from now on. ``until``: milliseconds since 1970, by the database's clock."""

    message: TaskMessage
    data: str
    lease: bytes
    until: int


class Named(NamedTuple):
    """A task, and the lease that somebody says he has on it."""

    key: bytes
    lease: bytes


class Ended(NamedTuple):
    """What became of a leased task; ``run_at`` (milliseconds since 1970) if it runs again.

    ``counts`` says whether that was an attempt: not where it was given back.
    """

    named: Named
    over: Over
    run_at: int | None = None
    counts: bool = True


class Judge(Protocol):
    """What decides whether, and when, a task runs again."""

    def next_run(self, row: Dispatchable, failure: Failure) -> tuple[int, int] | None:
        """Return when a task of a row runs again, and its rank then; None if it has failed for good."""


class Leases:
    """Writes leases and what becomes of them.

    ``node`` is this node's id, where the database has several; ``now`` gives the milliseconds since 1970 by the clock
    of all nodes. ``ended`` hears of all that has ended, in the order of commits. ``note_letter`` is called in the
    transaction in which a task fails.
    """

    def __init__(
        self,
        database: Database,
        judge: Judge,
        node: Callable[[], bytes] | None,
        now: Callable[[], int],
        ended: Callable[[Sequence[Ended]], None],
        note_letter: Callable[[Transaction, bytes, int], None],
        notes: Notes,
    ) -> None:
        self.redaction: Redaction | None = None  # which fields failures are stored without
        self.database = database
        self._judge = judge
        self._node = node
        self._now = now
        self._ended = ended
        self._note_letter = note_letter
        self._notes = notes
        lane = database.writer.lane
        statement = statements.LEASE if node is None else statements.LEASE_SHARED
        self._lease: Lane[None] = lane(database.compile(statement), _nobody)
        self._completed: tuple[int, set[bytes]] = 0, set()  # in the last millisecond: a result may come twice
        self._complete: Lane[None] = lane(database.compile(statements.COMPLETE), _nobody)

    async def lease(
        self,
        messages: Sequence[TaskMessage],
        worker: str,
        seconds: float,
        then: Callable[[Sequence[Leased]], None],
    ) -> Sequence[Leased]:
        """Lease tasks to a worker; give those that it has now to ``then``, in the order of commits, and return them.

        Raises:
            DatabaseError: it is not known which; what was leased runs out.
            Overloaded: none has been leased.
        """
        claims: dict[float | None, bytes] = {}
        leases = {}
        node = () if self._node is None else (self._node(),)
        now = self._now()
        for message in messages:
            lease = claims.setdefault(message.timeout, uuid4().bytes)
            leases[message.key] = lease
            message.started_at = now
            self._lease.append((message.attempt, now, lease, message.key, message.attempts, *node), None)

        def call(transaction: Transaction) -> Sequence[Leased]:
            until = {}
            for timeout, lease in claims.items():
                term = min(seconds, timeout or seconds)
                span = None if timeout is None else int(timeout * 1000)
                values = {"worker_": worker, "term_": int(term * 1000), "timeout_": span}
                transaction.change(statements.ADD, id_=lease, **values)
                ((until[lease],),) = transaction.fetch(statements.ONE, id_=lease)
            rows = _rows(transaction, [message.key for message in messages], data=True)
            return [
                Leased(message, row[7], leases[message.key], until[leases[message.key]])
                for message in messages
                if (row := rows.get(message.key)) and _is(row, Status.RUNNING, leases[message.key])
            ]

        return await self.database.write(call, then)

    async def beat(
        self, named: Sequence[Named], says: Mapping[Named, Said | None] | None = None
    ) -> Sequence[int | None]:
        """Have leases hold for their term from now on; return until when each does, None for one that is over.

        What is said of those that hold is noted with them.
        """
        heard = [(one, said) for one, said in (says or {}).items() if said is not None]

        def call(transaction: Transaction) -> Sequence[int | None]:
            until: dict[bytes, int] = {}
            for lease in {one.lease for one in named}:
                if transaction.change(statements.BEAT, id_=lease):
                    ((until[lease],),) = transaction.fetch(statements.ONE, id_=lease)
            rows = _rows(transaction, [one.key for one in named])
            for one, said in heard:
                row = rows.get(one.key)
                if row and one.lease in until and _is(row, Status.RUNNING, one.lease):
                    self._notes.add(transaction, one.key, row[5], said)
            return [
                until.get(one.lease)
                if (row := rows.get(one.key)) and _is(row, Status.RUNNING, one.lease)
                else None
                for one in named
            ]

        beaten = await self.database.write(call)
        self._notes.added([one.key for one, _ in heard])
        return beaten

    async def complete(self, results: Mapping[Named, str]) -> Sequence[bool]:
        """Store results (JSON); tell of each whether its task is completed under this lease, now or before."""
        finished = self._now()
        for one, result in results.items():
            self._complete.append((finished, result, one.key, one.lease), None)
        ended: list[Ended] = []

        def call(transaction: Transaction) -> Sequence[bool]:
            rows = _rows(transaction, [one.key for one in results])
            ended.clear()
            own = []
            for one in results:
                row = rows.get(one.key)
                own.append(row is not None and _is(row, Status.COMPLETED, one.lease))
                if own[-1] and row is not None and row[3] == finished:
                    ended.append(Ended(one, Over(one.key, row[4], row[6], Status.COMPLETED)))
            return own

        return await self.database.write(call, lambda _: self._ended(self._fresh(finished, ended)))

    async def fail(self, failures: Mapping[Named, Failure]) -> Sequence[Ended | None]:
        """Store that attempts have failed, or are given back; None for each that is not its lease's any more."""

        def call(transaction: Transaction) -> Sequence[Ended | None]:
            return [self._fail(transaction, one, failure) for one, failure in failures.items()]

        return await self.database.write(call, lambda ended: self._ended([one for one in ended if one]))

    def run_out(self, transaction: Transaction, lease: bytes, failure: Failure) -> Sequence[Ended]:
        """In a transaction, end a claim that has run out with all its tasks; nothing where it holds after all."""
        if not transaction.change(statements.DROP_RUN_OUT, id_=lease):
            return []
        rows = transaction.fetch(statements.OF_CLAIM, node_=lease)
        return [self._store(transaction, Named(bytes(row[0]), lease), row, failure) for row in rows]

    async def drop(self, lease: bytes) -> None:
        """Forget a claim whose tasks have all ended."""
        await self.database.write(lambda transaction: transaction.change(statements.DROP, id_=lease))

    def _fresh(self, finished: int, ended: Sequence[Ended]) -> Sequence[Ended]:
        """Leave out what has been completed by another request within the same millisecond."""
        at, before = self._completed
        if at != finished:
            before = set()
        fresh = [one for one in ended if one.named.key not in before]
        self._completed = finished, before | {one.named.key for one in fresh}
        return fresh

    def _fail(self, transaction: Transaction, one: Named, failure: Failure) -> Ended | None:
        rows = transaction.fetch(statements.LEASED, id_=one.key, node_=one.lease)
        return self._store(transaction, one, rows[0], failure) if rows else None

    def _store(self, transaction: Transaction, one: Named, row: Any, failure: Failure) -> Ended:
        """Store how the attempt of a row ended that the lease still has."""
        *dispatchable, started_at = row
        number, queue, now = row[3], row[5], self._now()
        own = {"id_": one.key, "node_": one.lease}
        if self.redaction is not None:
            failure = self.redaction.failure(row[2], failure)
        again = self._judge.next_run(tuple(dispatchable), failure)
        error = None
        if failure.counts:
            error = _error(failure, now)
            values = {"started_at_": started_at, "ended_at_": now, "error_": error}
            transaction.change(statements.RECORD, task_id_=one.key, attempt_=number, **values)
            if number > KEPT_ATTEMPTS:
                transaction.change(FORGET, id_=one.key, attempt_=number - KEPT_ATTEMPTS)
        if again is None:
            transaction.change(statements.FAIL, finished_at_=now, error_=error, **own)
            self._note_letter(transaction, one.key, now)
            return Ended(one, Over(one.key, queue, row[1], Status.FAILED))
        run_at, rank = again
        counted = number if failure.counts else number - 1
        values = {"counted_": counted, "error_": error, "rank_": rank, "run_at_": run_at}
        transaction.change(statements.RETRY, **values, **own)
        return Ended(one, Over(one.key, queue, row[1], Status.SCHEDULED), run_at, failure.counts)


GIVEN_BACK = Failure("released", "its worker gave it back", after=0, counts=False)


def place_of_row(row: Dispatchable) -> int:
    """Return the rank of a task as it was handed out."""
    return time_in(row[0]) if row[6] is None else row[6]


def _error(failure: Failure, now: int) -> str:
    error = TaskError(failure.type, failure.message, timestamp(now), failure.traceback)
    return msgspec.json.encode(error).decode()


def _rows(transaction: Transaction, keys: Sequence[bytes], *, data: bool = False) -> dict[bytes, Any]:
    """Read what becomes of tasks, by id; see :func:`taskmill.tasks.external.statements.rows_of`."""
    found = {}
    for first in range(0, len(keys), sharing.MOST):
        count, values = sharing.keys(keys[first : first + sharing.MOST])
        for row in transaction.fetch(statements.rows_of(count, data), **values):
            found[bytes(row[0])] = row
    return found


def _is(row: Any, status: Status, lease: bytes) -> bool:
    return row[1] == status and row[2] is not None and bytes(row[2]) == lease


def _nobody(_rows: list[Any], _waiters: list[None], _error: Exception | None) -> None:
    """Tell nobody: what is appended is looked at in the same transaction."""
