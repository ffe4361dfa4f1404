"""The pytest plugin: fixtures. It imports the engine only for a test that asks for one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from taskmill.testing import Application, AssertSubmitted, Clock, Tasks

DIRECTORY = "taskmill_directory"
INDEX = "_index.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the setting that names the application."""
    parser.addini(
        DIRECTORY,
        f"the application to test: where its {INDEX} is; else the nearest one at or above the test's own directory",
    )


@pytest.fixture(name="_taskmill")
def _engine(request: pytest.FixtureRequest) -> Iterator[Tasks]:
    from taskmill.testing import running  # noqa: PLC0415 - slow to import

    with running(_directory(request), actions=vars(request.module).values()) as tasks:
        yield tasks


@pytest.fixture
def tasks(_taskmill: Tasks) -> Tasks:
    """The task queue of the application, in memory: it runs a task when it is told to."""
    return _taskmill


@pytest.fixture
def clock(_taskmill: Tasks) -> Clock:
    """The clock of that task queue."""
    return _taskmill.clock


@pytest.fixture
def assert_submitted(_taskmill: Tasks) -> AssertSubmitted:
    """Assert that a task was submitted to that task queue."""
    return _taskmill.assert_submitted


@pytest.fixture(scope="module")
def taskmill_app(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Application]:
    """The application in a process of its own, on a free port; one for all tests of a module."""
    from taskmill.testing import serving  # noqa: PLC0415

    with serving(_directory(request), tmp_path_factory.mktemp("taskmill")) as running:
        yield running


def _directory(request: pytest.FixtureRequest) -> Path | None:
    """Return where the application is; None where there is none but the built-in one."""
    named = str(request.config.getini(DIRECTORY))
    root = request.config.rootpath
    if named:
        if not (root / named / INDEX).is_file():
            raise pytest.UsageError(f"{DIRECTORY} = {named}: there is no {root / named / INDEX}")
        return root / named
    here = request.path.parent
    above = [here, *(parent for parent in here.parents if parent.is_relative_to(root))]
    return next((directory for directory in above if (directory / INDEX).is_file()), None)
