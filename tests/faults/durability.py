"""What the durability cases share: load from outside, servers that die or are traced, rows read afterwards."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import apsw
from support import Server, eventually, require

HERE = Path(__file__).parent

# An action of each way to run; all three write their text in capital letters.
THREE_WAYS = """
@action(inline=True)
def uppercase(text: str) -> str:
    return text.upper()

@action(inline=True, name="sum")
def sum_(numbers: list[int]) -> int:
    return sum(numbers)

@action
async def on_the_loop(text: str) -> str:
    await asyncio.sleep(0)
    return text.upper()

@action
def isolated(text: str) -> str:
    return text.upper()
"""


def dying(instant: str, mark: str = "") -> dict[str, str]:
    """Return the environment that makes a server kill itself at an instant, see `injected/sitecustomize.py`."""
    return {"PYTHONPATH": _injected(), "DIE_AT": instant, "DIE_MARK": mark}


def under_strace(*options: str) -> dict[str, str]:
    """Return the environment that makes a server run under strace from its first moment."""
    strace()
    return {"PYTHONPATH": _injected(), "UNDER_STRACE": "\t".join(options)}


def _injected() -> str:
    return os.pathsep.join(filter(None, [str(HERE / "injected"), os.environ.get("PYTHONPATH")]))


def strace() -> str:
    return require(shutil.which("strace"), "apt-get install strace")


class LoadProcess:
    """A load from another process: a script beside this file, that is told where the server is and prints JSON."""

    def __init__(self, server: Server, script: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / script), server.url.removeprefix("http://"), *arguments],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def hear(self, line: str) -> None:
        """Take a line that it has printed."""
        raise NotImplementedError

    def end(self) -> None:
        """Wait until it has seen the server's end and everything it printed has been read."""
        try:
            self.process.wait(30)
        finally:
            self.process.kill()
            self.process.wait(5)
            self._reader.join(10)
            assert self.process.stdout is not None
            self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.hear(line)


class Load(LoadProcess):
    """A running `durability_load.py`; `acknowledged` grows while it reads 202s: ids and their right results."""

    def __init__(self, server: Server, connections: int, *actions: str) -> None:
        self.acknowledged: dict[str, object] = {}
        self.refused: list[str] = []
        super().__init__(server, "durability_load.py", str(connections), *actions)

    def wait_acknowledged(self, count: int) -> None:
        eventually(lambda: len(self.acknowledged) >= count, 60)

    def hear(self, line: str) -> None:
        id_, result = json.loads(line)
        if id_ is None:
            self.refused.append(str(result))
        else:
            self.acknowledged[id_] = result


@dataclass
class Row:
    """What stands in a task's row."""

    status: str
    attempt: int
    data: object
    result: object
    error: object


WORDS = {0: "queued", 2: "running", 3: "completed", 4: "failed"}


def rows(data: Path, *, must_exist: bool = True) -> dict[str, Row]:
    """Read all tasks out of a database that no server has open, after an integrity check."""
    connection = apsw.Connection(str(data / "tasks.db"))
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found: dict[str, Row] = {}
        if not must_exist and not connection.table_exists(None, "task"):
            return found
        for id_, status, attempt, *texts in connection.execute(
            "SELECT id, status, attempt, data, result, error FROM task"
        ):
            text = str(UUID(bytes=id_))
            assert text not in found, "two rows of one id"
            found[text] = Row(WORDS[status], attempt, *[t and json.loads(t) for t in texts])
    finally:
        connection.close()
    return found


def check_kept(data: Path, acknowledged: Mapping[str, object]) -> None:
    """Assert that each acknowledged task has its one row, completed with the right result."""
    found = rows(data)
    missing = [id_ for id_ in acknowledged if id_ not in found]
    assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged tasks are gone, as {missing[0]}"
    wrong = [
        (id_, found[id_])
        for id_, result in acknowledged.items()
        if found[id_].status != "completed" or found[id_].result != result
    ]
    assert not wrong, f"{len(wrong)} of {len(acknowledged)} are not as they must be, as {wrong[0]}"


def wait_drained(server: Server, timeout: float = 60) -> None:
    """Wait until no task is queued or running."""

    def look() -> bool:
        return all(
            server.get(f"/tasks?status={status}&limit=1").json()["count"] == 0
            for status in ("queued", "running")
        )

    eventually(look, timeout)


def exit_of(server: Server, timeout: float = 15) -> int:
    """Wait until a server has ended by itself and return its exit code."""
    return server.process.wait(timeout)


def start_fails(data: Path) -> str:
    """Start a server that must not start; return what it says."""
    server = Server(["--addr", "127.0.0.1:0", "--data", str(data)], data.parent)
    try:
        assert exit_of(server) == 1, server.text()
    finally:
        server.close()
    text = server.text()
    assert "listens on" not in text
    assert "Traceback" not in text
    return text


@contextmanager
def attached(server: Server, *options: str) -> Iterator[None]:
    """Have strace at a running server's threads, as with an injected fault."""
    tracer = subprocess.Popen(
        [strace(), "-f", "-o", "/dev/null", *options, "-p", str(server.process.pid)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert tracer.stderr is not None
    try:
        seen = ""
        while "attached" not in seen:
            line = tracer.stderr.readline()
            assert line, f"strace could not attach: {seen}"
            seen += line
        threads = len(list(Path(f"/proc/{server.process.pid}/task").iterdir()))
        eventually(lambda: _traced_threads(server.process.pid) >= threads)
        yield
    finally:
        tracer.terminate()
        tracer.stderr.read()
        tracer.wait(10)
        tracer.stderr.close()


def _traced_threads(pid: int) -> int:
    states = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    return sum("TracerPid:\t0\n" not in state for state in states)


@contextmanager
def small_disk(directory: Path, options: str) -> Iterator[Path]:
    """Mount a tmpfs, such as one of few bytes or one that cannot be written; it takes root to do so."""
    directory.mkdir(exist_ok=True)
    command: Sequence[str] = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    require("" if mounted.returncode else "mount", f"needs root to mount a small disk: {mounted.stderr}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
