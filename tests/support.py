"""What whole-system tests share: a real server process, and waiting for conditions instead of sleeping."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
PAUSE = 0.01  # seconds between two looks at a condition


def eventually(condition: Callable[[], T], timeout: float = 10.0) -> T:
    """Return the first true value of ``condition()``; raise AssertionError if there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still {value!r} after {timeout} s")
        time.sleep(PAUSE)  # a look now and then until the deadline


def require(program: str | None, hint: str) -> str:
    """Return a program that a test needs: without it, skip at the desk and fail in CI."""
    if not program:
        if os.environ.get("CI"):
            raise AssertionError(f"missing in CI: {hint}")
        import pytest

        pytest.skip(hint)
    return program


class Answer:
    """An HTTP answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


class Server:
    """A running `taskmill run`."""

    def __init__(self, arguments: Sequence[str], directory: Path, env: dict[str, str] | None = None) -> None:
        self.log: list[str] = []
        self.url = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "taskmill", "run", *arguments],
            cwd=directory,
            env={**os.environ, **(env or {}), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_ready(self, timeout: float = 20.0) -> "Server":
        eventually(lambda: self.url or self.process.poll() is not None, timeout)
        if not self.url:
            raise AssertionError("the server ended:\n" + self.text())
        return self

    def request(self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None,
                timeout: float = 10.0) -> Answer:  # fmt: skip
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        defaults = {"Content-Type": "application/json"} if data is not None else {}
        request = urllib.request.Request(
            self.url + path, data, {**defaults, **(headers or {})}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                endless = answer.headers["Content-Type"] == "text/event-stream"
                return Answer(answer.status, dict(answer.headers), b"" if endless else answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, dict(error.headers), error.read())

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    def submit(self, action: str, data: object = None) -> str:
        """Submit a task and return its id; it must be accepted."""
        answer = self.request(
            "POST", "/tasks", {"action": action, **({} if data is None else {"data": data})}
        )
        assert answer.status == 202, answer.body
        return str(answer.json()["id"])

    def ended(self, id_: str, timeout: float = 20.0) -> dict[str, Any]:
        """Wait until a task has ended and return it."""

        def look() -> dict[str, Any] | None:
            task: dict[str, Any] = self.get(f"/tasks/{id_}").json()
            return task if task["status"] in ("completed", "failed", "cancelled") else None

        return eventually(look, timeout)  # type: ignore[return-value]

    def kill(self) -> None:
        """`kill -9` of the server and all it started."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def terminate(self, timeout: float = 30.0) -> int:
        """SIGTERM; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def text(self) -> str:
        """What it has printed."""
        if self.process.poll() is not None:
            self._reader.join(5)
        return "\n".join(self.log)

    def close(self) -> None:
        if self.process.poll() is None:
            self.kill()
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.log.append(line.rstrip("\n"))
            if "listens on " in line:
                self.url = line.partition("listens on ")[2].split(". ")[0].strip()


@contextmanager
def serving(data: Path, *arguments: str, directory: Path | None = None,
            env: dict[str, str] | None = None) -> Iterator[Server]:  # fmt: skip
    """Run a server on a free port with its state under ``data``; `kill -9` it at the end if it still runs."""
    server = Server(["--addr", "127.0.0.1:0", "--data", str(data), *arguments], directory or data, env)
    try:
        yield server.wait_ready()
    finally:
        server.close()
