"""Percentiles of what was counted are right to within an eighth."""

import random

import pytest

from taskmill.tasks.stats.histogram import Histogram, _middle, _place, percentiles


def test_each_duration_is_read_back_to_within_an_eighth() -> None:
    last = -1
    for milliseconds in [*range(5_000), *(2**power + off for power in range(13, 40) for off in (-1, 0, 1))]:
        place = _place(milliseconds)
        assert place >= last, milliseconds
        last = place
        assert abs(_middle(place) - milliseconds) <= milliseconds / 8, milliseconds


@pytest.mark.parametrize("seed", range(3))
def test_percentiles_are_those_of_the_sorted_list(seed: int) -> None:
    chance = random.Random(seed)
    values = sorted(int(chance.lognormvariate(5, 2)) for _ in range(1_000))
    histograms = [Histogram(), Histogram()]
    for number, value in enumerate(values):
        histograms[number % 2].add(value)
    found = percentiles(histograms, 0.5, 0.95, 0.99, 1.0)
    assert found is not None
    for part, seconds in zip((0.5, 0.95, 0.99, 1.0), found, strict=True):
        true = values[round(part * 1_000) - 1]
        assert abs(seconds * 1000 - true) <= max(1, true / 8)


def test_a_weight_counts_as_so_many() -> None:
    histogram = Histogram()
    histogram.add(1, 9)
    histogram.add(1_000)
    assert histogram.percentiles(0.5, 0.9) == [0.001, 0.001]
    (found,) = histogram.percentiles(0.95) or []
    assert found == pytest.approx(1, rel=0.125)


def test_of_nothing_there_are_none_and_a_clock_that_went_back_counts_as_no_time() -> None:
    histogram = Histogram()
    assert histogram.percentiles(0.5) is None
    histogram.add(-5)
    assert histogram.percentiles(0.5) == [0.0]
