"""Servers under measure: on a free loopback port, bounded in time, ended by process id whatever happens."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import psutil

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT = 30.0
STOP_TIMEOUT = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], timeout: float, what: str, step: float = 0.02) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} took more than {timeout:.0f} s")
        time.sleep(step)


def listening(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
        return True
    return False


class Target(ABC):
    """Something that answers POST /tasks. Entering starts its processes, leaving ends them."""

    name: str

    def __init__(self) -> None:
        self.port = free_port()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._exit = ExitStack()

    @abstractmethod
    def start(self) -> None:
        """Spawn the processes and return when the port answers."""

    def settled(self) -> bool:
        """Tell whether everything acknowledged has been worked off."""
        return True

    def completed(self) -> int | None:
        """Count the tasks with a stored result, after the end; None where nothing is stored."""
        return None

    def __enter__(self) -> Self:
        self.directory = Path(self._exit.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            end(process)
        self.after_stop()
        self._exit.close()

    def after_stop(self) -> None:  # noqa: B027 - most have nothing to read
        """Read what can only be read once the processes have gone, before the directory goes too."""

    def spawn(
        self,
        command: Sequence[str],
        port: int | None = None,
        env: dict[str, str] | None = None,
        orphaned: str = "KILL",
    ) -> None:
        """Run a process in a session of its own.

        `orphaned` is the signal it gets should this program be killed: TERM if it has children to take along.
        """
        if setpriv := shutil.which("setpriv"):
            command = [setpriv, "--pdeathsig", orphaned, *command]
        log = self.directory / f"{len(self._processes)}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        if port is None:
            return

        def answers() -> bool:
            if process.poll() is not None:
                tail = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self.name} ended at once with {process.returncode}: {tail}")
            return listening(port)

        wait_until(answers, START_TIMEOUT, f"the start of {self.name}")

    def cpu_seconds(self) -> float:
        """User and system time so far of all processes and those they started."""
        times = [each.cpu_times() for each in self._tree()]
        return sum(t.user + t.system for t in times)

    def server_cpu_seconds(self) -> float:
        """User and system time so far of the processes themselves, without those they started."""
        times = [psutil.Process(process.pid).cpu_times() for process in self._processes]
        return sum(t.user + t.system for t in times)

    def rss_mib(self) -> float:
        return float(sum(each.memory_info().rss for each in self._tree())) / 2**20

    def _tree(self) -> list[psutil.Process]:
        roots = [psutil.Process(process.pid) for process in self._processes]
        return roots + [child for root in roots for child in root.children(recursive=True)]


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to stop; after the deadline, kill it and all it started."""
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        print(
            f"bench: {process.args!r} did not stop within {STOP_TIMEOUT:.0f} s and is killed", file=sys.stderr
        )
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for child in family:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()
