"""``task.service``: the task queue itself, between a database, its queues and a process host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from taskmill.process.host import ProcessHost
from taskmill.process.pool import WorkerPool
from taskmill.process.source_check import check_source
from taskmill.queue import Queue
from taskmill.registry import Entry, EntryConfig, Mistake
from taskmill.sql import Database, DatabaseError, Overloaded
from taskmill.supervisor import Context
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.actions.versions import number_schemas
from taskmill.tasks.batches.batches import Batches
from taskmill.tasks.bulk.bulk import Bulk
from taskmill.tasks.callback.callbacks import Callbacks
from taskmill.tasks.callback.connecting import connect
from taskmill.tasks.cluster import topics
from taskmill.tasks.cluster.beat import Details
from taskmill.tasks.cluster.cluster import Cluster
from taskmill.tasks.cluster.duties import Duty
from taskmill.tasks.cluster.following import Following
from taskmill.tasks.cluster.nodes import Nodes
from taskmill.tasks.cluster.sweep import Sweep
from taskmill.tasks.cluster.turnover import Turnover
from taskmill.tasks.config import TaskServiceConfig
from taskmill.tasks.control.control import Control
from taskmill.tasks.control.dead_letter import DeadLetters
from taskmill.tasks.control.holding import Holding
from taskmill.tasks.control.many import Many
from taskmill.tasks.dispatch.alarm import Alarm
from taskmill.tasks.dispatch.dispatcher import Dispatcher
from taskmill.tasks.dispatch.limits import Limits
from taskmill.tasks.dispatch.strays import Strays
from taskmill.tasks.events.journal import Journal
from taskmill.tasks.events.streams import Streams
from taskmill.tasks.external.declared import DeclaredAction
from taskmill.tasks.external.external import External
from taskmill.tasks.finding.asking import Asking
from taskmill.tasks.finding.building import Building, end_undeclared
from taskmill.tasks.follow.followers import Followers
from taskmill.tasks.ids import IdSource
from taskmill.tasks.intake.admission import Admission
from taskmill.tasks.intake.backlog import Backlog
from taskmill.tasks.intake.completing import Completing
from taskmill.tasks.intake.intake import Intake
from taskmill.tasks.intake.placing import Placing
from taskmill.tasks.redacting.joining import path_flaws, redact
from taskmill.tasks.retention.retention import Retention
from taskmill.tasks.rows.reader import Reader
from taskmill.tasks.rows.store import Store
from taskmill.tasks.schedules.firing import Tasks
from taskmill.tasks.schedules.model import Definition
from taskmill.tasks.schedules.scheduler import Scheduler
from taskmill.tasks.sealing.guard import database_of, key_flaws
from taskmill.tasks.stats.figures import Figures
from taskmill.tasks.stats.meter import Meter
from taskmill.tasks.traffic import Traffic
from taskmill.tasks.usage.ledger import Ledger
from taskmill.tasks.view.line import Line
from taskmill.tasks.view.listing import Listing
from taskmill.tasks.view.queues import Overview
from taskmill.tasks.waiting.waiters import Waiters
from taskmill.tasks.work.watchdog import Watchdog
from taskmill.tasks.work.worker import Worker

if TYPE_CHECKING:
    from taskmill.tasks.tracing.tracing import Tracing


class TaskService:
    """Accepts tasks, hands them to their queues once they are safe, and keeps their results."""

    kind: ClassVar[str] = "task.service"
    Config: ClassVar[type[EntryConfig]] = TaskServiceConfig

    def __init__(self, entry: Entry[Any], context: Context) -> None:
        self._config: TaskServiceConfig = entry.config
        self.context = context
        self._directory = entry.directory
        self._started = False
        self.catalog = Catalog()
        self.dispatchers: dict[str, Dispatcher] = {}
        self.tracing: Tracing | None = None  # what makes spans, of an entry that starts before
        self.ledger: Ledger | None = None  # what callers use, where an entry counts that
        self.declared_schedules: list[Definition] = []  # by entries that start before, as are these:
        self.declared_actions: list[DeclaredAction] = []
        self.declared_queues: list[Queue] = []
        self.callbacks: Callbacks | None = None

    @classmethod
    def check(cls, entry: Entry[Any]) -> Iterator[Mistake]:
        """Find sources of actions that are missing, and keys that are none."""
        for index, source in enumerate(entry.config.actions):
            for mistake in check_source(source, None, entry.directory):
                yield mistake._replace(field=f"actions[{index}]")
        yield from key_flaws(entry.config.encrypt)
        yield from path_flaws(entry.config.redact)

    async def start(self) -> None:
        """Load the actions, and dispatch what the last run left unfinished."""
        self.catalog.load(self._config.actions, self._directory)
        pool = self.context.get(self._config.host, ProcessHost).pool
        pool.preload(self.catalog.isolated())
        self.catalog.declare(self.declared_actions)
        database = await database_of(self.context, self._config, self.catalog.actions())
        self.reader = Reader(database)
        newest = await self.reader.newest_id()
        await number_schemas(database, self.catalog)
        await end_undeclared(database, self.catalog)
        if database.shared:
            self.catalog.rank_all()
        self._build(database, pool, newest)
        self._started = True
        self.watchdog = Watchdog()
        self.watchdog.start()
        await self.control.follow_pauses()
        if database.shared:  # the leader does it, too, and anybody may lead
            await self.scheduler.prepare(self.declared_schedules)
        self.followers.start()
        await self.cluster.start()
        self.backlog.start()
        self.figures.start()
        self.traffic.look_again()

    async def stop(self) -> None:
        """Break off what still runs; its tasks run again at the next start."""
        if not self._started:
            return
        await self.cluster.stop_duties()
        await self.followers.stop()
        await self.backlog.stop()
        await self.figures.stop()
        await self.intake.stop()
        self.limits.stop()
        for dispatcher in self.dispatchers.values():
            await dispatcher.stop()
        await self.worker.stop()
        await self.store.notes.stop()
        self.traffic.stop()
        await self.waiters.stop()
        await self.streams.stop()
        await self.cluster.stop()
        self.watchdog.stop()
        self.external.stop()

    def _build(self, database: Database, pool: WorkerPool, newest: bytes) -> None:
        """Make the parts and join them. None of them does anything yet."""
        config, reader, catalog, dispatchers = self._config, self.reader, self.catalog, self.dispatchers
        queues = self._queues()
        own = queues[0].name
        placing = Placing(dispatchers, own, config.ageing)
        self.nodes = Nodes(database, config.only, self._details, lambda: self.cluster.may_lead)
        self.backlog = Backlog(config.max_backlog, reader.unended, shared=database.shared)
        self.cluster = cluster = Cluster(database, self.nodes, queues, catalog)
        self.traffic = traffic = Traffic(
            reader, catalog, dispatchers, placing, self.backlog, own, cluster.paused, cluster.ahead
        )
        self.limits = Limits(reader, dispatchers, traffic.end_for_limit)
        strays = Strays(database, catalog, traffic.due)
        for queue in queues:
            dispatchers[queue.name] = self._dispatcher(queue, strays)
        ids = IdSource(newest, cluster.now) if database.shared else IdSource(newest)
        self.intake = Intake(catalog, ids, placing, dispatchers, own, self.backlog)
        self.bulk = Bulk(catalog, ids, placing, own, self.intake)
        self.store = Store(
            database,
            self.intake.added,
            self.intake.added_full,
            traffic.finished,
            traffic.scheduled,
            put_off=traffic.ended,
            node=(lambda: self.nodes.id) if database.shared else None,
            traced=self.tracing is not None,
        )
        self.store.dead_letters = DeadLetters.of(database, queues, self.context)
        completing = Completing(self.store, self.intake)
        catalog.complete_by(completing)
        self.worker = Worker(
            self.store, pool, retry=traffic.retry, settle=traffic.ended, completing=completing,
            dropped=traffic.dropped, paused=traffic.paused, take_back=traffic.take_back,
        )  # fmt: skip
        self._alarm = Alarm(
            self.store, reader, traffic.due, traffic.expired, self.worker.has,
            ahead=cluster.ahead, elsewhere=cluster.send(topics.DUE),
        )  # fmt: skip
        self.line = Line(database, dispatchers, self.limits)
        self.intake.connect(self.store, self._alarm, Admission(self.line, reader, dispatchers))
        self._steer(database, placing)
        traffic.connect(self.store, strays, self.worker, self._alarm, self.control)
        self._view(placing, own)
        scheduled = Tasks(catalog, ids, placing, dispatchers, self.intake)
        self.scheduler = Scheduler(database, scheduled, cluster.clock)
        self.external = External(database, cluster, traffic, catalog, placing, self.backlog, self.store)
        self._join(database, newest, queues)
        redact(self, config.redact)

    def _steer(self, database: Database, placing: Placing) -> None:
        """Make what changes tasks that are there."""
        traffic, clock, paused = self.traffic, self.cluster.clock, self.traffic.paused
        parts = (database, self.catalog, self.dispatchers, placing)
        self.control = Control(*parts, traffic.cancelled, traffic.redriven, paused)
        connect(self.callbacks, self.catalog, placing, self.reader, self.intake, self.control)
        self.holding = Holding(self.store, placing, self._alarm, traffic.expired, clock)
        followers = Followers(database, placing, clock, traffic.ready, traffic.expired)
        self.followers = traffic.followers = self.intake.followers = followers
        self.batches = Batches(self.intake, followers, placing, self.control.cancel)

    def _view(self, placing: Placing, own: str) -> None:
        """Make what shows tasks, and what changes many of those that it finds."""
        self.listing = Listing(self.reader)
        self.asking = Asking(self.reader, self.catalog)
        self.many = Many(self.reader, self.listing, self.control)
        self.overview = Overview(self.reader, self.dispatchers, placing, own)
        meter = Meter(own, placing.ageing_off, self.catalog.label)
        self.figures = Figures(self.reader, self.overview, meter, self.nodes.name)
        self.store.observe, self.traffic.observe = meter.ended, meter.over

    def _queues(self) -> list[Queue]:
        named = [self.context.get(id_, Queue) for id_ in (self._config.queue, *self._config.queues)]
        return list(dict.fromkeys([*named, *self.declared_queues]))

    def _dispatcher(self, queue: Queue, strays: Strays) -> Dispatcher:
        cluster, way = self.cluster, self.cluster.ways.get(queue.name)
        return Dispatcher(
            self.reader,
            queue,
            self.catalog,
            self.limits,
            dropped=self.traffic.dropped,
            let_go=self.traffic.follow,
            strays=strays,
            outlet=None if way is None else way.relay,
            elsewhere=cluster.send(topics.PLAIN),
            ahead=cluster.ahead,
            others=cluster.stand_in(queue.name),
        )

    def _join(self, database: Database, newest: bytes, queues: Sequence[Queue]) -> None:
        """Join the parts to those of other nodes."""
        cluster, traffic, letters = self.cluster, self.traffic, self.store.dead_letters
        if database.shared:
            traffic.ways = cluster.ways
            for dispatcher in self.dispatchers.values():
                dispatcher.rest()  # until this node leads
        keep, max_size, tombstones = self._config.keep, self._config.max_size, self._config.tombstones
        self.retention = Retention(database, keep, max_size, tombstones)
        self.waiters = Waiters.of(database, cluster.is_alone, self.retention.was_pruned)
        traffic.waiters = self.intake.waiters = self.waiters
        feed = self.bulk.feed = self.store.feed
        journal = Journal(database, feed, cluster.is_alone, lambda: self.nodes.id, cluster.now)
        self.streams = Streams(database, feed, journal, self.retention.was_pruned)
        self.followers.letters = letters
        ways, dispatchers, backlog, alarm = cluster.ways, self.dispatchers, self.backlog, self._alarm
        turnover = Turnover(self.reader, traffic, dispatchers, ways, self.worker, alarm, self.limits, backlog)
        sweep = Sweep(database, self.nodes, turnover.returned, turnover.lost, letters)
        pauses, soon = self.control.follow_pauses, self.scheduler.soon
        following = Following(self.reader, self.nodes, turnover.in_hand, turnover.let_go, pauses, soon)
        building = Building(database, self.catalog, self.listing)
        duties = [
            Duty(lambda: self.scheduler.start(self.declared_schedules), self.scheduler.stop),
            Duty(self.retention.start, self.retention.stop),
            Duty(building.start, building.stop),
            self.external.duty,
            self.followers.duty,
            *([] if letters is None else [Duty(letters.start, letters.stop)]),
            *cluster.others(self.reader, self.dispatchers, turnover, self._alarm, sweep, following),
        ]
        self.external.open(queues, dispatchers, [one for one in self.declared_actions if one.served_outside])
        resume = self.external.resume(lambda: traffic.resume(newest, database.killed))
        cluster.lead(turnover, resume, self._alarm, duties)
        if self.tracing is not None:
            self.tracing.join(self, queues[0].name)

    def _details(self) -> Details:
        """Tell what the other nodes see of this one."""
        consumers = {name: dispatcher.consumers for name, dispatcher in self.dispatchers.items()}
        return Details(self.catalog.names(), consumers, len(self.worker.running), self.store.refused)

    async def readiness(self) -> list[str]:
        """Return what keeps the service from accepting tasks: nothing if it is well.

        After a write has failed the next one is made here: where this keeps traffic away, no other would come.
        """
        if self.store.database.writer.error is not None:
            try:
                await self.store.database.probe()
            except (DatabaseError, Overloaded) as error:
                return [str(error)]
        return self.cluster.problems()
