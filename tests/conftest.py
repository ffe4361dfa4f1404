"""Shared fixtures."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `from support import …`, whichever folder a test stands in

from support import Server, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """The built-in application in a process of its own, on a free port, with a fresh data directory."""
    with serving(tmp_path) as running:
        yield running
