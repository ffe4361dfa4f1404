"""The pace of a queue: how many of its tasks end in a second while others wait, of late."""

from __future__ import annotations

from math import exp

MEMORY = 30.0  # seconds of work after which what was measured counts a third


class Pace:
    """An exponentially weighted rate over the time in which tasks waited.

    Time in which nothing waited says nothing of how fast the queue can go, and is left out. Times are seconds
    of a clock that never goes back.
    """

    __slots__ = ("_count", "_seconds", "_since", "ended")

    def __init__(self) -> None:
        self.ended: float = 0  # since the last sample; whoever ends tasks adds to it
        self._count = 0.0  # of tasks, the older ones weighing less
        self._seconds = 0.0  # in which they ended, weighed alike
        self._since: float | None = None  # when tasks began to wait, or the last sample while they do

    def sample(self, now: float, waiting: bool) -> None:
        """Take in what has ended, once a batch; ``waiting`` says whether others wait for their place from now on."""
        if self._since is not None:
            fade = exp((self._since - now) / MEMORY)
            self._count = self._count * fade + self.ended
            self._seconds = self._seconds * fade + MEMORY * (1 - fade)
        self.ended = 0
        self._since = now if waiting else None

    def rate(self, now: float, waiting: bool) -> float | None:
        """Return tasks a second, or None where too little has been seen to tell.

        While tasks wait and none ends, it falls.
        """
        if self._since is None:
            if waiting:
                self._since = now
            since = now
        else:
            since = self._since
        fade = exp((since - now) / MEMORY)
        seconds = self._seconds * fade + MEMORY * (1 - fade)
        count = self._count * fade + self.ended
        return count / seconds if count and seconds > 0 else None
