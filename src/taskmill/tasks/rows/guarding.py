"""Ends of attempts that name the node which stores them, so that one whose tasks were given to others is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

from taskmill.sql import Lane

W = TypeVar("W")
Row = tuple[Any, ...]


class Rows(Protocol):
    """Where rows are written: a lane of the writer, or one whose rows name this node as well."""

    def append(self, row: Row, waiter: Any, /) -> None:
        """Add a row to the next commit; ``waiter`` comes back once it is made, or not."""


class Guarded(Generic[W]):
    """A lane whose rows end with this node's id; ``before`` is where they have it a second time."""

    __slots__ = ("_before", "_lane", "_node")

    def __init__(self, lane: Lane[W], node: Callable[[], bytes], before: int | None = None) -> None:
        self._lane = lane
        self._node = node
        self._before = before

    def append(self, row: Row, waiter: W) -> None:
        """Add a row to the next commit."""
        node = self._node()
        if self._before is not None:
            row = (*row[: self._before], node, *row[self._before :])
        self._lane.append((*row, node), waiter)
