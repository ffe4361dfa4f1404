"""`taskmill.testing` with steps and with batch actions."""

from collections.abc import Iterator

import pytest

from taskmill import action, current_task, step
from taskmill.testing import Tasks, running

ran: list[object] = []


def told(word: str) -> str:
    ran.append(word)
    return word


async def told_later(word: str) -> str:
    ran.append(word)
    return word


@action(max_attempts=2, backoff="10m")
def parts() -> list[str]:
    found = [step("one", told, "one")]
    if current_task().attempt == 1:
        raise OSError("not yet")
    return [*found, step("two", told, "two")]


@action(max_attempts=2, backoff="10m")
async def parts_on_the_loop() -> list[str]:
    found = [await step("one", told_later, "one")]
    if current_task().attempt == 1:
        raise OSError("not yet")
    return [*found, await step("two", told_later, "two")]


@action(batch=3, batch_wait="10m")
def squares(items: list[int]) -> list[int]:
    ran.append(items)
    return [item * item for item in items]


@pytest.fixture
def tasks() -> Iterator[Tasks]:
    ran.clear()
    with running(actions=[parts, parts_on_the_loop, squares]) as made:
        yield made


@pytest.mark.parametrize("name", ["parts", "parts_on_the_loop"])
def test_a_step_that_was_taken_is_not_taken_again(tasks: Tasks, name: str) -> None:
    handle = tasks.submit(name)
    tasks.run_next()
    tasks.clock.advance("10m")
    tasks.run_next()
    assert handle.result() == ["one", "two"]
    assert ran == ["one", "two"]
    assert [one.name for one in tasks.get(handle.id).steps] == ["one", "two"]


def test_a_task_of_a_batch_action_is_run_alone_when_it_is_told_to(tasks: Tasks) -> None:
    first, second = squares.submit(2), squares.submit(3)
    tasks.run_all()
    assert (first.result(), second.result()) == (4, 9)
    assert ran == [[2], [3]]
