"""How many small calls a second go through the worker processes, and what does one cost the parent?

    python bench/bench_pool.py [SECONDS]

Batches of 1, 3 and 16 calls; so many batches are kept in flight that no worker waits for work.
"""

import asyncio
import sys
import time

import uvloop
from msgspec import json

from taskmill.process.child import Call
from taskmill.process.messages import Completed, FunctionRef, Outcome
from taskmill.process.pool import WorkerPool

WORKERS = 2
IN_FLIGHT = 3  # batches a worker
FUNCTION = FunctionRef("string", "capwords", "")
PAYLOAD = json.encode({"s": "hello world"})


async def measure(pool: WorkerPool, batch: int, seconds: float) -> tuple[float, float]:
    """Return calls a second and microseconds of the parent's processor time a call."""
    answered = 0
    end = time.monotonic() + seconds
    drained = asyncio.Event()

    def submit() -> None:
        waiting = batch

        def done(outcome: Outcome) -> None:
            nonlocal answered, waiting
            if not isinstance(outcome, Completed):
                raise TypeError(outcome)
            answered += 1
            waiting -= 1
            if waiting:
                return
            if time.monotonic() < end:
                submit()
            elif not pool.outstanding:
                drained.set()

        pool.submit([Call(FUNCTION, PAYLOAD, done, 30.0) for _ in range(batch)])

    started, processor = time.monotonic(), time.process_time()
    for _ in range(WORKERS * IN_FLIGHT):
        submit()
    await drained.wait()
    elapsed, used = time.monotonic() - started, time.process_time() - processor
    return answered / elapsed, used / answered * 1e6


async def latency(pool: WorkerPool, calls: int = 500) -> float:
    """Return the median microseconds of one call at a time."""
    loop = asyncio.get_running_loop()
    times = []
    for _ in range(calls):
        answer: asyncio.Future[Outcome] = loop.create_future()
        begun = time.perf_counter()
        pool.submit([Call(FUNCTION, PAYLOAD, answer.set_result)])
        await answer
        times.append(time.perf_counter() - begun)
    return sorted(times)[calls // 2] * 1e6


async def main() -> None:
    """Print one row for each size of batch."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    pool = WorkerPool(WORKERS)
    pool.start()
    pool.preload([FUNCTION])
    print(f"one call at a time: {await latency(pool):.0f} µs")
    print("| batch | calls/s | µs of the parent's CPU a call |\n| ---: | ---: | ---: |")
    for batch in (1, 3, 16):
        rate, cost = await measure(pool, batch, seconds)
        print(f"| {batch} | {rate:,.0f} | {cost:.1f} |")
    await pool.stop()


if __name__ == "__main__":
    uvloop.run(main())
