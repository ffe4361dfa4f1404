"""The table: rows with their goals, as aligned Markdown that reads well in a terminal too."""

import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

HEADS = ("Question", "Case", "Measured", "Ratio", "Goal", "Met")
PACKAGES = ("uvicorn", "uvloop", "httptools", "msgspec", "apsw", "fastapi", "celery", "redis")


@dataclass(frozen=True)
class Goal:
    """A bound for one figure."""

    sign: str  # ">=", "<" or "<="
    bound: float
    unit: str

    def __str__(self) -> str:
        return f"{self.sign} {self.bound:g}{self.unit}"

    def met(self, value: float) -> bool:
        if self.sign == ">=":
            return value >= self.bound
        return value < self.bound if self.sign == "<" else value <= self.bound


@dataclass(frozen=True)
class Row:
    """One line; `value` is what the goal is about."""

    question: str
    case: str
    measured: str
    ratio: str = ""
    goal: Goal | None = None
    value: float = 0.0

    def cells(self) -> tuple[str, ...]:
        goal = str(self.goal or "")
        met = "" if self.goal is None else "yes" if self.goal.met(self.value) else "no"
        return (self.question, self.case, self.measured, self.ratio, goal, met)


def markdown(rows: Sequence[Row]) -> str:
    table = [HEADS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEADS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in table
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines) + "\n"


def machine() -> str:
    """Name what the figures were taken on."""
    model = platform.processor() or platform.machine()
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":", 1)[1].strip() for line in info if line.startswith("model name")), model)
    load = os.getloadavg()[0]
    return (
        f"{len(os.sched_getaffinity(0))} cores of {model}, {platform.system()} {platform.release()}, "
        f"load average {load:.1f} before the run, fsync of 4 KiB {fsync_ms():.2f} ms (median)"
    )


def fsync_ms() -> float:
    """Time what every durable answer waits for, on the disk the databases are put on."""
    times = []
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(100):
            os.pwrite(file.fileno(), b"\0" * 4096, 0)
            started = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def versions() -> str:
    names = [f"Python {platform.python_version()}", f"sqlite3 module {sqlite3.sqlite_version}"]
    for package in PACKAGES:
        try:
            names.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    for program, option in (("nginx", "-v"), ("redis-server", "--version"), ("wrk", "-v")):
        if path := shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin"):
            said = subprocess.run([path, option], capture_output=True, text=True, timeout=10, check=False)
            names.append(" ".join((said.stdout + said.stderr).split("\n")[0].split()[:3]))
    return ", ".join(names)
