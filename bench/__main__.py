"""The runner: asks every question, prints one table and writes it to bench/out/results.md.

A full run also puts it into docs/performance.md, where the caveats stand that it must be read with.
"""

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial

from bench import backlog, latency, submit
from bench.constant import Constant
from bench.latency import percentile
from bench.peers.granian import Granian
from bench.peers.nginx import Nginx
from bench.servers import ROOT, Target
from bench.subject import ConstantDirect, Taskmill
from bench.submit import Sample
from bench.table import Goal, Row, machine, markdown, versions

WAYS = {  # action, how it reads, goal for completed / constant
    "noop_inline": ("inline", 0.6),
    "noop_async": ("async def", 0.4),
    "noop_def": ("def, worker processes", 0.25),
}
MORE = "noop_def, more at once"
NGINX = "constant, nginx"
CELERY = {fsync: f"FastAPI + Celery + Redis, appendfsync {fsync}" for fsync in ("always", "everysec")}
CONSTANT, DIRECT = "constant, ASGI", "constant, direct"
GRANIAN = {interface: f"constant, granian {interface}" for interface in ("asgi", "rsgi")}
WIDE = ("-o", "app:task_consumer:concurrency=10", "-o", "app:task_consumer:prefetch=100")
PAUSED = ("-o", "app:task_consumer:lifecycle.auto_start=false")


def celery(fsync: str) -> Target:
    from bench.peers.celery_stack import CeleryStack  # noqa: PLC0415 - it may not be installed

    return CeleryStack(fsync)


PEERS: dict[str, Callable[[], Target]] = {  # may be missing: the rest is still worth having
    NGINX: Nginx,
    **{name: partial(Granian, interface) for interface, name in GRANIAN.items()},
    **{name: partial(celery, fsync) for fsync, name in CELERY.items()},
}
TARGETS: dict[str, tuple[Callable[[], Target], str]] = {  # what is measured in each round, and its action
    CONSTANT: (Constant, "uppercase"),
    DIRECT: (ConstantDirect, "uppercase"),
    **{action: (Taskmill, action) for action in WAYS},
    MORE: (lambda: Taskmill(options=WIDE), "noop_def"),
    **{name: (peer, "uppercase") for name, peer in PEERS.items()},
}
DOCUMENT = ROOT / "docs" / "performance.md"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


def median(samples: list[Sample], figure: Callable[[Sample], float]) -> float:
    return statistics.median(map(figure, samples))


def rounds_of(seconds: int, rounds: int) -> dict[str, list[Sample]]:
    """Load each target once a round, so that a slow minute hits all alike."""
    samples: dict[str, list[Sample]] = {name: [] for name in TARGETS}
    for number in range(rounds):
        for name, (target, action) in TARGETS.items():
            say(f"round {number + 1} of {rounds}: {name}, {seconds} s")
            try:
                samples[name].append(submit.measure(target(), seconds, action))
            except (ImportError, FileNotFoundError) as error:
                if name not in PEERS:
                    raise
                say(f"{name} is not measured: {error}")
    return samples


def submit_rows(seconds: int, rounds: int) -> Iterator[Row]:
    """Ask how many tasks a second, beside constant answers and the usual stack."""
    samples = rounds_of(seconds, rounds)

    def ratio(name: str, other: str) -> float:
        pairs = zip(samples[name], samples[other], strict=True)
        return statistics.median(one.completed_rate / beside.completed_rate for one, beside in pairs)

    def against(name: str) -> str:
        return f"{ratio(name, CONSTANT):.2f} x ASGI, {ratio(name, DIRECT):.2f} x direct"

    for name in (CONSTANT, DIRECT, *GRANIAN.values(), NGINX):
        if samples[name]:
            measured = f"{median(samples[name], lambda s: s.completed_rate):,.0f} answers/s"
            yield Row("submit", name, measured, against(name))
    for action, (case, bound) in WAYS.items():
        goal = Goal(">=", bound, " x ASGI")
        yield Row("submit", case, rates(samples[action]), against(action), goal, ratio(action, CONSTANT))
        yield from cost_rows(case, samples[action], Goal("<=", 40, " µs"))
    case = f"{WAYS['noop_def'][0]}, concurrency 10, prefetch 100"
    yield Row("submit", case, rates(samples[MORE]), against(MORE))
    for fsync, stack in CELERY.items():
        if not samples[stack]:
            yield Row("submit", stack, "not measured")
            continue
        yield Row("submit", stack, rates(samples[stack]), against(stack))
        yield from cost_rows(stack, samples[stack])
        for action, (case, _) in WAYS.items():
            same = action == "noop_inline" and fsync == "always"  # the goal compares what promises the same
            value = ratio(action, stack)
            fortyfold = Goal(">=", 40, " x Celery") if same else None
            yield Row(f"against Celery, {fsync}", case, "", f"{value:.1f} x Celery", fortyfold, value)


def rates(samples: list[Sample]) -> str:
    completed = median(samples, lambda s: s.completed_rate)
    return f"{completed:,.0f} completed/s, {median(samples, lambda s: s.load.rate):,.0f} acknowledged/s"


def cost_rows(case: str, samples: list[Sample], goal: Goal | None = None) -> Iterator[Row]:
    p50, p99 = median(samples, lambda s: s.load.p50), median(samples, lambda s: s.load.p99)
    rss, cpu = median(samples, lambda s: s.rss_mib), median(samples, lambda s: s.cpu_us)
    yield Row("under that load", case, f"202 after p50 {p50:,.1f} ms, p99 {p99:,.1f} ms; RSS {rss:,.0f} MiB")
    server = median(samples, lambda s: s.server_cpu_us)
    yield Row(
        "CPU a task",
        case,
        f"{server:,.1f} µs in the server's process, {cpu:,.1f} µs with its workers",
        "",
        goal,
        server,
    )
    if refused := sum(s.load.refused + s.load.broken for s in samples):
        yield Row("refused", case, f"{refused:,} requests")


def latency_rows(samples: int) -> Iterator[Row]:
    for action, (case, _) in WAYS.items():
        say(f"idle latency, {case}, {samples} tasks")
        result = latency.measure(Taskmill(), action, samples)
        acknowledged = percentile(result.acknowledged, 50)
        p50, p99 = percentile(result.completed, 50), percentile(result.completed, 99)
        measured = f"p50 {p50:.2f} ms (202 after {acknowledged:.2f} ms)"
        yield Row("idle POST to completed", case, measured, "", Goal("<", 3, " ms"), p50)
        yield Row("idle POST to completed", case, f"p99 {p99:.2f} ms", "", Goal("<", 10, " ms"), p99)


def backlog_rows(tasks: int, seconds: int) -> Iterator[Row]:
    say(f"a backlog of {tasks:,} tasks")
    empty, full = backlog.measure(Taskmill(options=PAUSED), tasks, seconds, "noop_async")
    case = f"{full.queued:,} queued"
    for state, name in ((empty, "empty"), (full, case)):
        measured = f"{state.load.rate:,.0f} acknowledged/s, p99 {state.load.p99:.1f} ms"
        measured += f"; RSS {state.rss_mib:,.0f} MiB"
        yield Row("backlog: submit", name, measured, f"{state.load.rate / empty.load.rate:.2f} x empty")
    yield Row("backlog: GET /tasks?limit=100", case, f"p95 {full.list_p95:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter and less exact")
    parser.add_argument("--seconds", type=int, help="of load on each target")
    parser.add_argument("--rounds", type=int, help="over the targets of the first question")
    parser.add_argument("--backlog", type=int, help="tasks to queue; 0 leaves the question out")
    parser.add_argument("--only", choices=("submit", "latency", "backlog"), help="ask one question")
    options = parser.parse_args()
    quick = options.quick
    seconds = options.seconds or (3 if quick else 8)
    tasks = options.backlog if options.backlog is not None else 100_000 if quick else 1_000_000
    questions: dict[str, Callable[[], Iterator[Row]]] = {
        "submit": lambda: submit_rows(seconds, options.rounds or (1 if quick else 3)),
        "latency": lambda: latency_rows(100 if quick else 500),
        "backlog": lambda: backlog_rows(tasks, seconds) if tasks else iter(()),
    }
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave through the context managers
    started, heading = time.monotonic(), machine()
    rows = [row for name, ask in questions.items() if options.only in (None, name) for row in ask()]
    table = markdown(rows)
    print(f"\n{heading}\n\n{table}")
    out = ROOT / "bench" / "out" / "results.md"
    out.parent.mkdir(exist_ok=True)
    mode = f"a run with `{' '.join(sys.argv[1:])}`" if sys.argv[1:] else "a full run"
    taken = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {mode}, {(time.monotonic() - started) / 60:.0f} min"
    report = f"Taken {taken}.\nMachine: {heading}.\nVersions: {versions()}.\n\n{table}"
    out.write_text(report)
    say(f"written to {out.relative_to(ROOT)}")
    if not sys.argv[1:]:  # nothing was left out or made shorter
        publish(report)


def publish(report: str) -> None:
    """Put a full run's report into the document, in the place kept for it."""
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{report}{END}{after}")
    say(f"written to {DOCUMENT.relative_to(ROOT)}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
