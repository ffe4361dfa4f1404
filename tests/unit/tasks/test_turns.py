"""Keys take turns: whoever waits is served after two rounds of all others at most, whatever they do."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import ClauseElement

from taskmill.tasks.intake.turns import fair_rank, in_turn
from taskmill.tasks.message import Dispatchable
from taskmill.tasks.rows import statements

NOW = 1_000_000
KEYS = "abcd"


class Table:
    """The waiting tasks of one queue and priority: rank, number, key."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, int, str]] = []
        self.placed: dict[bytes, int] = {}
        self._number = 0

    def submit(self, key: str) -> None:
        self._number += 1
        rank = fair_rank(self, "tasks", key, 0, alone=NOW + self._number)
        self.waiting.append((rank, self._number, key))

    def serve(self) -> str | None:
        """Take the first in line, and return whose it is."""
        if not self.waiting:
            return None
        first = min(self.waiting)
        self.waiting.remove(first)
        return first[2]

    def fetch(self, statement: ClauseElement, **values: Any) -> list[Any]:
        if statement is statements.FIRST_RANK:
            return [(min((rank for rank, _, _ in self.waiting), default=None),)]
        assert statement is statements.LAST_RANK
        return [(max((rank for rank, _, key in self.waiting if key == values["fair_key_"]), default=None),)]

    def change(self, statement: ClauseElement, **values: Any) -> int:
        assert statement is statements.PLACE
        self.placed[values["id_"]] = values["rank_"]
        return 1


steps = st.lists(st.one_of(st.sampled_from(KEYS), st.none()), max_size=200)  # submit for a key, or serve
# Two keys that each send their next task as soon as their last is served, while a third has many.
CLOSED_LOOP = [*"aaaaaaaabc", None, *([None, "b", None, "c"] * 20)]


@given(steps=steps)
@example(steps=CLOSED_LOOP)
def test_nobody_waits_longer_than_two_rounds(steps: Sequence[str | None]) -> None:
    table = Table()
    since = dict.fromkeys(KEYS, 0)  # services of others while a key waited
    for step in [*steps, *([None] * 200)]:
        if step is not None:
            table.submit(step)
            continue
        waiting = {key for _, _, key in table.waiting}
        served = table.serve()
        for key in KEYS:
            since[key] = since[key] + 1 if key in waiting and key != served else 0
            assert since[key] <= 2 * (len(KEYS) - 1)


@given(steps=steps)
def test_the_tasks_of_a_key_keep_their_order(steps: Sequence[str | None]) -> None:
    table = Table()
    for step in steps:
        if step is not None:
            table.submit(step)
    for key in KEYS:
        line = sorted((rank, number) for rank, number, of in table.waiting if of == key)
        assert [number for _, number in line] == sorted(number for _, number in line)


def test_the_first_of_all_stands_by_its_own_rank() -> None:
    assert fair_rank(Table(), "tasks", "a", 0, alone=77) == 77


@pytest.mark.parametrize(("key", "rank"), [(None, 900), ("a", NOW + 3), ("b", NOW + 2)])
def test_a_task_that_is_due_goes_after_those_of_its_key(key: str | None, rank: int) -> None:
    table = Table()
    table.submit("a")
    table.submit("a")
    row: Dispatchable = (b"x", "work", "{}", 0, 3, "tasks", 900, 0, None, None, None, None, None)
    assert in_turn(table, row, key) == (*row[:6], rank, *row[7:])
    assert table.placed == ({} if key is None else {b"x": rank})
