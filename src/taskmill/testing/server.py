"""A real application for a test: a process of its own, on a free port."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from taskmill.client import Client
from taskmill.client.default import standing_in

START_TIMEOUT = 30.0  # seconds
STOP_TIMEOUT = 30.0
_ANNOUNCED: Final = "Taskmill listens on "


class Application:
    """A running application. ``client`` asks it; ``url`` is where it is."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self.client = Client(url)
        self.process = process


@contextmanager
def serving(directory: Path | None, data: Path, *arguments: str) -> Iterator[Application]:
    """Run an application for a ``with`` block, with its state under ``data``; without a directory the built-in one.

    ``arguments`` are further ones of `taskmill run`. Inside the block an action's own ``submit`` submits to it.

    Raises RuntimeError, with what it printed, where it does not start.
    """
    command = [sys.executable, "-m", "taskmill", "run", "--addr", "127.0.0.1:0", "--data", str(data)]
    command += ["--log-level", "warning", *arguments, *([] if directory is None else [str(directory)])]
    process = subprocess.Popen(  # noqa: S603 - it is this very program
        command, cwd=data, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        running = Application(_url(process), process)
        with running.client, standing_in(running.client):
            yield running
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _url(process: subprocess.Popen[str]) -> str:
    """Wait for the line that says where it listens, and let nothing else that it prints fill the pipe."""
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in process.stdout or ():
            lines.put(line)
        lines.put("")

    threading.Thread(target=read, name="taskmill-testing-output", daemon=True).start()
    printed = ""
    while True:
        try:
            line = lines.get(timeout=START_TIMEOUT)
        except Empty:
            raise RuntimeError(f"the application did not start within {START_TIMEOUT:g} s") from None
        if line.startswith(_ANNOUNCED):
            return line.removeprefix(_ANNOUNCED).strip()
        if not line:
            raise RuntimeError(f"the application did not start; what it said is on standard error\n{printed}")
        printed += line
