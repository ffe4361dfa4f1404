"""When a request is sent again, and after how long."""

import pytest

from taskmill.client import retrying
from taskmill.client.retrying import CAP, Patience, retry_after
from taskmill.client.wire import Answer, Unreachable

NOT_SENT, SENT = Unreachable("x", sent=False), Unreachable("x", sent=True)


class Clock:
    """A clock that is moved by the rests that are taken."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        self.bounds: list[float] = []
        monkeypatch.setattr(retrying, "monotonic", lambda: self.now)
        monkeypatch.setattr("random.uniform", self._longest)

    def _longest(self, low: float, high: float) -> float:
        assert low == 0
        self.bounds.append(high)
        return high


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_rests_grow_up_to_a_bound_and_end_with_the_patience(clock: Clock) -> None:
    patience = Patience(30, safe=True)
    rests = 0
    while (rest := patience.after_failure(NOT_SENT)) is not None:
        clock.now += rest
        rests += 1
    assert clock.bounds[:7] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0])
    assert max(clock.bounds) == CAP
    assert 125 < clock.now <= 130
    assert rests == len(clock.bounds) - 1
    assert not patience.repeated


def test_no_patience_is_one_attempt(clock: Clock) -> None:
    assert Patience(0, safe=True).after_failure(NOT_SENT) is None


def test_what_may_have_been_heard_is_sent_again_only_where_that_is_safe(clock: Clock) -> None:
    safe, unsafe = Patience(30, safe=True), Patience(30, safe=False)
    assert safe.after_failure(SENT) is not None
    assert safe.repeated
    assert unsafe.after_failure(SENT) is None
    assert unsafe.after_failure(NOT_SENT) is not None
    assert not unsafe.repeated


@pytest.mark.parametrize("status", [200, 202, 400, 404, 409, 422, 500])
def test_other_answers_are_taken(clock: Clock, status: int) -> None:
    assert Patience(30, safe=True).after(Answer(status, {}, b"")) is None


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_the_least_rest(clock: Clock, status: int) -> None:
    patience = Patience(30, safe=True)
    assert patience.after(Answer(status, {"retry-after": "7"}, b"")) == pytest.approx(7.1)
    assert patience.after(Answer(status, {}, b"")) == pytest.approx(0.2)
    assert patience.after(Answer(status, {"retry-after": "31"}, b"")) is None


def test_what_was_not_done_is_sent_again_in_any_case(clock: Clock) -> None:
    patience = Patience(30, safe=False)
    assert patience.after(Answer(429, {"retry-after": "7"}, b"")) == pytest.approx(7.1)
    assert not patience.repeated


@pytest.mark.parametrize("status", [502, 503, 504])
def test_what_may_have_been_done_is_not(clock: Clock, status: int) -> None:
    safe = Patience(30, safe=True)
    assert safe.after(Answer(status, {}, b"")) is not None
    assert safe.repeated
    assert Patience(30, safe=False).after(Answer(status, {}, b"")) is None


@pytest.mark.parametrize("text", ["", "-1", "1.5", "soon", "Wed, 21 Oct 2026 07:28:00 GMT", "9" * 9, "²"])
def test_a_retry_after_that_is_no_number_of_seconds_is_left_out(text: str) -> None:
    assert retry_after(Answer(503, {"retry-after": text}, b"")) is None
