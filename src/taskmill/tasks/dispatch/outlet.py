"""Where a dispatcher's tasks go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from taskmill.queue.drivers.base import Room
from taskmill.tasks.message import TaskMessage


class Outlet(Protocol):
    """A window onto the consumers of this process, or a relay to an engine outside of it."""

    @property
    def capacity(self) -> Room:
        """How much a dispatcher keeps in memory for it."""

    def draw_from(self, source: Callable[[int], Sequence[TaskMessage]], /) -> None:
        """Take from a source what is wanted."""

    def pump(self) -> None:
        """Take what is wanted now."""

    def receivers(self) -> int:
        """How many consumers there are."""
