"""What a `Prefer` header asks for, as RFC 7240 writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskmill.tasks.waiting.prefer import MOST, wait_in


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (b"wait=10", 10),
        (b"WAIT = 10", 10),
        (b'wait="10"', 10),
        (b"respond-async, wait=10", 10),
        (b"wait=10; foo=bar, return=minimal", 10),
        (b"wait=1, wait=2", 1),
        (b"wait=0", 0),
        (b"wait=60", MOST),
        (b"wait=61", MOST),
        (b"wait=99999999999999999999", MOST),
        (b"respond-async", None),
        (b"waiting=3", None),
        (b"return=minimal; wait=3", None),
        (b"wait", None),
        (b"wait=", None),
        (b"wait=-1", None),
        (b"wait=1.5", None),
        (b"wait=soon", None),
        (b"", None),
    ],
)
def test_only_a_wait_of_whole_seconds_counts(header: bytes, seconds: int | None) -> None:
    assert wait_in(header) == seconds


@given(st.binary(max_size=40))
def test_no_header_is_too_strange(header: bytes) -> None:
    seconds = wait_in(header)
    assert seconds is None or 0 <= seconds <= MOST
