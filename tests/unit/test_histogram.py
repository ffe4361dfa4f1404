"""Histograms count by the least bound that a duration is not above, one by one or many at once."""

import random

import pytest

from taskmill.metrics import QUICK, Histogram

BOUNDS = (0.1, 1, 10)


def test_a_bound_is_within_its_bucket() -> None:
    histogram = Histogram(BOUNDS)
    for seconds, times in ((0, 1), (0.1, 2), (0.100001, 4), (1, 8), (10, 16), (10.5, 32), (-3, 64)):
        histogram.observe(seconds, times)
    assert histogram.buckets() == [("0.1", 67), ("1.0", 79), ("10.0", 95), ("+Inf", 127)]
    assert histogram.count == 127
    assert histogram.sum == pytest.approx(0.2 + 4 * 0.100001 + 8 + 160 + 336)


@pytest.mark.parametrize("number", [0, 1, 2, 500])
def test_many_at_once_are_counted_as_one_by_one(number: int) -> None:
    chance = random.Random(number)
    seconds = [chance.choice([chance.expovariate(2), chance.choice(QUICK), 0.0, 40.0]) for _ in range(number)]
    one, many = Histogram(QUICK), Histogram(QUICK)
    for each in seconds:
        one.observe(each)
    many.observe_all(seconds)
    assert many.buckets() == one.buckets()
    assert many.sum == pytest.approx(one.sum)
