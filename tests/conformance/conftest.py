"""What the drivers' tests run on: each engine is started once a session, when the first test wants it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from channels import WINDOWS, Factory
from drivers import BROKERS, ENGINES, Engine
from stores import STORES, Place


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Engine]]:
    """Give the engine of a driver, started."""
    engines: dict[str, Engine] = {}

    def started(name: str) -> Engine:
        if name not in engines:
            engine = ENGINES[name](tmp_path_factory.mktemp(name))
            engine.start()
            engines[name] = engine
        return engines[name]

    yield started
    for engine in engines.values():
        engine.stop()


@pytest.fixture(params=sorted(ENGINES))
def engine(request: pytest.FixtureRequest, running: Callable[[str], Engine]) -> Engine:
    """Every driver's engine in turn."""
    return running(request.param)


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest, running: Callable[[str], Engine]) -> Engine:
    """Every engine that several processes share, in turn."""
    return running(request.param)


@pytest.fixture(params=sorted(WINDOWS))
def window(request: pytest.FixtureRequest) -> Factory:
    """Every driver that is a window."""
    return WINDOWS[request.param]


@pytest.fixture(params=sorted(STORES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty one of every database in turn."""
    with STORES[request.param](tmp_path, request) as make:
        yield Place(make)
