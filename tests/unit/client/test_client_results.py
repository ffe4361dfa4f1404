"""From what is stored to what the action returned."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, TypedDict

import msgspec
import pytest

from taskmill.client.model import Task
from taskmill.client.results import FIRST, HELD, SLOWEST, Looks, slots, value


class Record(msgspec.Struct):
    output: int


@dataclass
class Data:
    output: int


class Typed(TypedDict):
    output: int


def completed(result: Any) -> Task:
    nothing: dict[str, Any] = dict.fromkeys(
        ["error", "key", "fair_key", "timeout", "run_at", "expires_at", "started_at", "finished_at"]
    )
    return Task(
        id="i", action="a", data={}, status="completed", result=result, queue="q", priority=0, tags=[], attempt=1,
        max_attempts=3, created_at="t", **nothing,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("result", "type_", "expected"),
    [
        ({"output": "x"}, Any, "x"),
        ({"output": None}, type(None), None),
        ({"output": 1, "more": 2}, Any, {"output": 1, "more": 2}),
        ({"output": "2026-01-02"}, date, date(2026, 1, 2)),
        ({"output": [1, 2]}, tuple[int, ...], (1, 2)),
        ({"output": 1}, float, 1.0),
        ({"output": 1}, int | None, 1),
        ({"output": 1}, dict, {"output": 1}),
        ({"output": 1}, dict[str, int], {"output": 1}),
        ({"output": 1}, Mapping[str, int], {"output": 1}),
        ({"output": 1}, Record, Record(1)),
        ({"output": 1}, Data, Data(1)),
        ({"output": 1}, Typed, {"output": 1}),
        ({"1": "x"}, dict[int, str], {1: "x"}),
    ],
)
def test_a_result_comes_in_the_type_of_its_action(result: Any, type_: Any, expected: Any) -> None:
    found = value(completed(result), type_)
    assert (found, type(found)) == (expected, type(expected))


def test_what_is_of_another_type_is_said() -> None:
    with pytest.raises(msgspec.ValidationError, match="Expected `int`, got `str`"):
        value(completed({"output": "x"}), int)


def test_looks_become_rarer() -> None:
    looks, task = Looks(None, 30.0, slots(1)), completed(None)
    rests = [looks.rest(task) for _ in range(20)]
    assert rests[0] == FIRST
    assert rests == sorted(rests)
    assert rests[-1] == SLOWEST


def test_a_look_is_held_where_a_connection_can_be_spared() -> None:
    both = slots(4)
    first, second, third = (Looks(None, 20.0, both) for _ in range(3))
    with first.look() as held, second.look() as held_too, third.look() as at_once:
        assert (held, held_too, at_once) == (10.0, 10.0, 0.0)
    with third.look() as held:
        assert held == 10.0, "the others have let go"


def test_a_look_is_held_no_longer_than_one_waits_nor_an_answer_may_take() -> None:
    with Looks(None, 1000.0, slots(2)).look() as held:
        assert held == HELD
    with Looks(0.5, 1000.0, slots(2)).look() as held:
        assert 0 < held <= 0.5
    with Looks(None, 1000.0, slots(1)).look() as held:
        assert held == 0.0, "its one connection is for all it asks"


def test_only_a_look_that_was_held_is_followed_by_the_next_at_once() -> None:
    held, cut_short = Looks(None, 0.0, slots(2)), Looks(None, 60.0, slots(2))
    for looks in (held, cut_short):
        with looks.look():
            pass
    assert held.rest(completed(None)) == 0.0
    assert cut_short.rest(completed(None)) == FIRST
