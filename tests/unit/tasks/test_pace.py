"""The pace of a queue: measured while tasks wait, and only then."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.tasks.dispatch.pace import MEMORY, Pace


def work(pace: Pace, begin: float, seconds: float, rate: float, batches: int = 200) -> float:
    """End tasks evenly, with others waiting all the time; return the time."""
    for number in range(1, batches + 1):
        pace.ended += rate * seconds / batches
        pace.sample(begin + seconds * number / batches, waiting=True)
    return begin + seconds


def test_nothing_is_known_before_anything_has_ended() -> None:
    pace = Pace()
    assert pace.rate(0, waiting=True) is None
    assert pace.rate(5, waiting=True) is None


@given(rate=st.floats(0.1, 10_000), seconds=st.floats(0.1, 600))
def test_an_even_pace_is_told_as_it_is(rate: float, seconds: float) -> None:
    pace = Pace()
    pace.sample(0, waiting=True)
    now = work(pace, 0, seconds, rate)
    assert pace.rate(now, waiting=True) == pytest.approx(rate, rel=0.1)


def test_idle_time_does_not_count() -> None:
    pace = Pace()
    pace.sample(0, waiting=True)
    now = work(pace, 0, 60, 100)
    pace.sample(now, waiting=False)
    assert pace.rate(now + 3600, waiting=False) == pytest.approx(100, rel=0.01)
    pace.ended += 1  # alone: that took an hour, and says nothing of the pace
    pace.sample(now + 3600, waiting=True)
    assert pace.rate(now + 3600, waiting=True) == pytest.approx(100, rel=0.01)


def test_it_falls_while_tasks_wait_and_none_ends() -> None:
    pace = Pace()
    pace.sample(0, waiting=True)
    now = work(pace, 0, 60, 100)
    after = [pace.rate(now + wait, waiting=True) for wait in (0, 10, 100, 1000)]
    assert None not in after
    assert after == sorted(after, reverse=True)  # type: ignore[type-var]
    assert after[2] < 5  # type: ignore[operator]


def test_it_follows_a_change() -> None:
    pace = Pace()
    pace.sample(0, waiting=True)
    now = work(pace, 0, 600, 1000)
    now = work(pace, now, 3 * MEMORY, 10)
    assert pace.rate(now, waiting=True) < 70  # type: ignore[operator]


def test_a_look_begins_the_measurement_where_nothing_had_ended_before() -> None:
    pace = Pace()
    assert pace.rate(100, waiting=True) is None
    pace.ended += 4
    pace.sample(102, waiting=True)
    assert pace.rate(102, waiting=True) == pytest.approx(2, rel=0.05)
