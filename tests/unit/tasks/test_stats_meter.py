"""The meter counts what attempts came to by queue and minute, and forgets after an hour."""

from typing import Any

import pytest

from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import FIRST, Place, TaskMessage
from taskmill.tasks.rows.over import Over
from taskmill.tasks.stats.meter import LAID_UP, MINUTES, Meter

NOON = 1_700_000_000_000 // 60_000 * 60_000


class Clock:
    now = NOON

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def meter(clock: Clock) -> Meter:
    return Meter("tasks", lambda priority: priority * 1_000, lambda name: name.partition("-")[0], clock)


def message(created: int, place: Place | None = None, name: str = "work") -> TaskMessage:
    registered: Any = None
    return TaskMessage(created.to_bytes(6) + bytes(10), name, registered, "{}", place=place)


def end(started: int, finished: int) -> tuple[Any, ...]:
    return (1, started, finished, "{}", b"", 1)


def test_a_plain_task_waits_from_its_id_on_in_the_own_queue(meter: Meter) -> None:
    meter.ended("completed", [end(NOON + 200, NOON + 203)], [message(NOON)])
    ((number, queues),) = meter.last().items()
    assert number == NOON // 60_000
    minute = queues["tasks"]
    assert (minute.completed, minute.failed, minute.retried) == (1, 0, 0)
    assert minute.running.percentiles(0.5) == [0.003]
    assert minute.waiting.percentiles(0.5) == [pytest.approx(0.2, rel=0.125)]


@pytest.mark.parametrize(
    ("rank", "priority", "waited"),
    [
        (NOON + 900 - 2_000, 2, 100),  # could begin 100 ms before it did
        (FIRST, 0, 1_000),  # goes before all others: waits since it was made
        (NOON - 5_000, 0, 1_000),  # its tenant's turn
        (NOON + 60_000, 0, 1_000),
    ],
)
def test_another_waits_from_when_its_rank_says_if_that_can_be(
    meter: Meter, rank: int, priority: int, waited: int
) -> None:
    place = Place("mail", rank, 3, priority=priority)
    meter.ended("failed", [end(NOON + 1_000, NOON + 1_000)], [message(NOON, place)])
    minute = meter.last()[NOON // 60_000]["mail"]
    assert minute.failed == 1
    assert minute.waiting.percentiles(0.5) == [pytest.approx(waited / 1000, rel=0.125)]


def test_each_of_a_commit_is_counted_and_measured(meter: Meter) -> None:
    rows = [end(NOON + n, NOON + n + 2) for n in range(1_000)]
    messages = [message(NOON, Place("mail", NOON, 1) if n % 4 == 0 else None) for n in range(1_000)]
    meter.ended("completed", rows, messages)
    queues = meter.last()[NOON // 60_000]
    assert (queues["tasks"].completed, queues["mail"].completed) == (750, 250)
    assert [sum(queue.running._counts.values()) for queue in queues.values()] == [750, 250]
    times = meter.times()
    assert (times["tasks", "work"].running.count, times["mail", "work"].waiting.count) == (750, 250)
    assert times["mail", "work"].running.sum == pytest.approx(0.5)
    assert times["mail", "work"].waiting.sum == pytest.approx(sum(range(0, 1_000, 4)) / 1000)


@pytest.mark.parametrize("number", [1, LAID_UP - 1, LAID_UP, 3 * LAID_UP + 1])
def test_plain_tasks_of_several_actions_are_told_apart_however_they_come(meter: Meter, number: int) -> None:
    for n in range(number):
        name = ("fast", "slow-1", "slow-2")[n % 3]
        meter.ended(
            "completed", [end(NOON + 7, NOON + (8 if name == "fast" else 2_008))], [message(NOON, name=name)]
        )
    fast = (number + 2) // 3
    expected = {("tasks", "fast", "completed"): fast, ("tasks", "slow", "completed"): number - fast}
    assert meter.ends() == {kind: count for kind, count in expected.items() if count}
    for (_, action), times in meter.times().items():
        assert times.running.count == times.waiting.count == expected["tasks", action, "completed"]
        below = dict(times.running.buckets())
        assert (below["1.0"] > 0) == (action == "fast")
        assert below["2.5"] == below["+Inf"] == times.running.count


def test_the_ends_that_were_laid_up_are_of_the_minute_in_which_they_came(meter: Meter, clock: Clock) -> None:
    meter.ended("completed", [end(NOON, NOON)], [message(NOON)])
    clock.now += 60_000
    meter.ended("completed", [end(clock.now, clock.now)] * 2, [message(NOON)] * 2)
    assert [queues["tasks"].completed for queues in meter.last().values()] == [1, 2]


def test_a_clock_that_was_set_back_makes_nothing_less(meter: Meter) -> None:
    meter.ended("completed", [end(NOON - 5_000, NOON - 6_000)], [message(NOON)])
    times = meter.times()["tasks", "work"]
    assert (times.waiting.sum, times.running.sum, times.waiting.buckets()[0][1]) == (0, 0, 1)


def test_what_did_not_begin_and_what_is_retried_has_no_times(meter: Meter) -> None:
    meter.ended("failed", [end(0, NOON)], [message(NOON)])
    meter.ended("retried", [(1, NOON, "{}", 0, NOON, b"", 1)], [message(NOON)])
    minute = meter.last()[NOON // 60_000]["tasks"]
    assert (minute.failed, minute.retried) == (1, 1)
    assert minute.running.percentiles(0.5) is None


def test_ends_of_rows_are_counted_by_what_they_came_to(meter: Meter) -> None:
    done, failed, again, cancelled = (
        Over(b"", "mail", "send", status)
        for status in (Status.COMPLETED, Status.FAILED, Status.SCHEDULED, Status.CANCELLED)
    )
    meter.over([done, done, failed, again, cancelled, cancelled, cancelled])
    minute = meter.last()[NOON // 60_000]["mail"]
    assert (minute.completed, minute.failed, minute.retried) == (2, 1, 1)
    counts = {"completed": 2, "failed": 1, "retried": 1, "cancelled": 3}
    assert meter.ends() == {("mail", "send", came_to): count for came_to, count in counts.items()}


def test_an_hour_is_kept_and_not_what_a_clock_that_was_set_back_takes_for_the_future(
    meter: Meter, clock: Clock
) -> None:
    for minute in range(MINUTES + 30):
        clock.now = NOON + minute * 60_000
        meter.ended("completed", [end(clock.now, clock.now)], [message(clock.now)])
    assert len(meter.last()) == MINUTES
    clock.now -= 10 * 60_000
    assert len(meter.last()) == MINUTES - 10
    assert max(meter.last()) == clock.now // 60_000


def test_how_much_waits_is_noted_where_somebody_has_looked(meter: Meter) -> None:
    meter.looked({"tasks": 5, "mail": 0})
    queues = meter.last()[NOON // 60_000]
    assert (queues["tasks"].queued, queues["mail"].queued) == (5, 0)
