"""Database servers, brokers and several nodes: `python -m bench.nodes`. Prints tables for docs/scaling.md.

The servers are those of the tests, each in a directory of its own and ended with this program.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import wrk
from bench.client import Client
from bench.cluster import Cluster
from bench.peers.celery_stack import CeleryStack
from bench.peers.dramatiq_stack import Dramatiq
from bench.peers.procrastinate_stack import Procrastinate
from bench.servers import ROOT, wait_until
from bench.subject import Taskmill
from bench.submit import measure

sys.path.insert(0, str(ROOT / "tests"))

from servers.nats import NatsServer
from servers.postgres import PostgresServer, postgres_server
from servers.valkey import ValkeyServer

POSTGRES = "kind: queue.driver.postgres\n    database: db"
NODES = (1, 2, 4)
SLOTS = ("-o", "app:task_consumer:concurrency=4", "-o", "app:task_consumer:prefetch=8")
LONG = "sleep_5ms"


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


@contextmanager
def nats_server() -> Iterator[NatsServer]:
    with tempfile.TemporaryDirectory(prefix="bench-nats-") as directory:
        server = NatsServer(Path(directory))
        server.start()
        try:
            yield server
        finally:
            server.kill()


def nats(server: NatsServer) -> str:
    return f"kind: queue.driver.nats\n    url: {server.url}"


def small(postgres: PostgresServer, broker: NatsServer, seconds: int, jobs: int) -> None:
    """Compare small tasks end to end: submitted one by one over HTTP, run and stored, beside other queues."""
    rates: dict[str, float] = {}
    targets = [
        Taskmill("Taskmill, SQLite", options=()),
        Cluster("Taskmill, PostgreSQL, one node (memory)", postgres.create(), None),
        Cluster("Taskmill, PostgreSQL as the queue too", postgres.create(), POSTGRES),
        Cluster("Taskmill, PostgreSQL + NATS", postgres.create(), nats(broker)),
        CeleryStack("always"),
    ]
    for target in targets:
        say(target.name)
        action = "uppercase" if isinstance(target, CeleryStack) else "noop_async"
        rates[target.name] = measure(target, seconds, action).completed_rate
    for peer in (Procrastinate(postgres.create()), Dramatiq(valkey_program())):
        say(peer.name)
        with peer:
            rates[peer.name] = peer.run(jobs)
    base = rates[Procrastinate.name]
    print("\n| small tasks, end to end | completed/s | to Procrastinate |\n| --- | ---: | ---: |")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.0f} | {rate / base:,.1f} |")


def valkey_program() -> str:
    return shutil.which("redis-server") or ValkeyServer(Path()).command()[0]


def scaling(postgres: PostgresServer, broker: NatsServer, seconds: int) -> None:
    """Run actions of 5 ms on 1, 2 and 4 worker nodes."""
    print("\n| actions of 5 ms, 4 at once on a node | worker nodes | completed/s | of linear |")
    print("| --- | ---: | ---: | ---: |")
    for name, driver in (("PostgreSQL", POSTGRES), ("PostgreSQL + NATS", nats(broker))):
        first = 0.0
        for nodes in NODES:
            say(f"{name}, {nodes} worker nodes")
            with Cluster(name, postgres.create(), driver, nodes, SLOTS) as cluster:
                with Client(cluster.port) as client:
                    wait_until(lambda: client.submit(LONG)[0] == 202, 30.0, "the first task")
                wrk.post(cluster.port, max(3, seconds // 2), LONG)
                rate = cluster.pace(seconds)
            first = first or rate
            print(f"| {name} | {nodes} | {rate:,.0f} | {rate / first / nodes:.0%} |")


def growth(postgres: PostgresServer, seconds: int, most: int) -> None:
    """Measure small tasks beside more and more that have ended."""
    print("\n| rows in the table before | completed/s | to the first |\n| ---: | ---: | ---: |")
    first = 0.0
    rows = 1_000
    while rows <= most:
        say(f"{rows:,} rows")
        cluster = Cluster("rows", postgres.create(), None)
        with cluster:
            cluster.fill(rows)
        # started again: what it has measured of itself begins anew
        rate = measure(Cluster("rows", cluster.url, None), seconds, "noop_async").completed_rate
        first = first or rate
        print(f"| {rows:,} | {rate:,.0f} | {rate / first:.2f} |")
        rows *= 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", default=["small", "scaling", "growth"])
    parser.add_argument("--seconds", type=int, default=8, help="of load, for each case")
    parser.add_argument("--jobs", type=int, default=5_000, help="of queues that are much slower")
    parser.add_argument("--rows", type=int, default=1_000_000, help="the most that are there before")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        postgres = stack.enter_context(postgres_server(shared_buffers="512MB", max_wal_size="4GB"))
        broker = stack.enter_context(nats_server())
        if "small" in arguments.what:
            small(postgres, broker, arguments.seconds, arguments.jobs)
        if "scaling" in arguments.what:
            scaling(postgres, broker, arguments.seconds)
        if "growth" in arguments.what:
            growth(postgres, arguments.seconds, arguments.rows)


if __name__ == "__main__":
    main()
