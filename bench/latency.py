"""How long does one task take on an idle server? From POST to the answer that says completed."""

import time
from dataclasses import dataclass

from bench.client import Client
from bench.servers import Target
from bench.submit import warm_up

TASK_TIMEOUT = 10.0


@dataclass(frozen=True)
class Latency:
    """Milliseconds from POST to acknowledged and to seen as completed."""

    acknowledged: list[float]
    completed: list[float]


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def measure(target: Target, action: str, samples: int) -> Latency:
    """Post one task after another, asking for each without a pause until it is completed."""
    latency = Latency([], [])
    with target:
        warm_up(target, action)
        with Client(target.port) as client:
            for _ in range(samples):
                started = time.perf_counter()
                _, task = client.submit(action)
                latency.acknowledged.append((time.perf_counter() - started) * 1e3)
                while client.get(f"/tasks/{task['id']}")[1]["status"] != "completed":
                    if time.perf_counter() - started > TASK_TIMEOUT:
                        raise TimeoutError(f"task {task['id']} is not completed after {TASK_TIMEOUT:.0f} s")
                latency.completed.append((time.perf_counter() - started) * 1e3)
    return latency
