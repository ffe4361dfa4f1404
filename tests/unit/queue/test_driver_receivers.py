"""Sharing messages out: never beyond credit, evenly, and none forgotten."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from taskmill.queue import Message
from taskmill.queue.drivers.receivers import Receivers


class Taker:
    """A receiver of so much credit, which it uses up."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.got: list[str] = []

    def credit(self) -> int:
        return self.left

    def receive(self, messages: Sequence[Message]) -> None:
        assert 0 < len(messages) <= self.left
        self.left -= len(messages)
        self.got += [message.id() for message in messages]


def some(count: int) -> list[Message]:
    return [Message(str(number), "{}") for number in range(count)]


@given(st.lists(st.integers(0, 9), max_size=5), st.integers(0, 30))
def test_all_that_there_is_credit_for_is_given_and_the_rest_waits(credits: list[int], count: int) -> None:
    receivers = Receivers(lambda *_: None)
    takers = [Taker(credit) for credit in credits]
    for taker in takers:
        receivers.add(taker)
    assert receivers.wanted() == sum(credits)
    receivers.give(some(count))
    given_out = [id_ for taker in takers for id_ in taker.got]
    assert len(given_out) == min(count, sum(credits))
    left = [message.id() for message in receivers.take_back()]
    assert sorted(given_out + left, key=int) == [str(number) for number in range(count)]
    for taker in takers:
        assert taker.got == sorted(taker.got, key=int), "in order"


def test_receivers_with_credit_for_all_get_equal_shares() -> None:
    receivers = Receivers(lambda *_: None)
    takers = [Taker(100) for _ in range(3)]
    for taker in takers:
        receivers.add(taker)
    receivers.give(some(30))
    for message in some(30):
        receivers.give([message])
    assert [len(taker.got) for taker in takers] == [20, 20, 20]


def test_what_waits_counts_against_the_credit() -> None:
    receivers = Receivers(lambda *_: None)
    taker = Taker(0)
    receivers.add(taker)
    receivers.give(some(3))
    taker.left = 5
    assert receivers.wanted() == 2
    receivers.give()
    assert taker.got == ["0", "1", "2"]


def test_one_that_left_gets_nothing_and_may_leave_twice() -> None:
    receivers = Receivers(lambda *_: None)
    taker = Taker(5)
    receivers.add(taker)
    receivers.remove(taker)
    receivers.remove(taker)
    receivers.give(some(2))
    assert (len(receivers), taker.got, receivers.wanted()) == (0, [], 0)
    assert len(receivers.take_back()) == 2


def test_a_delivery_is_counted_when_it_is_handed_out_and_settled_once() -> None:
    settled: list[tuple[str, bool]] = []
    receivers = Receivers(lambda message, acknowledged: settled.append((message.id(), acknowledged)))
    (message,) = some(1)
    receivers.give([message])
    assert message.deliveries == 0
    receivers.add(Taker(1))
    receivers.give()
    assert message.deliveries == 1
    message.nack()
    message.ack()
    assert settled == [("0", False)]
