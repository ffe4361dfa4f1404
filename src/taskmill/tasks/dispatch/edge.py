"""The edge of a window over tasks in their order: before it all are in memory, behind it they may be rows alone."""

from __future__ import annotations

from taskmill.tasks.message import FIRST, TaskMessage

Position = tuple[int, bytes]  # rank and id: a place among the tasks of a queue, or of a limit


START: Position = (2 * FIRST, b"")  # before all there are


class Edge:
    """Where a window ends; ``at`` is the last place before the rows, or None where no task is a row alone.

    What is left a row while others are read may be missing from what is read, so the edge falls back to it.
    """

    __slots__ = ("_left", "at")

    def __init__(self, at: Position | None) -> None:
        self.at = at
        self._left: Position | None = None  # the place before the first that was left during a read

    def beyond(self, position: Position) -> bool:
        """Whether a place is behind the edge, where a new task stays a row."""
        return self.at is not None and position > self.at

    def leave(self, position: Position) -> None:
        """Leave the task at a place a row."""
        place = _just_before(position)
        if self.at is None or place < self.at:
            self.at = place
        if self._left is None or place < self._left:
            self._left = place

    def reset(self) -> None:
        """Have all be read again: some may have been left rows by others, anywhere."""
        self.at = self._left = START

    def begin(self) -> Position:
        """Begin to read, from the place that is returned on. Only where ``at`` is not None."""
        assert self.at is not None  # noqa: S101 - there is nothing to read
        self._left = None
        return self.at

    def end(self, to: Position | None) -> None:
        """End a read that went up to a place, or to the last of the rows."""
        left, self._left = self._left, None
        self.at = left if to is None else to if left is None else min(to, left)


def place_of(message: TaskMessage) -> Position:
    """Return where a task that is not plain stands in its queue."""
    return (message.place.rank if message.place else 0, message.key)


def _just_before(position: Position) -> Position:
    rank, key = position
    return rank, (int.from_bytes(key) - 1).to_bytes(len(key))
