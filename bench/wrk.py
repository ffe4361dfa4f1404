"""The load: wrk with 64 keep-alive connections, each with one request in flight."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 64
SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True)
class Load:
    """What wrk saw. Latencies are milliseconds."""

    requests: int
    refused: int  # answered with 4xx or 5xx
    broken: int  # not answered
    seconds: float
    p50: float
    p95: float
    p99: float

    @property
    def acknowledged(self) -> int:
        return self.requests - self.refused

    @property
    def rate(self) -> float:
        return self.acknowledged / self.seconds


def post(port: int, seconds: int, action: str) -> Load:
    """Post tasks for so many seconds, as fast as they are answered."""
    program = shutil.which("wrk")
    if program is None:
        raise SystemExit("bench: wrk is missing; on Debian or Ubuntu: sudo apt-get install wrk")
    command = [program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "30s", "-s", str(SCRIPT)]
    command += [f"http://127.0.0.1:{port}/tasks", "--", action]
    run = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=False)
    for line in run.stdout.splitlines():
        if line.startswith("SUMMARY "):
            return Load(**json.loads(line.removeprefix("SUMMARY ")))
    raise RuntimeError(f"wrk gave no summary (exit {run.returncode}): {run.stdout}{run.stderr}")
