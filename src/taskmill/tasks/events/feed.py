"""The feed: where each part says which tasks have changed, while somebody wants to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence


class Feed:
    """Passes on the ids of tasks whose rows have changed. While it is not ``on``, nobody need say anything."""

    def __init__(self) -> None:
        self.on = False
        self._hearers: list[tuple[Callable[[], bool], Callable[[Iterable[bytes]], None]]] = []

    def join(self, wants: Callable[[], bool], hear: Callable[[Iterable[bytes]], None]) -> None:
        """Add one who hears of them as long as ``wants()``; :meth:`look` is to be called when that changes."""
        self._hearers.append((wants, hear))

    def look(self) -> None:
        """See whether anybody wants to know."""
        self.on = any(wants() for wants, _ in self._hearers)

    def tell(self, keys: Sequence[bytes]) -> None:
        """Say that tasks have changed; their rows say how."""
        for wants, hear in self._hearers:
            if wants():
                hear(keys)

    def noted(self, keys: Sequence[bytes]) -> None:
        """Say that tasks have said something of themselves."""
        if self.on:
            self.tell(keys)
