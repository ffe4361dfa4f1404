"""Workers outside: what they claim, and what they say of it, on its way between the dispatchers and the rows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from taskmill.queue import Queue
from taskmill.queue.drivers.base import Channel
from taskmill.sql import Database, DatabaseError, Overloaded, Transaction
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.cluster.cluster import Cluster
from taskmill.tasks.cluster.duties import Duty
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.external import statements
from taskmill.tasks.external.counter import Counter, Open, Reserved
from taskmill.tasks.external.declared import DeclaredAction
from taskmill.tasks.external.expiry import Expiry
from taskmill.tasks.external.leases import GIVEN_BACK, Ended, Leased, Leases, Named, place_of_row
from taskmill.tasks.insist import insist
from taskmill.tasks.intake.backlog import Backlog
from taskmill.tasks.intake.placing import Placing
from taskmill.tasks.lifecycle import ENDED
from taskmill.tasks.message import Dispatchable, TaskMessage
from taskmill.tasks.rows.reader import RUNNING_AT_ONCE
from taskmill.tasks.rows.store import Store
from taskmill.tasks.traffic import Traffic

REST = 0.5  # seconds before a task goes back into line that an engine brought and no claim took


class NotHere(Exception):
    """This node does not hand out the tasks of a queue."""


class External:
    """Everything that workers outside do. ``leases`` writes it.

    ``leased`` holds, where the database is this process's alone, what they have, as it was drawn: it counts against
    its limit until its end is stored. Where nodes share the database, whoever leads watches the rows for that.
    """

    def __init__(
        self,
        database: Database,
        cluster: Cluster,
        traffic: Traffic,
        catalog: Catalog,
        placing: Placing,
        backlog: Backlog,
        store: Store[Any, Any],
    ) -> None:
        self.leased: dict[bytes, TaskMessage] = {}
        self._database = database
        self._cluster = cluster
        self._traffic = traffic
        self._dispatchers: Mapping[str, Dispatcher] = {}
        self._catalog = catalog
        self._placing = placing
        self._backlog = backlog
        self._store = store
        traffic.leased = self.leased
        node = (lambda: cluster.nodes.id) if database.shared else None
        self.leases = Leases(database, self, node, cluster.clock, self._ended, self._note_letter, store.notes)
        self._expiry = Expiry(database, self.leases, self._run_out)
        self.duty = Duty(self._expiry.start, self._expiry.stop)
        self._counters: dict[str, Counter] = {}
        self._left: dict[bytes, int] = {}  # of claims made here: how many of their tasks have not ended
        self._writing: set[asyncio.Task[None]] = set()

    def open(
        self,
        queues: Sequence[Queue],
        dispatchers: Mapping[str, Dispatcher],
        actions: Sequence[DeclaredAction],
    ) -> None:
        """Serve claims on queues; those of the actions that are declared without a function are for nobody else."""
        self._dispatchers = dispatchers
        for queue in queues:
            self._counters[queue.name] = self._counter(queue.name, queue.front)
            for action in actions:
                if action.options.queue == queue.name:
                    queue.front = Reserved(queue.front, queue.name, action.name)  # type: ignore[assignment]

    def resume(self, others: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """Return what takes over all that the last run left: first what is leased, then with ``others`` the rest."""

        async def resume() -> None:
            await self._recover()
            await others()

        return resume

    async def _recover(self) -> None:
        """Take over what workers outside had when the last run ended: their leases hold."""
        after = b""
        while rows := await self._read(after):
            for row in rows:
                dispatcher = self._dispatchers.get(row[5])
                message = dispatcher.hold(row) if dispatcher is not None else None
                if message is not None:
                    message.attempts -= 1  # the one that is under way
                    self.leased[message.key] = message
            after = rows[-1][0]

    def stop(self) -> None:
        """Answer all claims."""
        for counter in self._counters.values():
            counter.stop()
        for task in self._writing:
            task.cancel()

    async def claim(
        self, queue: str, claim: Open, *, wait: float, worker: str, seconds: float
    ) -> Sequence[Leased]:
        """Lease the best tasks of a queue to a worker for so many seconds, as a claim asks, within ``wait`` seconds.

        Raises:
            NotHere: this node does not hand them out; the text says which one does.
            DatabaseError, Overloaded: nothing can be leased now.
        """
        counter = self._counters[queue]
        if counter.in_memory and self._database.shared and not self._cluster.nodes.leadership.is_leader:
            raise NotHere(
                f"Queue {queue} is in the memory of the node that leads: ask that one (`GET /nodes`), or give the "
                "queue a driver with an engine."
            )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            tasks = await counter.take(claim, max(0.0, deadline - loop.time()))
            leased = await self._lease(counter, tasks, worker, seconds) if tasks else ()
            if leased or claim.is_cut or loop.time() >= deadline:
                return leased

    async def give_back(self, leased: Sequence[Leased]) -> None:
        """Take tasks back from a worker that has gone before it was told of them."""
        await self.leases.fail({Named(one.message.key, one.lease): GIVEN_BACK for one in leased})

    def next_run(self, row: Dispatchable, failure: Failure) -> tuple[int, int] | None:
        """Return when a task runs again, and its rank then; None if it has failed for good."""
        _, action, _, attempt, most, _, _, priority, *_ = row
        now = self._cluster.clock()
        if failure is GIVEN_BACK:
            return now, place_of_row(row)
        if failure.final or attempt >= most:
            return None
        rest = failure.after
        if rest is None:
            registered = self._catalog.find(action)
            rest = registered.action.options.backoff.rest(attempt) if registered is not None else 0.0
        run_at = now + int(rest * 1000)
        return run_at, self._placing.rank(run_at, priority or 0)

    def _counter(self, name: str, front: Channel) -> Counter:
        way = self._cluster.ways.get(name)
        claims = None if way is None else way.claims
        give_up = partial(self._later, name)
        idle: Callable[[], None] = lambda: None  # noqa: E731
        if claims is not None and self._database.shared:
            give_up, idle = claims.give_up, claims.give_up_ready  # type: ignore[assignment]
        return Counter(front, self._dispatchers[name], self._refused, give_up, idle)

    def _later(self, queue: str, tasks: Sequence[TaskMessage]) -> None:
        """Put tasks back into line after a rest: no claim takes them now."""
        loop = asyncio.get_running_loop()
        for task in tasks:
            loop.call_later(REST, self._dispatchers[queue].take_back, task)
        loop.call_later(REST, self._dispatchers[queue].feed)

    def _refused(self, task: TaskMessage) -> bool:
        """Keep from being claimed what was cancelled on its way, and what is of a queue paused meanwhile."""
        if task.key in self._traffic.dropped:
            self._traffic.ended([task])
            return True
        return self._traffic.take_back(task)

    async def _lease(
        self, counter: Counter, tasks: Sequence[TaskMessage], worker: str, seconds: float
    ) -> Sequence[Leased]:
        ready = []
        for task in tasks:
            if task.attempt > task.max_attempts:  # the last one was under way as the server died
                lost = Failure("worker_lost", f"the server died in the last of {task.max_attempts} attempts")
                self._store.fail(task, lost, task.attempts)
            else:
                ready.append(task)
        if not ready:
            return ()
        try:
            leased = await self.leases.lease(ready, worker, seconds, partial(self._taken, ready))
        except (DatabaseError, Overloaded):
            counter.put_back(ready)
            raise
        self._expiry.soon()
        return leased

    def _taken(self, tasks: Sequence[TaskMessage], leased: Sequence[Leased]) -> None:
        """Keep count of what is leased, and let go of what was not to be had: it was cancelled, say."""
        self._traffic.changed([one.message.key for one in leased])
        for one in leased:
            self._left[one.lease] = self._left.get(one.lease, 0) + 1
            if self._database.shared:
                self._follow(one.message)
            else:
                self.leased[one.message.key] = one.message
        if len(leased) < len(tasks):
            own = {one.message.key for one in leased}
            self._traffic.ended([task for task in tasks if task.key not in own])

    def _follow(self, task: TaskMessage) -> None:
        """Let the rows tell of a task's end: that may be stored on any node."""
        task.ack()
        assert task.place is not None  # noqa: S101 - none is plain where nodes share the database
        queue = task.place.queue
        outstanding = self._cluster.ways[queue].outstanding
        entry = outstanding.entries.get(task.key)
        if entry is not None:
            outstanding.claim(entry)
            entry.here = False
        elif self._counters[queue].in_memory:
            outstanding.add(task, asyncio.get_running_loop().time(), claimed=True)

    def _ended(self, ended: Sequence[Ended]) -> None:
        """Let go of tasks whose attempt's end is stored."""
        self._traffic.changed([one.named.key for one in ended])
        over = [one.named.key for one in ended if one.over.status in ENDED]
        self._traffic.observe([one.over for one in ended if one.counts])
        self._backlog.changed(-len(over))
        self._traffic.told(over)
        if self._database.shared:
            for one in ended:
                drawn = self._cluster.ways[one.over.queue].outstanding.pop(one.named.key)
                if drawn is not None:
                    self._dispatchers[one.over.queue].settled(drawn)
        found = [self.leased.pop(one.named.key, None) for one in ended]
        self._traffic.ended([message for message in found if message is not None])
        again = [one.run_at for one in ended if one.run_at is not None]
        if again:
            self._traffic.scheduled(min(again))
        for one in ended:
            self._count_down(one.named.lease)
        if self._store.dead_letters is not None:
            self._store.dead_letters.committed()

    def _run_out(self, ended: Sequence[Ended]) -> None:
        for one in ended:
            self._left.pop(one.named.lease, None)
        self._ended(ended)

    def _count_down(self, lease: bytes) -> None:
        """Drop a claim whose tasks have all ended; one that another node has made runs out by itself."""
        left = self._left.get(lease)
        if left is None:
            return
        self._left[lease] = left - 1
        if left == 1:
            del self._left[lease]
            task = asyncio.create_task(insist(lambda: self.leases.drop(lease), "a claim that is done with"))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    def _note_letter(self, transaction: Transaction, key: bytes, failed_at: int) -> None:
        if self._store.dead_letters is not None:
            self._store.dead_letters.expired(transaction, key, failed_at)

    async def _read(self, after: bytes) -> list[Dispatchable]:
        sql, arguments = self._database.bind(statements.ALL_LEASED, {"id_": after, "limit_": RUNNING_AT_ONCE})
        return await self._database.read(lambda connection: connection.execute(sql, arguments).fetchall())
