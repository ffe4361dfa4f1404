"""Procrastinate, a task queue in PostgreSQL: its bulk defer and its worker, each in a process of its own.

`python -m bench.peers.procrastinate_stack work`, `… defer COUNT`; BENCH_POSTGRES is the database's url.
"""

import asyncio
import os
import sys
import time

import procrastinate
import psycopg
from procrastinate import PsycopgConnector

from bench.servers import Target, wait_until

BULK = 500  # jobs in one defer
CONCURRENCY = 100
TIMEOUT = 300.0

app = procrastinate.App(connector=PsycopgConnector(conninfo=os.environ.get("BENCH_POSTGRES", "")))


@app.task(name="uppercase")
async def uppercase(text: str) -> str:
    """Do the job."""
    return text.upper()


async def defer(count: int) -> None:
    """Defer so many jobs."""
    async with app.open_async():
        for first in range(0, count, BULK):
            jobs = [{"text": "hello world"}] * min(BULK, count - first)
            await uppercase.batch_defer_async(*jobs)


async def work() -> None:
    """Run jobs until asked to stop."""
    async with app.open_async():
        await app.run_worker_async(concurrency=CONCURRENCY, delete_jobs="never")


class Procrastinate(Target):
    """A worker on an empty database, and jobs deferred beside it."""

    name = "Procrastinate, bulk defer"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def start(self) -> None:
        env = {"BENCH_POSTGRES": self._url}
        with procrastinate.App(
            connector=procrastinate.SyncPsycopgConnector(conninfo=self._url)
        ).open() as made:
            made.schema_manager.apply_schema()
        self.spawn([sys.executable, "-m", "bench.peers.procrastinate_stack", "work"], env=env)

    def run(self, count: int) -> float:
        """Defer so many jobs and wait until all have succeeded; return jobs a second."""
        began = time.monotonic()
        command = [sys.executable, "-m", "bench.peers.procrastinate_stack", "defer", str(count)]
        self.spawn(command, env={"BENCH_POSTGRES": self._url})
        with psycopg.connect(self._url, autocommit=True) as connection:

            def done() -> bool:
                query = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
                row = connection.execute(query).fetchone()
                return row is not None and row[0] >= count

            wait_until(done, TIMEOUT, "Procrastinate", 0.1)
        return count / (time.monotonic() - began)


if __name__ == "__main__":
    asyncio.run(work() if sys.argv[1] == "work" else defer(int(sys.argv[2])))
