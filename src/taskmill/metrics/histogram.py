"""Histograms as Prometheus has them: how many durations were not above each of some bounds."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from itertools import accumulate
from typing import Final, Generic, TypeVar

L = TypeVar("L", bound=Hashable)

# Seconds. Of tasks, which are measured in milliseconds, and may take hours:
TASKS: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    2.5,
    5,
    10,
    30,
    60,
    300,
    1800,
    7200,
)
# Of what should be over at once:
QUICK: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
WAITING: Final = 512  # observations that wait to be counted together


class Histogram:
    """Counts durations by the least of the ``bounds`` (seconds, ascending) that they are not above."""

    __slots__ = ("_counts", "bounds", "sum")

    def __init__(self, bounds: Sequence[float] = TASKS) -> None:
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)  # the last are those above all bounds
        self.sum = 0.0

    def observe(self, seconds: float, times: int = 1) -> None:
        """Count a duration that was seen so many times. One below 0 counts as 0: a clock was set back."""
        self._counts[bisect_left(self.bounds, seconds)] += times
        self.sum += max(0.0, seconds) * times

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Return how many were not above each bound, the last of which is infinity."""
        bounds = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))


class Timings(Generic[L]):
    """Histograms by a label, for what is observed often: ``add`` appends, and hundreds are counted at once."""

    def __init__(self, bounds: Sequence[float] = QUICK) -> None:
        self._bounds = bounds
        self._waiting: list[tuple[L, float]] = []
        self._counted: dict[L, Histogram] = {}

    def add(self, label: L, seconds: float) -> None:
        """Observe a duration."""
        self._waiting.append((label, seconds))
        if len(self._waiting) >= WAITING:
            self.counted()

    def counted(self) -> dict[L, Histogram]:
        """Return the histograms, with all that was added."""
        waiting, self._waiting = self._waiting, []
        counted = self._counted
        for label, seconds in waiting:
            histogram = counted.get(label)
            if histogram is None:
                histogram = counted[label] = Histogram(self._bounds)
            histogram.observe(seconds)
        return counted
