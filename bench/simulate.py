"""What many machines would do: a simulation with the costs that were measured on one: `python -m bench.simulate`.

A *shard* is one database with the nodes in front of it and behind it. Queues are spread over shards, and shards
share nothing, so a load of a million tasks a second is many shards. One shard is simulated, event by event, in
batches, as the program works:

* an http node gathers rows while its last commit is under way, and stores them with one transaction;
* the leader reads what is new, and publishes ids, a batch at a time;
* a worker node claims ids with one transaction, runs the tasks in its slots, and stores ends with one transaction;
* the database has cores, and one log: a flush serves every transaction that waits for one when it begins.

Assumptions, beside the costs below: machines are alike and networks add a constant; nothing else uses the database;
its log is on a disk that flushes in constant time; the table's size does not matter (bench.nodes: so it is up to
10,000 rows); work is spread evenly over shards and nodes.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Generator
from dataclasses import dataclass, field
from statistics import quantiles
from typing import Any, NamedTuple

import simpy

Event = Generator[Any, Any, None]


class Costs(NamedTuple):
    """Seconds of one core, rounded up from what was measured on one machine. `wire` and `flush` are waiting."""

    accept: float = 45e-6  # an http node, for a submission
    work: float = 60e-6  # a worker node, for a claim, a start and an end, without the action
    dispatch: float = 25e-6  # the leader, to read, order and publish a task
    store: float = 15e-6  # the database, for a task's row,
    claim: float = 12e-6  # for its claim,
    end: float = 20e-6  # and for its end
    transaction: float = 60e-6  # the database, for a transaction of any size
    wire: float = 0.3e-3  # a round trip
    flush: float = 1.0e-3  # the log to the disk


class Shape(NamedTuple):
    """One shard: machines of `cores` each, and a database of `database_cores`."""

    http_nodes: int
    worker_nodes: int
    slots: int = 100  # tasks at once on a worker node
    cores: int = 2
    database_cores: int = 16
    action: float = 5e-3  # seconds that a task takes, waiting and not computing


@dataclass
class Shard:
    """A database, and everything that talks to it."""

    env: simpy.Environment
    costs: Costs
    shape: Shape
    ended: list[float] = field(default_factory=list)  # seconds from submission to the stored end

    def __post_init__(self) -> None:
        env, shape = self.env, self.shape
        self.database = simpy.Resource(env, shape.database_cores)
        self.leader = simpy.Resource(env, 1)  # one core: the dispatcher is one event loop
        self.stored: simpy.Store = simpy.Store(env)
        self.published: simpy.Store = simpy.Store(env)
        self.flushing: simpy.Event | None = None
        self.waiting: simpy.Event = env.event()

    def transaction(self, rows: int, cost: float) -> Event:
        """Use the database for a transaction, and wait for its flush."""
        with self.database.request() as core:
            yield core
            yield self.env.timeout(self.costs.transaction + rows * cost)
        yield from self.flush()
        yield self.env.timeout(self.costs.wire)

    def flush(self) -> Event:
        """Wait for a flush that begins from now on; the first to wait begins it, the others share it."""
        mine = self.waiting
        if self.flushing is not None:
            yield self.flushing
        if self.waiting is mine:
            self.waiting, self.flushing = self.env.event(), mine
            yield self.env.timeout(self.costs.flush)
            self.flushing = None
            mine.succeed()
        elif not mine.processed:
            yield mine

    def http_node(self, rate: float, until: float, chance: random.Random) -> Event:
        """Submit tasks at random moments, and store what has come while the last commit was under way."""
        last = self.env.now
        while last < until:
            yield self.env.timeout(1e-3)
            count = poisson(rate * (self.env.now - last), chance)
            arrived = (last + self.env.now) / 2
            last = self.env.now
            if not count:
                continue
            yield self.env.timeout(count * self.costs.accept / self.shape.cores)
            yield from self.transaction(count, self.costs.store)
            yield self.stored.put((arrived, count))

    def lead(self) -> Event:
        """Publish what has been stored, as one event loop can."""
        while True:
            arrived, count = yield self.stored.get()
            yield self.env.timeout(count * self.costs.dispatch)
            share = max(1, math.ceil(count / self.shape.worker_nodes))
            for first in range(0, count, share):
                yield self.published.put((arrived, min(share, count - first)))

    def worker_node(self) -> Event:
        """Claim what was published, and run it in the node's slots."""
        slots = simpy.Container(self.env, self.shape.slots, self.shape.slots)
        core = simpy.Resource(self.env, self.shape.cores)
        while True:
            batch = [(yield self.published.get())]
            while self.published.items and sum(count for _, count in batch) < self.shape.slots:
                batch.append((yield self.published.get()))
            claimed = sum(count for _, count in batch)
            yield from self.transaction(claimed, self.costs.claim)
            for arrived, count in batch:
                for part in range(0, count, self.shape.slots):
                    some = min(self.shape.slots, count - part)
                    yield slots.get(some)
                    self.env.process(self.run(arrived, some, slots, core))

    def run(self, arrived: float, count: int, slots: simpy.Container, core: simpy.Resource) -> Event:
        """Run tasks side by side; their slots are free before their ends are stored."""
        with core.request() as turn:
            yield turn
            yield self.env.timeout(count * self.costs.work)
        yield self.env.timeout(self.shape.action)
        yield slots.put(count)
        yield from self.transaction(count, self.costs.end)
        self.ended.extend([self.env.now - arrived] * count)


def poisson(mean: float, chance: random.Random) -> int:
    """Return a random number of arrivals; normal where there are many."""
    if mean > 30:
        return max(0, round(chance.gauss(mean, math.sqrt(mean))))
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count, product = count + 1, product * chance.random()
    return count


class Capacity(NamedTuple):
    """Tasks a second that each part of a shard can do: the least of them is the shard's."""

    http: float
    database: float
    leader: float
    workers: float


def capacity(shape: Shape, costs: Costs, batch: int = 50) -> Capacity:
    """Return the formula of docs/scaling.md; ``batch`` is how many rows share a transaction."""
    rows = costs.store + costs.claim + costs.end + 3 * costs.transaction / batch
    by_core = shape.worker_nodes * shape.cores / costs.work
    by_slots = shape.worker_nodes * shape.slots / (shape.action + costs.flush + costs.wire)
    return Capacity(
        shape.http_nodes * shape.cores / costs.accept,
        shape.database_cores / rows,
        1 / costs.dispatch,
        min(by_core, by_slots),
    )


class Result(NamedTuple):
    """What a simulated shard did: tasks a second, and milliseconds from submission to the stored end."""

    throughput: float
    p50: float
    p99: float


def simulate(shape: Shape, rate: float, costs: Costs, seconds: float = 2.0, seed: int = 1) -> Result:
    """Run one shard at a rate of submissions for so many simulated seconds."""
    env = simpy.Environment()
    shard = Shard(env, costs, shape)
    for number in range(shape.http_nodes):
        chance = random.Random(f"{seed}-{number}")
        env.process(shard.http_node(rate / shape.http_nodes, seconds, chance))
    env.process(shard.lead())
    for _ in range(shape.worker_nodes):
        env.process(shard.worker_node())
    env.run(seconds)
    if len(shard.ended) < 2:
        return Result(0.0, math.inf, math.inf)
    cuts = quantiles(shard.ended, n=100)
    return Result(len(shard.ended) / seconds, cuts[49] * 1e3, cuts[98] * 1e3)


def plan(total: float, costs: Costs, load: float = 0.6) -> tuple[int, Shape]:
    """Return how many shards of which shape carry a load, each part used to ``load`` of its capacity at most."""
    one = Shape(1, 1)
    limit = load * min(capacity(one, costs).database, capacity(one, costs).leader)
    shards = math.ceil(total / limit)
    rate = total / shards / load
    shape = Shape(math.ceil(rate / capacity(one, costs).http), math.ceil(rate / capacity(one, costs).workers))
    return shards, shape


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=float, nargs="*", default=[1e3, 1e4, 1e5, 1e6], help="tasks a second")
    parser.add_argument("--seconds", type=float, default=2.0, help="simulated, for each rate")
    arguments = parser.parse_args()
    costs = Costs()
    print(
        "| tasks/s | shards | nodes a shard: http + workers | simulated tasks/s | p50 ms | p99 ms | least capacity |"
    )
    print("| ---: | ---: | :---: | ---: | ---: | ---: | --- |")
    for total in arguments.rates:
        shards, shape = plan(total, costs)
        result = simulate(shape, total / shards, costs, arguments.seconds)
        parts = capacity(shape, costs)._asdict()
        least = min(parts, key=parts.__getitem__)
        print(
            f"| {total:,.0f} | {shards} | {shape.http_nodes} + {shape.worker_nodes} | "
            f"{result.throughput * shards:,.0f} | {result.p50:.1f} | {result.p99:.1f} | "
            f"{least}: {parts[least] * shards:,.0f} |"
        )


if __name__ == "__main__":
    main()
