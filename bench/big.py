"""What does a large table cost? `make bench-big`, or `python -m bench.big`; BIG=200000 for fewer than ten million.

Half of the rows are completed, half wait. Everything is measured on an empty server first, then on the large one.
"""

import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import wrk
from bench.client import Client
from bench.latency import percentile
from bench.servers import ROOT, end, wait_until
from bench.subject import Taskmill
from bench.table import Goal, Row, machine, markdown, versions
from taskmill.client import Client as Asking
from taskmill.client import Submission
from taskmill.client.lines import load

TASKS = int(os.environ.get("BIG", "10_000_000"))
ACTION = "uppercase"
SECONDS = 5 if TASKS >= 100_000 else 1  # of each load
SAMPLE = min(200_000, TASKS // 4)  # tasks that are drained for a rate
LISTS = 200 if TASKS >= 100_000 else 20  # requests for each filter
TIMEOUT = 7_200.0  # seconds for one part
NAME = "big"


@dataclass
class Figures:
    """What was measured with so many rows in the table."""

    rows: int = 0
    load_rate: float = 0.0
    submit_rate: float = 0.0
    drain_rate: float = 0.0
    rss: float = 0.0  # MiB
    start: float = 0.0  # seconds
    bytes_a_task: float = 0.0
    lists: dict[str, float] = field(default_factory=dict)  # p95 in milliseconds, by filter


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Big(Taskmill):
    """The built-in application, which is stopped and started again over its database."""

    def __init__(self) -> None:
        super().__init__(
            NAME, app=None, options=("-o", "app:tasks:keep.completed=365d", "-o", "app:tasks:max_size=0")
        )

    def restart(self) -> float:
        """Stop it and start it again; return the seconds until it was ready."""
        end(self._processes.pop())
        began = time.monotonic()
        self.serve()
        wait_until(self.ready, 300.0, "the start", step=0.005)
        return time.monotonic() - began

    def ready(self) -> bool:
        with Client(self.port) as client:
            return client.get("/readyz")[0] == 200

    @property
    def database(self) -> int:
        """The bytes of its files."""
        return sum(file.stat().st_size for file in Path(self.directory, "data").glob("tasks.db*"))


def lines(count: int) -> Iterator[bytes]:
    """Make tasks as a file has them; every hundredth has a tag, every thousandth a key."""
    for number in range(count):
        more = ""
        if number % 1_000 == 0:
            more = f',"key":"k{number}"'
        elif number % 100 == 0:
            more = f',"tags":["t{number % 10_000}"]'
        yield f'{{"action":"{ACTION}","data":{{"text":"hello {number}"}}{more}}}\n'.encode()


def fill(target: Big, asking: Asking, count: int) -> float:
    """Load tasks; return how many a second."""
    began, stored, said = time.monotonic(), 0, time.monotonic()
    for loaded in load(asking, lines(count), None):
        stored += loaded.stored
        if loaded.refused:
            raise RuntimeError(f"line {loaded.refused[0].line} was refused: {loaded.refused[0].error}")
        if time.monotonic() - said > 10:
            said = time.monotonic()
            say(f"{stored:,} of {count:,} tasks, RSS of the server {target.rss_mib():.0f} MiB")
    return count / (time.monotonic() - began)


def mark(asking: Asking) -> str:
    """Submit a task that begins after all that are there; return its id."""
    return asking.submit(ACTION, {"text": "mark"}).id


def drained(asking: Asking, marked: str, count: int) -> float:
    """Resume the queue until a marked task has ended, pause it; return how many a second that was of so many."""
    began = time.monotonic()
    asking.resume("tasks")
    asking.wait(marked, TIMEOUT)
    seconds = time.monotonic() - began
    asking.pause("tasks")
    return count / seconds


def look(target: Big, asking: Asking, rows: int) -> Figures:
    """Measure what reading and submitting cost at this size."""
    found = Figures(rows)
    sample = asking.submit(Submission(ACTION, {"text": "x"}, key="big", tags=["big"])).get()
    filters = {
        "none": "",
        "status=queued": "status=queued", "status=completed": "status=completed", "status=failed": "status=failed",
        "status=scheduled": "status=scheduled", "action": f"action={ACTION}", "action, none such": "action=nobody",
        "queue": "queue=tasks", "key": "key=big", "key, none such": "key=nobody", "tag": "tag=big",
        "tag, none such": "tag=nobody", "created_after": f"created_after={sample.created_at}",
        "created_before": f"created_before={sample.created_at}",
        "action and status": f"action={ACTION}&status=completed", "tag and status": "tag=big&status=queued",
    }  # fmt: skip
    with Client(target.port) as client:
        for name, query in filters.items():
            times = []
            for _ in range(LISTS):
                began = time.perf_counter()
                status, answer = client.get(f"/tasks?limit=100&{query}".rstrip("&"))
                times.append((time.perf_counter() - began) * 1e3)
                if status != 200:
                    raise RuntimeError(f"{query}: {answer}")
            found.lists[name] = percentile(times, 95)
    load_ = wrk.post(target.port, SECONDS, ACTION)
    found.submit_rate = load_.rate
    found.rss = target.rss_mib()
    found.bytes_a_task = target.database / max(1, rows + load_.acknowledged)
    return found


def measure() -> tuple[Figures, Figures]:
    """Return the figures of the empty server, and of the large one."""
    with Big() as target, Asking(f"http://127.0.0.1:{target.port}", timeout=300) as asking:
        asking.pause("tasks")
        say("the empty server")
        empty = look(target, asking, 0)
        drained(asking, mark(asking), 0)
        fill(target, asking, SAMPLE)
        empty.drain_rate = drained(asking, mark(asking), SAMPLE)
        empty.start = target.restart()
    with Big() as target, Asking(f"http://127.0.0.1:{target.port}", timeout=300) as asking:
        asking.pause("tasks")
        half = TASKS // 2
        say(f"{half:,} tasks that are completed")
        first = fill(target, asking, half)
        drained(asking, mark(asking), half)
        say(f"{TASKS - half:,} tasks that wait")
        fill(target, asking, SAMPLE)
        marked = mark(asking)
        second = fill(target, asking, TASKS - half - SAMPLE)
        big = look(target, asking, TASKS)
        big.load_rate = (TASKS - SAMPLE) / (half / first + (TASKS - half - SAMPLE) / second)
        say("stopped and started")
        big.start = target.restart()
        big.drain_rate = drained(asking, marked, SAMPLE)
        big.rss = max(big.rss, target.rss_mib())
    return empty, big


def rows(empty: Figures, big: Figures) -> Iterator[Row]:
    """Make the table."""
    case = f"{big.rows:,} rows, half of them queued"
    yield Row(
        "Loading lines, without keys",
        case,
        f"{big.load_rate:,.0f} tasks/s",
        "",
        Goal(">=", 150_000, ""),
        big.load_rate,
    )
    yield Row(
        "Server RSS, worker processes too",
        case,
        f"{big.rss:,.0f} MiB",
        f"{big.rss / empty.rss:.2f}",
        Goal("<", 300, " MiB"),
        big.rss,
    )
    share = big.submit_rate / empty.submit_rate
    yield Row(
        "Submit, against the empty system",
        case,
        f"{big.submit_rate:,.0f} /s, was {empty.submit_rate:,.0f}",
        f"{share:.2f}",
        Goal(">=", 0.8, ""),
        share,
    )
    share = big.drain_rate / empty.drain_rate
    yield Row(
        "Drain, against the empty system",
        case,
        f"{big.drain_rate:,.0f} /s, was {empty.drain_rate:,.0f}",
        f"{share:.2f}",
        Goal(">=", 0.8, ""),
        share,
    )
    yield Row(
        "Start until ready",
        case,
        f"{big.start:.2f} s, was {empty.start:.2f}",
        f"{big.start / empty.start:.2f}",
        Goal("<", 2, " s"),
        big.start,
    )
    yield Row("Disk", case, f"{big.bytes_a_task:,.0f} bytes a task")
    for name, p95 in big.lists.items():
        yield Row(
            "GET /tasks?limit=100, p95",
            name,
            f"{p95:.1f} ms, was {empty.lists[name]:.1f}",
            f"{p95 / empty.lists[name]:.2f}",
            Goal("<", 10, " ms"),
            p95,
        )


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave through the context managers
    head = f"{TASKS:,} tasks. {machine()}. {versions()}.\n\n"
    table = list(rows(*measure()))
    text = head + markdown(table)
    out = ROOT / "bench" / "out"
    out.mkdir(parents=True, exist_ok=True)
    (out / "big.md").write_text(text)
    print(text)
    return 1 if any(row.goal and not row.goal.met(row.value) for row in table) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
