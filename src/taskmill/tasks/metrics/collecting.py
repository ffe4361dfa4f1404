"""Gathers the figures of a service, and of the servers and process hosts of its application."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from platform import python_version
from typing import Any, Final

from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from taskmill import __version__
from taskmill.http import OVERLOADED, HttpService
from taskmill.metrics import Histogram
from taskmill.process.host import ProcessHost
from taskmill.sql import DatabaseError, Overloaded
from taskmill.tasks.metrics import families as f
from taskmill.tasks.metrics.families import FAMILIES, Family
from taskmill.tasks.schedules import statements as schedules
from taskmill.tasks.schedules.model import Paused
from taskmill.tasks.service import TaskService
from taskmill.tasks.stats.meter import CAME_TO

logger = logging.getLogger(__name__)

PATIENCE: Final = 5.0  # seconds for the rows: a scrape is given up after ten, and then lacks everything

_process = ProcessCollector(registry=None)


class Gathered(Collector):
    """Families with their samples, as they were at one moment, and the figures of the process."""

    def __init__(self) -> None:
        self._families: dict[Family, Any] = {family: family.empty() for family in FAMILIES}

    def add(self, family: Family, value: float, *labels: str) -> None:
        """Add a sample; ``labels`` are values in the order of the family's names."""
        self._families[family].add_metric(labels, value)

    def info(self, family: Family, **labels: str) -> None:
        """Add what an info says."""
        self._families[family].add_metric((), labels)

    def histogram(self, family: Family, histogram: Histogram, *labels: str) -> None:
        """Add a histogram."""
        self._families[family].add_metric(labels, histogram.buckets(), histogram.sum)

    def collect(self) -> Iterator[Metric]:
        """Return all of it, in the order of the table."""
        yield from self._families.values()
        yield from _process.collect()


async def gather(tasks: TaskService) -> Gathered:
    """Return the figures as they are now. Where the rows cannot be read, those of rows are left out."""
    found = Gathered()
    found.info(f.BUILD, version=__version__, python=python_version(), database=tasks.store.database.dialect)
    _tasks(found, tasks)
    _service(found, tasks)
    _database(found, tasks)
    _servers(found, tasks)
    _hosts(found, tasks)
    try:
        async with asyncio.timeout(PATIENCE):
            await _rows(found, tasks)
    except (DatabaseError, Overloaded, TimeoutError) as error:
        logger.warning("metrics lack what stands in rows: %s", str(error) or "the database is slow")
    return found


def _tasks(found: Gathered, tasks: TaskService) -> None:
    for queue in tasks.dispatchers:
        found.add(f.SUBMITTED, tasks.intake.submitted[queue], queue)
    meter = tasks.figures.meter
    for (queue, action, came_to), count in {**_none(tasks), **meter.ends()}.items():
        if came_to == "retried":
            found.add(f.RETRIES, count, queue, action)
        else:
            found.add(f.ENDED, count, queue, action, came_to)
    for kind, times in meter.times().items():
        found.histogram(f.WAITING, times.waiting, *kind)
        found.histogram(f.RUNNING, times.running, *kind)


def _none(tasks: TaskService) -> dict[tuple[str, str, str], int]:
    """Return a 0 for each end of each action in its queue: a rate takes no notice of the first that is counted."""
    own = next(iter(tasks.dispatchers))
    kinds = [(one.options.queue or own, tasks.catalog.label(one.name)) for one in tasks.catalog.actions()]
    return {(*kind, came_to): 0 for kind in kinds for came_to in CAME_TO}


def _service(found: Gathered, tasks: TaskService) -> None:
    found.add(f.LATE, tasks.store.refused)
    found.add(f.AT_WORK, len(tasks.worker.running))
    found.add(f.BACKLOG, tasks.backlog.tasks)
    if tasks.backlog.limit is not None:
        found.add(f.BACKLOG_LIMIT, tasks.backlog.limit)
    found.add(f.LEADS, tasks.nodes.leadership.is_leader)
    found.add(f.HELD, tasks.waiters.count)
    found.add(f.STREAMS, tasks.streams.count)
    found.histogram(f.LOOP, tasks.watchdog.late)


def _database(found: Gathered, tasks: TaskService) -> None:
    database = tasks.store.database
    writer = database.writer
    found.histogram(f.COMMIT, writer.commits, database.id)
    found.add(f.COMMITS_FAILED, writer.failed, database.id)
    found.add(f.WRITABLE, writer.error is None, database.id)


def _servers(found: Gathered, tasks: TaskService) -> None:
    for id_, server in tasks.context.every(HttpService).items():
        found.add(f.CONNECTIONS, server.connections, id_)
        for kind, histogram in server.figures.seconds().items():
            found.histogram(f.REQUESTS, histogram, id_, *kind)
        for status, count in {**dict.fromkeys(OVERLOADED, 0), **server.figures.turned_away}.items():
            found.add(f.TURNED_AWAY, count, id_, str(status))


def _hosts(found: Gathered, tasks: TaskService) -> None:
    for id_, host in tasks.context.every(ProcessHost).items():
        if not hasattr(host, "pool"):
            continue  # it is not started
        found.add(f.WORKERS_WANTED, host.pool.workers, id_)
        found.add(f.WORKERS, host.pool.busy, id_, "busy")
        found.add(f.WORKERS, host.pool.idle, id_, "idle")
        for reason, count in host.pool.replaced.items():
            found.add(f.REPLACED, count, id_, reason)


async def _rows(found: Gathered, tasks: TaskService) -> None:
    for state in await tasks.overview.states():
        for status in ("queued", "scheduled", "running"):
            found.add(f.TASKS, getattr(state.depth, status), state.name, status)
        found.add(f.OLDEST, state.oldest or 0.0, state.name)
        found.add(f.CONSUMERS, state.consumers, state.name)
        found.add(f.PAUSED, state.paused is not None, state.name)
    counts = dict(await tasks.reader.read(schedules.COUNT_PAUSED, {}))
    active = counts.pop(Paused.NO.value, 0)
    found.add(f.SCHEDULES, active, "active")
    found.add(f.SCHEDULES, sum(counts.values()), "paused")
    space = await tasks.store.database.measure()
    found.add(f.SIZE, space.used, tasks.store.database.id, "used")
    found.add(f.SIZE, space.free * space.page_size, tasks.store.database.id, "free")
