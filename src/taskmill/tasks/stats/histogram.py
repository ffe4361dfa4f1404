"""Durations, counted by their size: percentiles to within an eighth, in a few hundred bytes."""

from __future__ import annotations

from collections.abc import Iterable


class Histogram:
    """Counts whole milliseconds. A power of two has four places, so what is read back is off by an eighth at most."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, milliseconds: int, weight: int = 1) -> None:
        """Count a duration; ``weight`` is how many it stands for."""
        counts, place = self._counts, _place(milliseconds)
        counts[place] = counts.get(place, 0) + weight

    def percentiles(self, *wanted: float) -> list[float] | None:
        """Return percentiles (0 to 1, ascending) in seconds, or None where nothing was counted."""
        return percentiles([self], *wanted)


def percentiles(histograms: Iterable[Histogram], *wanted: float) -> list[float] | None:
    """Return percentiles of several histograms as of one."""
    counts: dict[int, int] = {}
    for one in histograms:
        for place, count in one._counts.items():
            counts[place] = counts.get(place, 0) + count
    if not counts:
        return None
    places = sorted(counts)
    total, found, below, index = sum(counts.values()), [], 0, -1
    for part in wanted:
        while below < part * total or index < 0:
            index += 1
            below += counts[places[index]]
        found.append(_middle(places[index]) / 1000)
    return found


def _place(milliseconds: int) -> int:
    if milliseconds < 4:
        return max(0, milliseconds)
    octave = milliseconds.bit_length() - 3
    return octave * 4 + (milliseconds >> octave)  # the latter is 4 to 7


def _middle(place: int) -> float:
    """Return the middle of what is counted at a place, in milliseconds."""
    if place < 8:
        return place
    octave = place // 4 - 1
    first = (place % 4 + 4) << octave
    return first + ((1 << octave) - 1) / 2
