"""A server process of a test."""

import os
import signal
import socket
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

from support import eventually


def free_port() -> int:
    """Return a port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class ServerProcess(ABC):
    """One server with its data in a directory. It keeps its port and its data over restarts."""

    start_timeout = 30.0  # seconds

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> Sequence[str]:
        """Return what starts it, in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it can be used now."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it."""

    def environment(self) -> Mapping[str, str]:
        """Return what is added to the environment of the process."""
        return {}

    def prepare(self) -> None:
        """Make its data directory, before the first start."""
        self.directory.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Start it, and wait until it can be used."""
        self.prepare()
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.directory,
                env={**os.environ, **self.environment()},
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        eventually(lambda: self.answers() or self._ended(), self.start_timeout)

    def stop(self) -> None:
        """End it politely, then by force."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        self._wait(10)

    def kill(self) -> None:
        """End it at once, with every process that it has started."""
        self.signal(signal.SIGKILL)
        self._wait(10)

    def freeze(self) -> None:
        """Let it do nothing until :meth:`thaw`."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)

    def signal(self, number: int) -> None:
        """Send a signal to all of its processes, if it runs."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def _wait(self, timeout: float) -> None:
        if self.process is None:
            return
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(timeout)
        self.process = None

    def _ended(self) -> bool:
        if self.process is not None and self.process.poll() is not None:
            log = (self.directory / "server.log").read_text(errors="replace")[-3000:]
            raise AssertionError(f"{self.command()[0]} ended with {self.process.returncode}:\n{log}")
        return False
