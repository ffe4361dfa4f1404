"""The dispatcher's two streams and its edge, case by case: what the state machine would need long to come upon."""

from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest
from dispatching import Stage

from taskmill.tasks.dispatch import limits, window
from taskmill.tasks.lifecycle import Status

ACTIONS = """
from typing import Any
from taskmill import action

@action(name="*", inline=True)
def anything(data: Any, /) -> None:
    pass

@action(inline=True, concurrency=1)
def alone(data: Any, /) -> None:
    pass

@action(inline=True, concurrency=1, concurrency_key="data")
def each(data: Any, /) -> None:
    pass
"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    (tmp_path / "actions.py").write_text(ACTIONS)
    stage = Stage(tmp_path, tmp_path)
    yield stage
    stage.close()


def now() -> int:
    return int(time() * 1000)


def delivered(stage: Stage) -> list[bytes]:
    return [message.key for message in stage.hand.delivered]


def take_all(stage: Stage, count: int) -> list[bytes]:
    """Take and finish one after the other until so many have been delivered in this run."""
    stage.allow(1)
    for _ in range(count + 2):
        stage.settle()
        stage.finish(1)
    stage.settle()
    assert len(delivered(stage)) == count
    check_nothing_is_remembered(stage)
    return delivered(stage)


def parked(stage: Stage) -> int:
    return sum(len(limiter.parked) for limiter in stage.service.limits._limiters.values())


def check_nothing_is_remembered(stage: Stage) -> None:
    assert stage.channel.length() == 0
    assert not stage.dispatcher._ranked.known
    assert not stage.service.traffic.dropped
    assert not stage.service.traffic._following
    assert not stage.service.limits._limiters


def test_both_streams_merge_into_one_order(stage: Stage) -> None:
    stage.begin(100)
    at = now()
    plain = stage.submit("a", ["1"] * 2)
    later = stage.submit("a", ["1"] * 2, rank=at + 60_000)
    sooner = stage.submit("a", ["1"] * 2, rank=at - 60_000)
    stage.settle()
    assert take_all(stage, 6) == [*sooner, *plain, *later]


def test_a_better_one_goes_first_whatever_waits(stage: Stage) -> None:
    stage.begin(4)
    waiting = stage.submit("a", ["1"] * 30, rank=now())
    stage.settle()
    stage.allow(1)
    stage.settle()
    urgent = stage.submit("a", ["1"], rank=now() - 60_000)
    stage.settle()
    assert take_all(stage, 31) == [waiting[0], *urgent, *waiting[1:]]


def test_what_does_not_fit_the_window_stays_rows_and_keeps_its_order(stage: Stage) -> None:
    stage.begin(3)
    keys = []
    for rank in range(40, 0, -1):  # the best comes last
        keys += stage.submit("a", ["1"], rank=rank)
    stage.settle()
    assert len(stage.dispatcher._ranked.waiting) <= 6
    assert take_all(stage, 40) == keys[::-1]


def test_bodies_count_against_the_window(stage: Stage) -> None:
    stage.begin(100, max_bytes=1_000)
    keys = []
    for rank in range(40, 0, -1):
        keys += stage.submit("a", ["1" * 300], rank=rank)
        stage.settle()
        assert stage.dispatcher._ranked.bytes <= 2_300
    assert take_all(stage, 40) == keys[::-1]
    assert stage.reader.read_bytes <= 1_300


def test_a_worse_one_that_is_read_waits_for_a_better_one_that_was_left_a_row_meanwhile(stage: Stage) -> None:
    stage.begin(2)
    keys = [stage.submit("a", ["1"], rank=rank)[0] for rank in (1, 2, 10, 30, 31)]
    stage.settle()
    stage.reader.open.clear()
    stage.allow(2)
    stage.settle()
    stage.finish(2)
    stage.settle()
    assert stage.reader.held_back == 1, "a read that has seen those of rank 10 and 30"
    (better,) = stage.submit("a", ["1"], rank=20)
    stage.settle()
    stage.reader.open.set()
    stage.settle()
    assert take_all(stage, 6) == [*keys[:3], better, *keys[3:]]


def test_a_plain_task_that_is_a_row_holds_up_ranked_ones_behind_it(stage: Stage) -> None:
    stage.begin(2)
    plain = stage.submit("a", ["1"] * 6)
    stage.settle()
    late = stage.submit("a", ["1"] * 2, rank=now() + 60_000)
    stage.settle()
    stage.reader.open.clear()
    stage.allow(2)
    stage.settle()
    stage.finish(2)
    stage.settle()
    assert delivered(stage) == plain[:2]
    stage.reader.open.set()
    assert take_all(stage, 8) == [*plain, *late]


def test_plain_tasks_are_found_behind_any_number_of_ranked_ones_in_bounded_reads(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "READ_AT_ONCE", 5)
    stage.begin(100)
    ranked = stage.submit("a", ["1" * 90] * 40, rank=now() + 60_000)
    plain = stage.submit("a", ["1"])
    stage.settle()
    stage.end(kill=False)
    stage.begin(100)
    assert take_all(stage, 41) == [*plain, *ranked]
    assert stage.reader.read_bytes <= 5 * 90, "what is passed over is not brought along"


def test_what_ran_comes_first_and_is_not_left_a_row_that_no_read_finds(stage: Stage) -> None:
    stage.begin(10)
    keys = stage.submit("a", ["1"] * 10, rank=now())
    stage.settle()
    stage.allow(10)
    stage.note(10)
    stage.settle()
    stage.end(kill=True)
    stage.begin(2)  # a smaller window: more ran than it holds
    better = stage.submit("a", ["1"] * 10, rank=1)
    stage.settle()
    assert take_all(stage, 20) == [*keys, *better]


def test_what_ran_when_its_time_ran_out_is_not_forgotten(stage: Stage) -> None:
    """It had begun in time; and no alarm would end it, since its row says that it runs."""
    stage.begin(10)
    (key,) = stage.submit("a", ["1"], rank=now(), expires_at=now() + 60_000)
    stage.settle()
    stage.allow(1)
    stage.note(1)
    stage.settle()
    stage.end(kill=True)
    stage.write("UPDATE task SET expires_at = 1")
    stage.begin(10)
    assert take_all(stage, 1) == [key]
    assert stage.statuses() == {key: Status.COMPLETED}


def test_what_has_expired_is_not_handed_out(stage: Stage) -> None:
    stage.begin(10)
    (late,) = stage.submit("a", ["1"], rank=now(), expires_at=now() - 1)
    (other,) = stage.submit("a", ["1"], rank=now())
    stage.settle()
    assert take_all(stage, 1) == [other]
    stage.service.traffic.scheduled(now())
    stage.settle()
    assert stage.statuses() == {late: Status.FAILED, other: Status.COMPLETED}


def test_more_of_a_limit_that_ran_than_may_be_parked_are_not_lost(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PARKED", 3)
    stage.begin(20)
    keys = stage.submit("alone", ["1"] * 10, rank=now(), limit_key="alone")
    stage.settle()
    stage.end(kill=False)
    stage.write("UPDATE task SET status = 2, attempt = 1")  # as if its limit had been higher
    stage.begin(20)
    assert take_all(stage, 10) == keys


def test_the_next_of_a_limit_goes_on_where_the_first_in_line_was_cancelled(stage: Stage) -> None:
    stage.begin(20)
    keys = stage.submit("alone", ["1"] * 4, rank=now(), limit_key="alone")
    stage.settle()
    stage.allow(1)
    stage.settle()
    stage.run(stage.service.control.cancel(keys[1:3]))
    assert take_all(stage, 2) == [keys[0], keys[3]]


def test_the_next_of_a_limit_goes_on_where_the_first_in_line_has_expired(stage: Stage) -> None:
    stage.begin(20)
    (first,) = stage.submit("alone", ["1"], rank=1, limit_key="alone")
    stage.settle()
    stage.allow(5)
    stage.submit("alone", ["1"], rank=2, limit_key="alone", expires_at=now() + 60_000)
    (last,) = stage.submit("alone", ["1"], rank=3, limit_key="alone")
    stage.settle()
    assert delivered(stage) == [first]
    ((_, _, second), *_) = sorted(stage.service.limits._limiters["alone"].parked)
    assert second.place is not None
    object.__setattr__(second.place, "expires_at", 1)  # time passes
    stage.finish(1)
    stage.settle()
    assert delivered(stage) == [first, last]


def test_what_is_behind_a_limit_is_read_as_places_come_free(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PARKED", 3)
    stage.begin(4)
    keys = stage.submit("alone", ["1"] * 30, rank=1, limit_key="alone")
    others = stage.submit("a", ["1"] * 5, rank=2)
    stage.settle()
    stage.allow(2)
    stage.settle()
    assert delivered(stage) == [keys[0], others[0]], "what is over its limit holds nobody up"
    for _ in range(40):
        stage.finish(1)
        stage.settle()
        assert parked(stage) <= 4
    assert [key for key in delivered(stage) if key in keys] == keys
    assert [key for key in delivered(stage) if key in others] == others
    check_nothing_is_remembered(stage)


def test_all_limits_together_park_a_bounded_number(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PARKED", 10)
    monkeypatch.setattr(limits, "PARKED_IN_ALL", 20)
    stage.begin(1_000)
    keys: list[bytes] = []
    for customer in range(20):
        keys += stage.submit("each", [f'"{customer}"'] * 15, rank=1, limit_key=f"each-{customer}")
    stage.settle()
    stage.allow(20)
    stage.settle()
    assert len(delivered(stage)) == 20, "each of them runs one"
    assert parked(stage) <= 60
    for _ in range(60):
        stage.finish(20)
        stage.settle()
    assert sorted(delivered(stage)) == sorted(keys)
    check_nothing_is_remembered(stage)


def test_a_redriven_task_waits_until_its_last_life_is_out_of_memory(stage: Stage) -> None:
    stage.begin(1)
    first, second, third = stage.submit("a", ["1"] * 3)
    stage.settle()
    stage.allow(1)
    stage.settle()
    control = stage.service.control
    for key in (first, second):  # one is held by the consumer, one waits
        stage.run(control.cancel([key]))
        stage.run(control.retry([key]))
    stage.submit("a", ["1"] * 3, rank=now() + 60_000)  # so that ranked rows are read
    stage.settle()
    assert delivered(stage) == [first]
    taken = take_all(stage, 7)
    assert sorted(taken) == sorted([first, *stage.statuses()]), "what was held comes once more, and no other"
    assert taken.index(third) < taken.index(second), "it has gone to the end"
    assert set(stage.statuses().values()) == {Status.COMPLETED}


def test_a_redriven_task_is_not_read_while_its_last_life_waits(stage: Stage) -> None:
    stage.begin(2)
    plain = stage.submit("a", ["1"])
    ranked = [stage.submit("a", ["1"], rank=rank)[0] for rank in range(1, 6)]
    stage.settle()
    stage.run(stage.service.control.cancel(plain))
    stage.run(stage.service.control.retry(plain))
    assert take_all(stage, 6) == [*ranked, *plain]


def test_what_was_cancelled_while_it_was_read_is_not_handed_out(stage: Stage) -> None:
    stage.begin(1)
    plain = stage.submit("a", ["1"] * 3)
    ranked = stage.submit("a", ["1"] * 4, rank=now() + 60_000)
    stage.settle()
    stage.reader.open.clear()
    stage.allow(1)
    stage.settle()
    stage.finish(1)
    stage.settle()
    assert stage.reader.held_back == 1
    stage.run(stage.service.control.cancel([*plain[1:], *ranked[2:]]))
    stage.reader.open.set()
    assert take_all(stage, 3) == [plain[0], *ranked[:2]]


def test_a_cancelled_task_that_leaves_the_window_is_not_remembered(stage: Stage) -> None:
    stage.begin(2)
    keys = stage.submit("a", ["1"] * 2, rank=100)
    stage.settle()
    stage.run(stage.service.control.cancel([keys[1]]))
    better = stage.submit("a", ["1"] * 6, rank=1)
    stage.settle()
    assert not stage.service.traffic.dropped
    assert take_all(stage, 7) == [*better, keys[0]]


def test_what_is_taken_back_waits_in_its_place(stage: Stage) -> None:
    stage.begin(20)
    plain = stage.submit("a", ["1"] * 4)
    ranked = stage.submit("a", ["1"] * 4, rank=now() + 60_000)
    stage.settle()
    stage.allow(6)
    stage.run(stage.service.control.pause("tasks", "a test"))
    held, stage.hand.held = stage.hand.held, []
    for message in held[::-1]:
        stage.call(lambda message=message: stage.service.traffic.take_back(message))  # type: ignore[misc]
    assert stage.channel.length() == 0
    stage.allow(0)
    stage.run(stage.service.control.resume("tasks"))
    stage.hand.delivered.clear()
    assert take_all(stage, 8) == [*plain, *ranked]


def test_the_first_ranked_tasks_after_a_kill_are_suspect_and_new_ones_are_not(stage: Stage) -> None:
    stage.begin(3)
    keys = stage.submit("a", ["1"] * 6, rank=now())
    stage.settle()
    stage.allow(3)
    stage.end(kill=True)
    stage.begin(3, killed=True)
    new = stage.submit("a", ["1"], rank=1)
    stage.settle()
    assert take_all(stage, 7) == [*new, *keys]
    assert [message.suspect for message in stage.hand.delivered] == [False] + [True] * 3 + [False] * 3


def test_tasks_that_were_stored_before_their_action_had_a_limit_are_held_to_it(stage: Stage) -> None:
    stage.begin(4)
    others = stage.submit("a", ["1"] * 3)
    strays = stage.submit("alone", ["1"] * 12)
    later = stage.submit("a", ["1"] * 3)
    stage.settle()
    stage.end(kill=False)  # what has come to memory as plain is not asked again
    stage.begin(4)
    stage.allow(4)
    for _ in range(30):
        stage.settle()
        held = [message.key for message in stage.hand.held]
        assert len(set(held) & set(strays)) <= 1
        stage.finish(1)
    assert [key for key in delivered(stage) if key in strays] == strays
    assert [key for key in delivered(stage) if key not in strays] == [*others, *later]
    check_nothing_is_remembered(stage)
