"""How many tasks a second? Posted as fast as they are acknowledged, then waited for until all are done."""

import time
from dataclasses import dataclass

from bench import wrk
from bench.client import Client
from bench.servers import Target, wait_until

WARM_UP = 200
DRAIN_TIMEOUT = 300.0


@dataclass(frozen=True)
class Sample:
    """One target, measured once."""

    load: wrk.Load
    completed: int
    seconds: float  # from the first request until the last result is stored
    cpu_seconds: float  # of all processes
    server_cpu_seconds: float  # of those that answer
    rss_mib: float

    @property
    def completed_rate(self) -> float:
        return self.completed / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / self.completed * 1e6

    @property
    def server_cpu_us(self) -> float:
        return self.server_cpu_seconds / self.completed * 1e6


def warm_up(target: Target, action: str) -> None:
    with Client(target.port) as client:
        for _ in range(WARM_UP):
            status, answer = client.submit(action)
            if status != 202:
                raise RuntimeError(f"{target.name} answered {status}: {answer}")
    wait_until(target.settled, 60.0, f"the warm-up of {target.name}")


def measure(target: Target, seconds: int, action: str = "uppercase") -> Sample:
    """Start the target, load it, wait for the drain, stop it, count what is stored."""
    with target:
        warm_up(target, action)
        cpu, server = target.cpu_seconds(), target.server_cpu_seconds()
        started = time.monotonic()
        load = wrk.post(target.port, seconds, action)
        rss = target.rss_mib()
        wait_until(target.settled, DRAIN_TIMEOUT, f"the drain of {target.name}")
        elapsed = time.monotonic() - started
        cpu, server = target.cpu_seconds() - cpu, target.server_cpu_seconds() - server
    stored = target.completed()
    if stored is None:  # a constant answer: the answer is all there is
        return Sample(load, load.acknowledged, load.seconds, cpu, server, rss)
    if stored - WARM_UP < load.acknowledged:
        raise RuntimeError(f"{target.name} acknowledged {load.acknowledged}, completed {stored - WARM_UP}")
    return Sample(load, stored - WARM_UP, elapsed, cpu, server, rss)
