"""A wheel, installed where nothing else is: slow, and it needs a package index, so only where it is asked for."""

import os
import shutil
import signal
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from readme_lines import ROOT, run_all

pytestmark = [
    pytest.mark.skipif("TASKMILL_INSTALL" not in os.environ, reason="set TASKMILL_INSTALL=1 to run it"),
    pytest.mark.timeout(600),
]


PINS = ROOT / "constraints.txt"


def pip(python: Path | str, *arguments: Path | str) -> None:
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, timeout=500)


def copied(directory: Path) -> Path:
    """Copy what a wheel is made of: building one leaves files behind."""
    shutil.copytree(ROOT / "src" / "taskmill", directory / "src" / "taskmill")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, directory)
    return directory


def test_a_wheel_in_an_empty_environment_serves_the_readme(tmp_path: Path) -> None:
    source = copied(tmp_path / "source")
    pip(sys.executable, "wheel", "--no-deps", "--build-constraint", PINS, "-w", tmp_path, source)
    (wheel,) = tmp_path.glob("taskmill-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    pip(tmp_path / "venv" / "bin" / "python", "install", "-c", PINS, wheel)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    server = subprocess.Popen(
        [tmp_path / "venv" / "bin" / "taskmill", "run", "--addr", "127.0.0.1:0"],
        cwd=elsewhere,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert server.stdout is not None
        line = next(line for line in server.stdout if "listens on" in line)
        run_all(line.partition("listens on ")[2].strip())
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
        assert (elsewhere / "data" / "tasks.db").exists()
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)
        assert server.stdout is not None
        server.stdout.close()
