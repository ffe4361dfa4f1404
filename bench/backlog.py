"""What does a backlog cost? Tasks pile up in front of a consumer that is not started."""

import time
from dataclasses import dataclass

from bench import wrk
from bench.client import Client
from bench.latency import percentile
from bench.servers import Target

FILL_TIMEOUT = 600.0
LISTS = 300


@dataclass(frozen=True)
class State:
    """The server with so many tasks queued."""

    queued: int
    load: wrk.Load  # submits, measured on top of them
    rss_mib: float
    list_p95: float  # GET /tasks?limit=100, milliseconds


def look(target: Target, queued: int, seconds: int, action: str) -> State:
    times = []
    with Client(target.port) as client:
        client.submit(action)
        for _ in range(LISTS):
            started = time.perf_counter()
            client.get("/tasks?limit=100")
            times.append((time.perf_counter() - started) * 1e3)
    load = wrk.post(target.port, seconds, action)
    return State(queued, load, target.rss_mib(), percentile(times, 95))


def measure(target: Target, tasks: int, seconds: int, action: str) -> tuple[State, State]:
    """Look at the server when it is empty and again when the backlog stands."""
    with target:
        empty = look(target, 0, seconds, action)
        queued = empty.load.acknowledged
        deadline = time.monotonic() + FILL_TIMEOUT
        while queued < tasks:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{queued} of {tasks} tasks queued after {FILL_TIMEOUT:.0f} s")
            queued += wrk.post(target.port, seconds, action).acknowledged
        return empty, look(target, queued, seconds, action)
