"""Histograms as Prometheus has them: how many durations were not above each of some bounds."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

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

    def observe_all(self, seconds: list[float]) -> None:
        """Count durations, none of them below 0. The list is sorted."""
        seconds.sort()
        below = 0
        for place, bound in enumerate(self.bounds):
            up_to = bisect_right(seconds, bound, below)
            self._counts[place] += up_to - below
            below = up_to
            if below == len(seconds):
                break
        self._counts[-1] += len(seconds) - below
        self.sum += sum(seconds)

    @property
    def count(self) -> int:
        """How many were counted."""
        return sum(self._counts)

    def buckets(self) -> list[tuple[str, float]]:
        """Return how many were not above each bound, the last of which is infinity."""
        bounds = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
