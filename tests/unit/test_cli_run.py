"""`taskmill run` as a process: where it may stand, how it ends."""

import json
import os
import pty
import select
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from support import Server, eventually, require, serving

ROOT = Path(__file__).parents[2]


def ended(directory: Path, *arguments: str) -> tuple[int, str]:
    """Run a server that ends by itself; return its exit code and what it printed."""
    server = Server(arguments, directory)
    try:
        code = server.process.wait(20)
        return code, server.text()
    finally:
        server.close()


def test_it_runs_from_any_directory_and_keeps_its_state_in_another(tmp_path: Path) -> None:
    here, data = tmp_path / "here", tmp_path / "data"
    here.mkdir()
    with serving(data, directory=here) as server:
        server.ended(server.submit("uppercase", {"text": "x"}))
        assert server.terminate() == 0
    assert list(here.iterdir()) == []
    assert (data / "tasks.db").exists()
    assert server.log[-1].endswith("stopped")


def test_memory_keeps_nothing(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "-o", "app:db:file=:memory:", directory=tmp_path) as server:
        task = server.ended(server.submit("sum", {"numbers": [1, 2, 3]}))
        assert task["result"] == {"output": 6}
        assert server.terminate() == 0
    assert list(tmp_path.iterdir()) == []


def test_a_taken_port_ends_it_with_a_line_that_says_so(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        addr = f"127.0.0.1:{taken.getsockname()[1]}"
        code, text = ended(tmp_path, "--addr", addr)
    assert code == 1
    last = text.splitlines()[-1]
    assert last.startswith(f"taskmill: entry app:gateway did not start: cannot listen on {addr}: ")
    assert last.endswith("Address already in use; choose another with `--addr HOST:PORT`")
    assert "Traceback" not in text


def test_an_address_of_no_host_ends_it_with_a_line_that_says_so(tmp_path: Path) -> None:
    code, text = ended(tmp_path, "--addr", "192.0.2.1:80")  # an address that nobody has
    assert code == 1
    assert "cannot listen on 192.0.2.1:80" in text.splitlines()[-1]


def test_json_logs_are_an_object_a_line(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-format", "json") as server:
        assert server.terminate() == 0
    objects = [json.loads(line) for line in server.log if line.startswith("{")]
    assert {"time", "level", "logger", "message"} <= objects[0].keys()
    assert objects[-1]["message"] == "stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(server: Server, number: signal.Signals) -> None:
    server.process.send_signal(number)
    assert server.process.wait(20) == 0
    assert "Traceback" not in server.text()


def test_ctrl_c_at_a_terminal_ends_make_run_cleanly(tmp_path: Path) -> None:
    """Make must not be broken off by it: it would report an error for a clean end."""
    make = require(shutil.which("make"), "apt-get install make")
    setsid = require(shutil.which("setsid"), "apt-get install util-linux")
    ours, theirs = pty.openpty()
    # Only what `make run` itself does: nothing is to be installed while other tests run.
    command = [make, "-C", str(ROOT), "run", "ADDR=127.0.0.1:0", f"DATA={tmp_path}", "-o", ".venv/.installed"]
    # `make test ARGS=…` would hand its own options on to this one.
    env = {
        name: value for name, value in os.environ.items() if not name.startswith("MAKE") and name != "ARGS"
    }
    process = subprocess.Popen(
        [setsid, "--ctty", *command], stdin=theirs, stdout=theirs, stderr=theirs, env=env
    )
    os.close(theirs)
    shown = b""

    def read() -> bool:
        """Take what the terminal shows; true at its end."""
        nonlocal shown
        if not select.select([ours], [], [], 0)[0]:
            return False
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # Linux says so when nobody holds the other end any more
            chunk = b""
        shown += chunk
        return not chunk

    try:
        eventually(lambda: read() or b"listens on" in shown, 20)
        assert b"listens on" in shown, shown.decode()
        os.write(ours, b"\x03")
        eventually(read, 20)
        assert process.wait(5) == 0, shown.decode()
        assert b"stopped" in shown
        assert b"***" not in shown
    finally:
        os.close(ours)  # which hangs up whatever still runs there
        process.kill()
        process.wait(5)
