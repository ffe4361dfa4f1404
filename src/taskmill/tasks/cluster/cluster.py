"""This process as one of the nodes that share a database, or the only one: its ways in and out, and its duties."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import time

from taskmill.queue import Queue
from taskmill.sql import Database
from taskmill.tasks.actions.catalog import Catalog, Registered
from taskmill.tasks.cluster import topics
from taskmill.tasks.cluster.claims import Claims
from taskmill.tasks.cluster.duties import Duties, Duty
from taskmill.tasks.cluster.feed import Feed
from taskmill.tasks.cluster.following import Following
from taskmill.tasks.cluster.health import Health, Progress
from taskmill.tasks.cluster.nodes import Nodes
from taskmill.tasks.cluster.outstanding import Outstanding
from taskmill.tasks.cluster.rows_book import RowsBook
from taskmill.tasks.cluster.sweep import Sweep
from taskmill.tasks.cluster.turnover import Turnover
from taskmill.tasks.cluster.unknown import UNKNOWN
from taskmill.tasks.cluster.watch import Watch
from taskmill.tasks.cluster.way import Way, engines
from taskmill.tasks.dispatch.alarm import Alarm
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.rows.reader import Reader


class Cluster:
    """What joins a task queue to other nodes. Where the database has one process, its duties are its own for good.

    ``ways`` holds, by queue, what is out: of those with an engine, and of all where the database is shared.
    ``paused`` holds the names of paused queues; others write there.
    """

    def __init__(
        self,
        database: Database,
        nodes: Nodes,
        queues: Sequence[Queue],
        catalog: Catalog,
    ) -> None:
        self.nodes = nodes
        self.paused: set[str] = set()
        self._database = database
        self._catalog = catalog
        shared = database.shared
        self.ways: Mapping[str, Way] = (
            {queue.name: self._shared_way(queue) for queue in queues} if shared else engines(queues)
        )
        self._claiming = [way.claims for way in self.ways.values() if way.claims is not None]
        self._engines = [queue for queue in queues if self._has_engine(queue)]
        self.health = Health([self._progress(queue) for queue in self._engines])

    def now(self) -> float:
        """Return the seconds since 1970 by the clock of all nodes."""
        return time() + self._database.clock_offset

    def clock(self) -> int:
        """Return the milliseconds since 1970 by the clock of all nodes."""
        return int(self.now() * 1000)

    @property
    def may_lead(self) -> bool:
        """Whether this node could lead: it has consumers, or hands all to engines that others take it from."""
        return "workers" in self.nodes.roles or all(way.relay is not None for way in self.ways.values())

    def problems(self) -> list[str]:
        """Return what keeps this node from working, a sentence each; nothing of that where it has no consumers."""
        found = []
        if not self.nodes.may_work:
            silent = self.nodes.silent_for
            found.append(f"the database has not heard this node for {silent:.0f} s, so it begins no tasks")
        for queue in self._engines:
            if self._claims(queue).front.receivers() and (problem := queue.channel.problem()):
                found.append(problem)
        return [*found, *self.health.problems()]

    def ahead(self) -> float:
        """Return by how many seconds the clock of all nodes is before this node's."""
        return self._database.clock_offset

    def send(self, topic: str) -> Callable[[], None]:
        """Return what wakes up those who wait for a topic, on any node."""
        return lambda: self._database.signals.send(topic)

    def stand_in(self, queue: str) -> Registered | None:
        """Return what stands for actions that this node lacks, in a queue whose tasks others may run."""
        way = self.ways.get(queue)
        return UNKNOWN if self._database.shared and way is not None and way.relay is not None else None

    def lead(
        self, turnover: Turnover, resume: Callable[[], Awaitable[None]], alarm: Alarm, duties: Sequence[Duty]
    ) -> None:
        """Take what is to be done while this node leads: ``duties`` after ``resume``, which hands out what waits."""

        async def take_over() -> None:
            if self._database.shared:
                await turnover.take_over(self.nodes.leadership.fence)
                self._sweep.soon()
                return
            await resume()
            for way in self.ways.values():
                if way.relay is not None:
                    way.relay.start()

        self._duties = Duties([Duty(take_over, alarm.stop), *duties], turnover.rest)
        leadership = self.nodes.leadership
        leadership.gained.append(self._duties.begin)
        leadership.lost.append(self._duties.lose)

    def others(
        self,
        reader: Reader,
        dispatchers: Mapping[str, Dispatcher],
        turnover: Turnover,
        alarm: Alarm,
        sweep: Sweep,
        following: Following,
    ) -> Sequence[Duty]:
        """Take what hears of other nodes; return what of it the leader alone does."""
        self._sweep, self._following = sweep, following
        if not self._database.shared:
            return []
        self._database.signals.on(topics.DUE, alarm.look)
        self.nodes.reborn.append(self._doubt)
        self.nodes.quiet.append(lambda _: self._doubt())
        feed = Feed(self._database, reader, dispatchers.values(), self.now, self.is_alone)
        out = {name: way.outstanding for name, way in self.ways.items()}
        watch = Watch(reader, out, turnover.elsewhere, self.is_alone)
        return [Duty(feed.start, feed.stop), Duty(watch.start, watch.stop)]

    async def start(self) -> None:
        """Join the others; where this node leads at once, begin to."""
        self._sweep.start()
        self._following.start()
        await self.nodes.start()
        for way in self.ways.values():
            way.start()
        self.health.start()

    async def stop_duties(self) -> None:
        """Lead no more in deed, though it is still this node's to."""
        await self._duties.stop()

    async def stop(self) -> None:
        """Give back what was claimed, and leave."""
        await self.health.stop()
        for way in self.ways.values():
            await way.stop()
            if way.relay is not None:
                way.relay.rest()
        await self._following.stop()
        await self._sweep.stop()
        await self.nodes.stop()

    def _shared_way(self, queue: Queue) -> Way:
        def book(outstanding: Outstanding) -> RowsBook:
            return RowsBook(self._database, self._catalog, lambda: self.nodes.id, outstanding)

        def may_begin() -> bool:
            return queue.name not in self.paused and bool(self.nodes.id) and self.nodes.may_work

        return Way(queue, book, may_begin, self.now)

    def _has_engine(self, queue: Queue) -> bool:
        way = self.ways.get(queue.name)
        return way is not None and way.claims is not None

    def _claims(self, queue: Queue) -> Claims:
        claims = self.ways[queue.name].claims
        assert claims is not None  # noqa: S101 - asked for those with an engine alone
        return claims

    def _progress(self, queue: Queue) -> Progress:
        claims = self._claims(queue)
        return Progress(
            queue.name, claims.credit, lambda: claims.arrived, queue.channel.depth, claims.resubscribe
        )

    def is_alone(self) -> bool:
        """Whether there is no other node, as far as this one knows."""
        return len(self.nodes.alive) < 2

    def _doubt(self) -> None:
        for claims in self._claiming:
            claims.doubt()
