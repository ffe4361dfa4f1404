"""How much is to be on its way at a time, so that who waits at its end never runs dry, and nobody hoards."""

from __future__ import annotations

SPAN = 0.25  # seconds of one measurement
HOARD = 2.0  # seconds of work that may be on its way at most
MOST = 4_000.0  # messages
FEWEST = 2.0
FADE = 0.5  # seconds after which half is forgotten of what was once needed


class Tempo:
    """A rate over the last half second or so. Times are seconds of a clock that never goes back."""

    __slots__ = ("_count", "_rate", "_since")

    def __init__(self, now: float) -> None:
        self._since = now
        self._count = 0
        self._rate = 0.0

    def passed(self, count: int) -> None:
        """Count what has gone by."""
        self._count += count

    def rate(self, now: float) -> float:
        """Return how many go by in a second."""
        spent = now - self._since
        if spent < SPAN:
            return max(self._rate, self._count / SPAN)
        # One span weighs as much as all before it; where nobody asked for long, those are forgotten.
        left = 0.5 ** (spent / SPAN)
        self._rate = self._rate * left + self._count / spent * (1 - left)
        self._count = 0
        self._since = now
        return self._rate


class Ahead:
    """How many messages are to be on their way, beyond what is wanted now.

    It takes time to bring one, and nobody knows how long. So the number grows while the end runs dry and shrinks
    as soon as it does not: what is on its way can no longer be overtaken by what is more urgent.
    """

    __slots__ = ("_at", "_came", "_tempo", "_wanted")

    def __init__(self, tempo: Tempo) -> None:
        self._tempo = tempo
        self._wanted = FEWEST
        self._at = 0.0  # when that was so
        self._came = 0  # since it last grew

    def came(self, count: int) -> None:
        """Note that so many have been brought."""
        self._came += count

    def ran_dry(self, now: float) -> None:
        """Note that there was less than could have been used; heeded once what was wanted so far has come."""
        if self._came >= self._fade(now):
            self._came = 0
            self._wanted = min(MOST, 2 * self._wanted)

    def was_plenty(self, now: float) -> None:
        """Note that there was more than was used."""
        self._wanted = max(FEWEST, 0.8 * self._fade(now))

    def count(self, now: float) -> int:
        """Return how many."""
        return int(min(self._fade(now), self._tempo.rate(now) * HOARD))

    def _fade(self, now: float) -> float:
        self._wanted = max(FEWEST, self._wanted * 0.5 ** ((now - self._at) / FADE))
        self._at = now
        return self._wanted
