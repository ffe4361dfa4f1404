"""Dramatiq on Redis: its actors' `send`, and its worker with two processes.

`python -m bench.peers.dramatiq_stack COUNT` sends; BENCH_REDIS is the server's url.
"""

import os
import sys
import time

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker

from bench.servers import Target, free_port, wait_until

TIMEOUT = 300.0
URL = os.environ.get("BENCH_REDIS", "redis://127.0.0.1:6379/0")

dramatiq.set_broker(RedisBroker(url=URL))
store = redis.Redis.from_url(URL)


@dramatiq.actor
def uppercase(text: str) -> None:
    """Do the job, and keep the result where it can be counted."""
    store.rpush("results", text.upper())


class Dramatiq(Target):
    """A Redis with `appendfsync always`, and a worker."""

    name = "Dramatiq + Redis, appendfsync always"

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def start(self) -> None:
        port = free_port()
        server = [self._program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        self.spawn([*server, "--save", "", "--appendonly", "yes", "--appendfsync", "always"], port)
        self._env = {"BENCH_REDIS": f"redis://127.0.0.1:{port}/0"}
        self._redis = redis.Redis(port=port)
        worker = [sys.executable, "-m", "dramatiq", "bench.peers.dramatiq_stack", "--processes", "2"]
        self.spawn([*worker, "--threads", "8"], env=self._env, orphaned="TERM")

    def run(self, count: int) -> float:
        """Send so many messages and wait for all results; return messages a second."""
        began = time.monotonic()
        self.spawn([sys.executable, "-m", "bench.peers.dramatiq_stack", str(count)], env=self._env)
        wait_until(lambda: int(self._redis.llen("results")) >= count, TIMEOUT, self.name, 0.1)  # type: ignore[arg-type]
        return count / (time.monotonic() - began)


if __name__ == "__main__":
    for _ in range(int(sys.argv[1])):
        uppercase.send("hello world")
