"""Steps of a few tasks in any order and in any batches, against the table of steps: each database does the same."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import select
from stored import Stored, now
from stores import Place

from taskmill.sql import Transaction
from taskmill.tasks.lifecycle import STEPS, Status
from taskmill.tasks.message import TaskMessage
from taskmill.tasks.rows import steps
from taskmill.tasks.rows.schema import attempt, task

TASKS = 3
# In the order in which one commit runs them.
LANES = ("start", "release", "retry", "fail", "complete")
CALLS = {"due": steps.DUE, "cancel": steps.CANCEL, "expire": steps.EXPIRE, "redrive": steps.REDRIVE}

# What is asked for: a step, of which task, and how far its attempt is from the one that the row says.
asked = st.tuples(st.sampled_from([*LANES, *CALLS]), st.integers(0, TASKS - 1), st.integers(-1, 1))
Asked = tuple[str, int, int]
rounds = st.lists(st.lists(asked, min_size=1, max_size=8), max_size=8)


@dataclass
class Model:
    """A task as its row must be."""

    status: Status = Status.QUEUED
    attempt: int = 0
    failed: set[int] = field(default_factory=set)

    def take(self, name: str, number: int) -> None:
        """Take a step, by attempt ``number``, if the table of steps lets it."""
        if self.status not in STEPS[name].sources:
            return
        own = number == self.attempt + (self.status is Status.QUEUED)
        if name == "start":
            if self.attempt != number - 1:
                return
            self.attempt = number
        elif name == "release":
            if self.attempt != number:
                return
            self.attempt -= 1
        elif name in ("complete", "fail", "retry"):
            if not own:
                return
            self.attempt = number
        self.status = STEPS[name].target

    def record(self, number: int) -> None:
        """Keep the error of an attempt, if it is the task's own."""
        if self.status in STEPS["fail"].sources and number == self.attempt + (self.status is Status.QUEUED):
            self.failed.add(number)


async def _ask(
    stored: Stored, keys: Sequence[bytes], models: Sequence[Model], batch: Sequence[Asked]
) -> None:
    """Ask for steps in one turn of the loop, so that one commit has them, and have the model take them."""
    at = [model.attempt for model in models]
    told: list[Asked] = []
    calls = []
    records: set[tuple[int, int]] = set()
    for name, which, off in batch:
        number = max(1, at[which] + 1 + off)
        if name in CALLS:
            calls.append((name, which))
            continue
        if name in ("retry", "fail"):
            if (which, number) in records:
                continue  # an attempt fails once; nobody asks twice
            records.add((which, number))
        told.append((name, which, number))
        _tell(stored, keys[which], name, number)

    def call(transaction: Transaction) -> None:
        for name, which in calls:
            values = {"finished_at_": 1, "error_": "null", "max_attempts_": 9, "rank_": 1}
            transaction.change(CALLS[name], id_=keys[which], **values)

    await stored.database.write(call)
    for _, which, number in [one for one in told if one[0] == "start"]:
        models[which].take("start", number)
    for _, which, number in [one for one in told if one[0] == "release"]:
        models[which].take("release", number)
    for _, which, number in [one for one in told if one[0] in ("retry", "fail")]:
        models[which].record(number)
    for lane in ("retry", "fail", "complete"):
        for _, which, number in [one for one in told if one[0] == lane]:
            models[which].take(lane, number)
    for name, which in calls:
        models[which].take(name, 0)


def _tell(stored: Stored, key: bytes, name: str, number: int) -> None:
    message = _message(stored, key, number)
    if name == "start":
        stored.store.start(message)
    elif name == "release":
        stored.store.release(message)
    else:
        stored.tell(message, name)


def _message(stored: Stored, key: bytes, number: int) -> TaskMessage:
    message = TaskMessage(key, "work", stored.registered, "{}", attempts=number - 1)
    message.started_at = now()
    return message


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=rounds)
def test_every_step_is_as_the_table_says(place: Place, history: list[list[Asked]]) -> None:
    async def main() -> None:
        async with place.open() as database:
            stored = Stored(database)
            keys = [await stored.add_full() for _ in range(TASKS)]
            models = [Model() for _ in keys]
            for batch in history:
                await _ask(stored, keys, models, batch)
                read = stored.reader.read
                for key, model in zip(keys, models, strict=True):
                    rows = await read(select(task.c.status, task.c.attempt).where(task.c.id == key), {})
                    note(f"{batch} -> {rows}")
                    assert rows == [(model.status, model.attempt)]
                    kept = await read(select(attempt.c.attempt).where(attempt.c.task_id == key), {})
                    assert {number for (number,) in kept} == model.failed

    asyncio.run(main())
