"""The waits between restarts."""

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.registry import Restart
from taskmill.supervisor import delays
from taskmill.units import Duration


def middle() -> float:
    """Return the number that leaves a wait as it is."""
    return 0.5


def test_delays_grow_to_the_longest_and_end() -> None:
    restart = Restart(initial_delay=Duration(1), max_delay=Duration(5), backoff_factor=2, max_attempts=5)
    assert list(delays(restart, middle)) == [1, 2, 4, 5, 5]


def test_no_limit_never_ends_and_never_overflows() -> None:
    restart = Restart(max_delay=Duration(30), backoff_factor=100, max_attempts=0)
    assert list(islice(delays(restart, middle), 10_000))[-1] == 30


def test_the_first_delay_is_no_longer_than_the_longest() -> None:
    restart = Restart(initial_delay=Duration(9), max_delay=Duration(3), max_attempts=1)
    assert list(delays(restart, middle)) == [3]


@pytest.mark.parametrize(("chance", "first"), [(0.0, 9), (0.5, 10), (1.0, 11)])
def test_jitter(chance: float, first: float) -> None:
    restart = Restart(initial_delay=Duration(10), jitter=0.1, max_attempts=1)
    assert list(delays(restart, lambda: chance)) == [pytest.approx(first)]


@given(
    st.builds(
        Restart,
        initial_delay=st.floats(0, 100).map(Duration),
        max_delay=st.floats(0, 100).map(Duration),
        backoff_factor=st.floats(1, 100),
        jitter=st.floats(0, 1),
        max_attempts=st.integers(1, 20),
    ),
    st.floats(0, 1),
)
def test_every_delay_is_within_its_bounds(restart: Restart, chance: float) -> None:
    found = list(delays(restart, lambda: chance))
    assert len(found) == restart.max_attempts
    assert all(0 <= delay <= restart.max_delay * (1 + restart.jitter) + 1e-9 for delay in found)
