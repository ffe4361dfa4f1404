"""Group commit: everything that arrives while one transaction is being flushed shares the next one.

A durable commit costs one ``fdatasync`` however many rows it carries. The loop therefore only appends to
lists; a batch takes whole lists, one transaction runs them, and one thread flushes it and reports back. Under load
the batches grow by themselves, and one flush pays for dozens or hundreds of tasks.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Generic, Protocol, TypeVar

from taskmill.metrics import QUICK, Histogram
from taskmill.sql.batch import Batch, Bundle, Call
from taskmill.sql.errors import DatabaseDamaged, DatabaseUnavailable

W = TypeVar("W")
T = TypeVar("T")

Row = tuple[Any, ...]
Settle = Callable[[list[Row], list[W], Exception | None], None]


class Overloaded(Exception):
    """More writes wait for a commit than the database is declared to hold; try again later."""


Groups = Sequence[tuple[str, list[Row]]]  # one SQL text each, with its rows of parameters


class Transactor(Protocol):
    """What a database gives the writer: one connection, never used by two threads at a time.

    ``changed`` says how many rows each group of the last commit has changed; it is empty where nobody counts them.
    """

    changed: Sequence[int]

    def stage(self, groups: Groups) -> bool:
        """On the loop, begin a transaction and run small groups in it; false where the thread had better do it.

        Threads that take turns at Python's lock for each row cost more than the rows (docs/performance.md).
        """

    def commit(self, groups: Groups, calls: Sequence[Callable[[Any], Any]]) -> list[Any]:
        """In the thread, run groups and calls in the transaction that is staged, or a new one; make it durable.

        Returns one value a call: what it returned, or the exception that it raised (a failed call undoes
        only itself). Raises if the transaction could not be made durable; then nothing of it is kept.
        """

    def upkeep_due(self) -> bool:
        """Whether :meth:`upkeep` has something to do."""

    def upkeep(self) -> None:
        """In the thread, after a commit has been reported: such as a checkpoint."""


@dataclass(slots=True, eq=False)
class Lane(Generic[W]):
    """One SQL statement's way into the writer: rows of parameters, each with whoever waits for its commit.

    ``settle(rows, waiters, error)`` is called on the loop once a batch, never once a row. ``missed`` is how many rows
    so far have changed nothing, where the database counts that; it is up to date in ``settle``.
    """

    writer: Writer
    sql: str
    settle: Settle[W]
    rows: list[Row] = field(default_factory=list)
    waiters: list[W] = field(default_factory=list)
    missed: int = 0

    def append(self, row: Row, waiter: W) -> None:
        """Add a row to the next commit; ``waiter`` comes back in ``settle``."""
        self.rows.append(row)
        self.waiters.append(waiter)
        if not self.writer.awake:  # rows come by the hundred, and it costs less to look than to call
            self.writer.wake()

    def take(self) -> tuple[list[Row], list[W]]:
        """Hand over what has gathered and begin anew."""
        taken = self.rows, self.waiters
        self.rows, self.waiters = [], []
        return taken


# A batch, what its calls returned, and why it could not be committed.
_Outcome = tuple[Batch, list[Any], Exception | None]


class Writer:
    """The one place where a database is written: batches from the loop, one transaction at a time.

    Lanes run in the order in which they were added, then bundles of rows, then calls. ``limit`` bounds how many
    of those, and rows of a lane that respects it, may wait. ``on_damage`` hears of an error after which nothing
    can be written. ``commits`` counts how long batches took, from when they were taken until all knew of it, and
    ``failed`` those that could not be committed.
    """

    def __init__(
        self, transactor: Transactor, limit: int, on_damage: Callable[[DatabaseDamaged], None]
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.error: Exception | None = None  # why the last commit failed, if not for its rows
        self.damage: DatabaseDamaged | None = None  # after which nothing is written any more
        self.commits = Histogram(QUICK)
        self.failed = 0
        self._began = 0.0  # when the batch under way was taken
        self._transactor = transactor
        self.limit = limit
        self._on_damage = on_damage
        self._lanes: list[Lane[Any]] = []
        self._bundles: list[Bundle] = []
        self._calls: list[Call] = []
        self.awake = False  # a batch is under way, or will be taken when the loop has read its sockets
        self._flushing = False  # a batch is with the thread
        self._heard = asyncio.Event()  # set once that batch is reported; another one for each
        self._upkeep = False  # the thread has the connection though no batch is under way
        self._inbox: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="taskmill-writer", daemon=True)
        self._settled = asyncio.Event()
        self._settled.set()
        self._thread.start()

    def lane(self, sql: str, settle: Settle[W]) -> Lane[W]:
        """Declare a statement that will be written often."""
        lane: Lane[W] = Lane(self, sql, settle)
        self._lanes.append(lane)
        return lane

    async def run(self, call: Callable[[Any], T], then: Callable[[T], None] | None = None) -> T:
        """Run ``call(connection)`` inside the next transaction, and return its value once that is durable.

        ``then`` gets the value on the loop in the order of commits, before what a later one reports, and also if
        nobody waits any more: for what must never disagree with the rows. It must not raise.

        Raises what the call raised (its own writes are undone), or why the transaction failed.
        """
        self._make_room()
        future: asyncio.Future[T] = self.loop.create_future()
        self._calls.append((call, future, then))
        self.wake()
        return await future

    async def store(self, groups: Groups, then: Callable[[], None] | None = None) -> None:
        """Store rows of several lanes' statements in the next transaction, together or not at all.

        ``then`` is called on the loop once that is durable, as that of :meth:`run` is.

        Raises why the transaction failed.
        """
        self._make_room()
        bundle = Bundle(groups, self.loop.create_future(), then)
        self._bundles.append(bundle)
        self.wake()
        await bundle.stored

    def _make_room(self) -> None:
        if len(self._calls) + len(self._bundles) >= self.limit:
            raise Overloaded("more writes wait for the disk than may; try again in a second")

    async def reported(self) -> None:
        """Wait until the loop has heard of every commit that there is by now, and a reader may have seen."""
        if self._flushing:
            await self._heard.wait()

    def wake(self) -> None:
        """See to it that a batch is taken once the loop has read what its sockets hold now."""
        if not self.awake:
            self.awake = True
            self._settled.clear()
            self.loop.call_soon(self._take)

    async def stop(self) -> None:
        """Commit everything that was appended, then end the thread."""
        while self.awake:
            await self._settled.wait()
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    def _take(self) -> None:
        groups = [(lane, *lane.take()) for lane in self._lanes if lane.rows]
        bundles, self._bundles = self._bundles, []
        calls, self._calls = self._calls, []
        if groups or bundles or calls:
            self._began = perf_counter()
            staged = bool(groups) and not self._upkeep and self.damage is None
            if staged:
                staged = self._transactor.stage([(lane.sql, rows) for lane, rows, _ in groups])
            self._flushing = True
            self._heard = asyncio.Event()
            self._inbox.put(Batch(groups, bundles, calls, staged))
        else:
            self.awake = False
            self._settled.set()

    def _work(self) -> None:
        while (batch := self._inbox.get()) is not None:
            outcomes = self._commit(batch)
            self._upkeep = self.damage is None and self._transactor.upkeep_due()
            self.loop.call_soon_threadsafe(self._committed, outcomes)
            if self._upkeep:
                try:
                    self._transactor.upkeep()
                except DatabaseDamaged as error:
                    self._damaged(error)
                self._upkeep = False

    def _commit(self, batch: Batch) -> list[_Outcome]:
        """Commit a batch. Where a row is at fault, not the disk, ever smaller parts: it fails alone."""
        if self.damage is not None:  # what a flush failed for is never tried again
            return [(batch, [], self.damage)]
        try:
            values = self._transactor.commit(batch.statements(), [call for call, _, _ in batch.calls])
        except DatabaseUnavailable as error:
            return [(batch, [], error)]
        except DatabaseDamaged as error:
            self._damaged(error)
            return [(batch, [], error)]
        except Exception as error:
            parts = batch.parts()
            return [outcome for part in parts for outcome in self._commit(part)] or [(batch, [], error)]
        batch.changed = self._transactor.changed
        return [(batch, values, None)]

    def _damaged(self, error: DatabaseDamaged) -> None:
        self.damage = error
        self.loop.call_soon_threadsafe(self._on_damage, error)

    def _committed(self, outcomes: list[_Outcome]) -> None:
        last = outcomes[-1][2]
        self.error = self.damage or (last if isinstance(last, DatabaseUnavailable) else None)
        self.commits.observe(perf_counter() - self._began)
        self.failed += last is not None
        self._flushing = False
        heard = self._heard
        # The next batch is sent off first: the thread flushes it while this one's waiters are served.
        self._take()
        for batch, values, error in outcomes:
            self._settle(batch, values, error)
        heard.set()

    def _settle_bundle(self, bundle: Bundle, error: Exception | None) -> None:
        if error is None and bundle.then is not None:
            bundle.then()
        if bundle.stored.done():  # nobody waits any more
            return
        if error is not None:
            bundle.stored.set_exception(error)
        else:
            bundle.stored.set_result(None)

    def _settle(self, batch: Batch, values: list[Any], error: Exception | None) -> None:
        if batch.changed:
            for (lane, rows, _), changed in zip(batch.groups, batch.changed, strict=False):
                lane.missed += len(rows) - changed
        for lane, rows, waiters in batch.groups:
            lane.settle(rows, waiters, error)
        for bundle in batch.bundles:
            self._settle_bundle(bundle, error)
        for index, (_, future, then) in enumerate(batch.calls):
            failure = error or (values[index] if isinstance(values[index], Exception) else None)
            if failure is None and then is not None:
                then(values[index])
            if future.done():
                continue
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(values[index])
