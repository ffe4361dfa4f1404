"""Changes of rows while others read them: a read tells what was so when it began."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Changes:
    """Remembers whose rows have changed as long as a read that may have missed it is under way."""

    def __init__(self) -> None:
        self._begun = 0  # reads, so far
        self._under_way: list[int] = []  # their numbers, the oldest first
        self._changed: dict[bytes, int] = {}  # how many reads had begun then; the oldest change first

    def note(self, key: bytes) -> None:
        """Take note that a row is no longer as it was."""
        if self._under_way:
            self._changed.pop(key, None)
            self._changed[key] = self._begun

    @contextmanager
    def reading(self) -> Iterator[Callable[[bytes], bool]]:
        """Read rows. What this yields tells whether a row has changed since."""
        self._begun += 1
        number = self._begun
        self._under_way.append(number)
        try:
            yield lambda key: self._changed.get(key, 0) >= number
        finally:
            self._under_way.remove(number)
            self._forget()

    def _forget(self) -> None:
        oldest = self._under_way[0] if self._under_way else self._begun + 1
        while self._changed:
            key = next(iter(self._changed))
            if self._changed[key] >= oldest:
                break
            del self._changed[key]
