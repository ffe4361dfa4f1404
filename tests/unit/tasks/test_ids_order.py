"""Ids: strictly increasing under any clock, readable as UUIDv7, and back."""

import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskmill.tasks import ids
from taskmill.tasks.ids import IdSource, from_text, to_text

NOW = 1_764_000_000.0  # seconds since 1970


class Clock:
    """Tells the times that it was given, and the last of them from then on."""

    def __init__(self, times: list[float]) -> None:
        self.times = times

    def time(self) -> float:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


@settings(deadline=None)
@given(
    st.lists(st.floats(0, 2**37), min_size=1, max_size=50)
    | st.lists(st.sampled_from([NOW - 3600, NOW, NOW + 0.0005, NOW + 0.001, NOW + 86_400]), min_size=1, max_size=50),
    st.integers(1, 5),
)  # fmt: skip
def test_ids_increase_under_any_clock(times: list[float], restarts: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ids, "time", Clock(list(times)))
        last = b""
        for _ in range(restarts):
            source = IdSource(last)
            for _ in range(60):
                following = source.next()
                assert len(following) == 16
                assert following > last
                last = following


def test_a_busy_millisecond_stays_a_valid_uuid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "time", Clock([NOW]))
    source = IdSource()
    made = [source.next() for _ in range(100_000)]
    assert made == sorted(set(made))
    for id_ in (made[0], made[-1]):
        read = uuid.UUID(bytes=id_)
        assert read.version == 7
        assert read.variant == uuid.RFC_4122
        assert int.from_bytes(id_) >> 80 == int(NOW * 1000)


def test_the_time_is_in_the_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "time", Clock([NOW + 0.123]))
    assert int.from_bytes(IdSource().next()[:6]) == int((NOW + 0.123) * 1000)


@given(st.binary(min_size=16, max_size=16))
def test_text_is_as_a_uuid_and_back(id_: bytes) -> None:
    assert to_text(id_) == str(uuid.UUID(bytes=id_))
    assert from_text(to_text(id_)) == id_
    assert from_text(to_text(id_).upper()) == id_


@given(st.text(max_size=40) | st.text("0123456789abcdef- ", min_size=36, max_size=36))
def test_no_other_text_is_an_id(text: str) -> None:
    found = from_text(text)
    assert found is None or to_text(found) == text.lower()


def test_a_blank_for_a_digit_is_no_id() -> None:
    # `bytes.fromhex` skips blanks.
    assert from_text("  0ab000-0000-7000-8000-000000000000") is None
    assert from_text("019ab000-0000-7000-8000-00000000 000") is None
