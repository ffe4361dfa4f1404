"""docs/how-to/testing.md: its tests pass in a new application, with the plugin that comes with the package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from apps import application

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "testing.md"
PLUGINS = ("xdist", "timeout", "rerunfailures", "hypothesispytest", "anyio", "schemathesis")


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest as somebody who has installed it and Taskmill, and nothing else."""
    left_out = [part for plugin in PLUGINS for part in ("-p", f"no:{plugin}")]
    command = [
        sys.executable,
        "-W",
        "error",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        *left_out,
        *arguments,
    ]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=90, check=False)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """An application of the page's own files."""
    directory = application(tmp_path / "shop", "")
    for text in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
        name = re.match(r"# (\S+\.py)\n", text)
        assert name
        (directory / name[1]).write_text(text)
    return directory


def test_the_pages_tests_pass(shop: Path) -> None:
    done = run(shop, "--strict-config", "--strict-markers")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].startswith("5 passed")


def test_where_the_application_stands_can_be_said(shop: Path, tmp_path: Path) -> None:
    (tmp_path / "test_there.py").write_text(
        "def test_it(tasks):\n    assert tasks.submit('count_words', {'text': 'a b'}).result() == 2\n"
    )
    done = run(tmp_path, "test_there.py", "-o", "taskmill_directory=shop")
    assert done.returncode == 0, done.stdout + done.stderr
    done = run(tmp_path, "test_there.py", "-o", "taskmill_directory=shp")
    assert (
        f"taskmill_directory = shp: there is no {tmp_path / 'shp' / '_index.yaml'}"
        in done.stdout + done.stderr
    )
    done = run(tmp_path, "test_there.py")  # the built-in engine, without actions
    assert "No such action. Known actions: none." in done.stdout


def test_a_run_that_uses_none_of_it_imports_none_of_it(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n\ndef test_it():\n"
        "    ours = ('taskmill', 'msgspec', 'apsw', 'starlette')\n"
        "    found = [name for name in sys.modules if name.split('.')[0] in ours]\n"
        "    assert sorted(found) == ['taskmill', 'taskmill.testing', 'taskmill.testing.plugin']\n"
    )
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
