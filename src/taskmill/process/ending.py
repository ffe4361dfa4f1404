"""How a worker process ends: killing it with all that it started, and putting its end into words."""

import os
import signal
import sys
from contextlib import suppress
from subprocess import Popen
from typing import Literal

from taskmill.process.messages import Killed, Reason

# Linux counts in what the parent held when it started the process: the figure is an upper bound.
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024  # bytes

# Why a process ended: a call's reasons, and those that are its worker's alone.
Cause = Literal["crashed", "timeout", "cancelled", "shutdown", "stalled", "lost"]

REASONS: dict[Cause, Reason] = {
    "crashed": "crashed",
    "timeout": "timeout",
    "cancelled": "cancelled",
    "shutdown": "shutdown",
    "stalled": "crashed",
    "lost": "crashed",
}
MESSAGES: dict[Cause, str] = {
    "timeout": "it ran longer than its timeout and was killed",
    "cancelled": "it was cancelled while it ran, and killed",
    "shutdown": "the program stopped before it was done, and killed it",
    "lost": "its worker process closed or broke its connection to the program, and was killed",
}


def kill_group(pid: int) -> None:
    """Kill a worker process and its process group, whatever state they are in."""
    for kill in (os.killpg, os.kill):  # in its first moments it leads no group yet
        with suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def reap(process: Popen[bytes]) -> tuple[int, int]:
    """Return the exit code (negative: a signal) and the peak memory of a process that has ended."""
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except ChildProcessError:  # the program was started with SIGCHLD ignored: nobody can know
        process.returncode = 255
        return 255, 0
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss * MAXRSS_UNIT


def describe(cause: Cause, why: str, code: int, peak_memory: int) -> Killed:
    """Return the end of a process as the outcome of its call. `why` goes before the usual words for the cause."""
    names = {number.value: number.name for number in signal.Signals}
    name = names.get(-code, f"signal {-code}") if code < 0 else None
    how = f"was killed by {name}" if name else f"ended with exit code {code}"
    crashed = f"its worker process {how}; peak memory at most {peak_memory >> 20} MiB"
    message = why or MESSAGES.get(cause, crashed)
    return Killed(REASONS[cause], message, name, None if name else code, peak_memory)
