"""The canary's judgement: what has an end, what fails as before, and what takes too long."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from taskmill.tasks.control import canary
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.rows import statements


def error(type_: str) -> str:
    return f'{{"type":"{type_}","message":"m","at":"t"}}'


class Rows:
    """The rows of tasks: how they stand before they run again, and after."""

    def __init__(self, before: str | None, *after: tuple[Status, str | None]) -> None:
        self.states = {bytes([n]): (Status.FAILED, 1, before) for n in range(len(after))}
        self._after = dict(zip(self.states, after, strict=True))
        self._attempts: dict[bytes, list[tuple[int, int, int, str]]] = {
            key: [(1, 0, 0, error("Old"))] for key in self.states
        }

    async def read(self, statement: Any, values: dict[str, Any]) -> list[Any]:
        if statement is statements.ATTEMPTS:
            return self._attempts[values["id_"]]
        return [self.states[values["id_"]]]

    async def retry(self, keys: Sequence[bytes]) -> Sequence[bytes]:
        for key in keys:
            status, text = self._after[key]
            self.states[key] = (status, 2, text)
            if text is not None:
                self._attempts[key].append((2, 0, 0, text))
        return keys


def tried(rows: Rows) -> tuple[int, bool, canary.Canary]:
    return asyncio.run(canary.try_out(rows, rows.retry, list(rows.states)))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "PATIENCE", 0.1)
    monkeypatch.setattr(canary, "LOOK", 0.001)


def test_all_complete() -> None:
    assert tried(Rows(error("Old"), (Status.COMPLETED, None), (Status.COMPLETED, None))) == (
        2, False, canary.Canary(completed=2),
    )  # fmt: skip


@pytest.mark.parametrize("status", [Status.FAILED, Status.SCHEDULED, Status.QUEUED, Status.RUNNING])
def test_a_failed_attempt_counts_whether_it_was_the_last_or_not(status: Status) -> None:
    count, stopped, found = tried(Rows(error("Old"), (status, error("Old"))))
    assert (count, stopped, found.failed, found.waiting) == (1, True, 1, 0)
    assert found.error is not None
    assert found.error.type == "Old"


def test_another_error_does_not_stop_the_rest_and_is_shown() -> None:
    count, stopped, found = tried(Rows(error("Old"), (Status.FAILED, error("New")), (Status.COMPLETED, None)))
    assert (count, stopped, found.completed, found.failed) == (2, False, 1, 1)
    assert found.error is not None
    assert found.error.type == "New"


def test_of_two_errors_the_one_as_before_is_shown() -> None:
    _, stopped, found = tried(
        Rows(error("Old"), (Status.FAILED, error("New")), (Status.FAILED, error("Old")))
    )
    assert stopped
    assert found.error is not None
    assert found.error.type == "Old"


def test_what_takes_too_long_stops_the_rest() -> None:
    count, stopped, found = tried(Rows(error("Old"), (Status.RUNNING, None), (Status.COMPLETED, None)))
    assert (count, stopped) == (2, True)
    assert found == canary.Canary(completed=1, waiting=1)


def test_one_that_was_cancelled_again_is_neither_a_failure_nor_waited_for() -> None:
    assert tried(Rows(None, (Status.CANCELLED, None))) == (1, False, canary.Canary())


def test_none_at_all() -> None:
    assert tried(Rows(None)) == (0, False, canary.Canary())
