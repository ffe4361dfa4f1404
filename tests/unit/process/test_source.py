"""Loading what `source` and `method` name, and checking them without running anything."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskmill.process.source import SourceError, load_attribute, load_module
from taskmill.process.source_check import check_source
from taskmill.registry import Mistake


@pytest.fixture(autouse=True)
def clean_imports() -> Iterator[None]:
    """Leave the import system as it was."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_is_loaded_once_and_its_neighbours_import_the_same_module(tmp_path: Path) -> None:
    write(tmp_path / "taskmill_a.py", "import taskmill_b\nloaded = []\n")
    write(tmp_path / "taskmill_b.py", "def f(): return 1\n")
    first = load_attribute("file://taskmill_a.py", "loaded", tmp_path)
    assert load_attribute("file://./taskmill_a.py", "loaded", tmp_path) is first
    neighbour = load_attribute("file://taskmill_a.py", "taskmill_b", tmp_path)
    assert load_attribute("file://taskmill_b.py", "f", tmp_path) is neighbour.f


def test_files_of_one_name_in_two_directories_are_two_modules(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name / "taskmill_same.py", f"name = {name!r}\n")
    names = [load_attribute("file://taskmill_same.py", "name", tmp_path / name) for name in ("one", "two")]
    assert names == ["one", "two"]
    again = load_module("file://taskmill_same.py", tmp_path / "two")
    assert again is load_module("file://taskmill_same.py", tmp_path / "two")


def test_an_application_file_hides_no_installed_module(tmp_path: Path) -> None:
    write(tmp_path / "json.py", "mine = True\n")
    assert load_attribute("file://json.py", "mine", tmp_path)
    import json

    assert hasattr(json, "dumps")


def test_a_package_beside_the_registry_is_found(tmp_path: Path) -> None:
    write(tmp_path / "taskmill_package" / "__init__.py", "")
    write(tmp_path / "taskmill_package" / "part.py", "def f(): return 2\n")
    assert load_attribute("taskmill_package.part", "f", tmp_path)() == 2


def test_a_dotted_or_odd_file_name_is_no_obstacle(tmp_path: Path) -> None:
    write(tmp_path / "my-task.v2.py", "x = 3\n")
    assert load_attribute("file://my-task.v2.py", "x", tmp_path) == 3


@pytest.mark.parametrize(
    ("source", "method", "message"),
    [
        (
            "file://none.py",
            "f",
            "source {at}/none.py is no Python file: it must exist and end in `.py`",
        ),
        (
            "file://text.txt",
            "f",
            "source {at}/text.txt is no Python file: it must exist and end in `.py`",
        ),
        (
            "file://good.py",
            "uppercas",
            "source `file://good.py` ({at}/good.py) has no `uppercas`; did you mean `uppercase`?",
        ),
        (
            "file://zero.py",
            "f",
            "source `file://zero.py` cannot be imported: {at}/zero.py:3: ZeroDivisionError: division by zero",
        ),
        (
            "file://open.py",
            "f",
            "source `file://open.py` cannot be imported: {at}/open.py:2: SyntaxError: '(' was never closed",
        ),
        (
            "no_such.x",
            "f",
            "source `no_such.x` cannot be imported: ModuleNotFoundError: No module named 'no_such'",
        ),
    ],
)
def test_errors_say_what_and_where(tmp_path: Path, source: str, method: str, message: str) -> None:
    write(tmp_path / "good.py", "def uppercase(): ...\n")
    write(tmp_path / "zero.py", "def f():\n    return 1 / 0\nf() if False else 1 / 0\n")
    write(tmp_path / "open.py", "\nprint(\n")
    write(tmp_path / "text.txt", "")
    with pytest.raises(SourceError) as caught:
        load_attribute(source, method, tmp_path)
    assert str(caught.value) == message.format(at=tmp_path)


def test_a_failed_import_is_tried_again(tmp_path: Path) -> None:
    path = write(tmp_path / "taskmill-retry.py", "raise OSError('not yet')\n")
    with pytest.raises(SourceError, match="not yet"):
        load_module("file://taskmill-retry.py", tmp_path)
    path.write_text("ready_now = True\n")
    assert load_attribute("file://taskmill-retry.py", "ready_now", tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "def f(): ...",
        "async def f(): ...",
        "class f: ...",
        "f = 1",
        "f: int = 1",
        "import f",
        "import f.g",
        "from x import g as f",
        "try:\n    import f\nexcept ImportError:\n    f = None",
        "if 1:\n    def f(): ...",
        "for f in (): ...",
        "with open('x') as f: ...",
        "from x import *",
        "def __getattr__(name): ...",
    ],
)
def test_every_way_to_define_a_name_is_seen_and_nothing_is_run(tmp_path: Path, text: str) -> None:
    write(tmp_path / "checked.py", f"{text}\nraise SystemExit\n")
    assert list(check_source("file://checked.py", "f", tmp_path)) == []


def test_check_finds_what_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "tasks.py", "def uppercase():\n    def inner(): ...\n")
    write(tmp_path / "broken.py", "\n(\n")
    check = check_source
    assert list(check("file://task.py", "f", tmp_path)) == [
        Mistake("source", f"there is no Python file {tmp_path}/task.py", "file://tasks.py")
    ]
    assert list(check("file://tasks.py", "uppercas", tmp_path)) == [
        Mistake("method", "`file://tasks.py` defines no `uppercas`", "uppercase")
    ]
    assert list(check("file://tasks.py", "inner", tmp_path)) == [
        Mistake("method", "`file://tasks.py` defines no `inner`", None)
    ]
    assert list(check("file://broken.py", "f", tmp_path)) == [
        Mistake("source", f"{tmp_path}/broken.py:2: '(' was never closed")
    ]


def test_check_looks_into_modules_too(tmp_path: Path) -> None:
    assert list(check_source("taskmill.process.runner", "runner", tmp_path)) == []
    assert list(check_source("taskmill.process.runner", "runer", tmp_path)) == [
        Mistake("method", "`taskmill.process.runner` defines no `runer`", "runner")
    ]
    assert list(check_source("math", "sqrt", tmp_path)) == []  # compiled: cannot be told
    for missing in ("taskmill_none", "taskmill_none.part", "taskmill.process.runner.part", "", ".x"):
        assert [mistake.field for mistake in check_source(missing, "f", tmp_path)] == ["source"]
