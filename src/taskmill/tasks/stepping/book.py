"""The book of an attempt: which steps were taken, by it or before it, and how the next is called."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_type_hints

import msgspec

from taskmill.tasks.actions.action import unsayable
from taskmill.tasks.actions.retrying import Fail

NAME_LIMIT = 200  # characters
MOST = 10_000  # steps of a task
RESULT_LIMIT = 2**20  # bytes of a step's result

_encode = msgspec.json.Encoder().encode


class StepError(Fail):
    """A step cannot be taken, or what it returned cannot be kept; the text says what to do. Its task has failed."""


class AttemptLost(Exception):
    """A step's result was not kept: the attempt that took it is no longer its task's own."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"what step {name!r} returned is not kept: the task was cancelled, timed out or is run again elsewhere"
        )


class Step(msgspec.Struct, array_like=True):
    """A step that was taken. ``result`` is JSON, ``started_at`` milliseconds since 1970; numbers begin with 1."""

    number: int
    name: str
    result: str
    started_at: int = 0


class Book:
    """What an attempt knows of its task's steps. ``kept`` holds results by name; None before they are read."""

    def __init__(self) -> None:
        self.kept: dict[str, str] | None = None
        self.reading = asyncio.Lock()  # for attempts on the loop, which take steps at the same time
        self._used: set[str] = set()
        self._number = 0

    def fill(self, steps: Sequence[Step]) -> None:
        """Take the steps of earlier attempts."""
        self.kept = {step.name: step.result for step in steps}
        self._number = max((step.number for step in steps), default=0)

    def name(self, wanted: str) -> str:
        """Return the name of the next step: a second one of a name is `name#2`, a third `name#3`."""
        if not wanted or len(wanted) > NAME_LIMIT or not wanted.isprintable():
            raise StepError(f"{wanted!r} cannot name a step: use up to {NAME_LIMIT} printable characters")
        name, times = wanted, 1
        while name in self._used:
            times += 1
            name = f"{wanted}#{times}"
        self._used.add(name)
        return name

    def entry(self, name: str, result: bytes, started_at: int) -> Step:
        """Enter a step that was taken."""
        self._number += 1
        if self._number > MOST:
            raise StepError(f"a task keeps {MOST:,} steps at most: make a task of each part instead")
        return Step(self._number, name, result.decode(), started_at)


def encoded(name: str, value: object) -> bytes:
    """Write what a step returned as JSON; raise StepError where that cannot be kept."""
    try:
        result = _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise StepError(f"step {name!r} returned what JSON cannot say: {error}") from None
    if wrong := unsayable(value):
        raise StepError(f"step {name!r} returned what JSON cannot say: {wrong}")
    if len(result) > RESULT_LIMIT:
        raise StepError(
            f"step {name!r} returned {len(result)} bytes, and {RESULT_LIMIT} are kept of one: "
            "store them elsewhere, and return where"
        )
    return result


def decoded(name: str, result: bytes | str, function: Callable[..., Any]) -> Any:
    """Read what a step returned as what its function declares: the same when it was taken and when it was kept."""
    try:
        decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_returned(function))
    except TypeError:  # of a type that JSON knows nothing of
        decoder = msgspec.json.Decoder()
    try:
        return decoder.decode(result)
    except msgspec.ValidationError as error:
        raise StepError(
            f"step {name!r}: what was kept is not what its function declares to return ({error}): mend that, or "
            "give the step another name"
        ) from None


def _returned(function: Callable[..., Any]) -> Any:
    try:
        return get_type_hints(inspect.unwrap(function)).get("return", Any)
    except (NameError, TypeError, AttributeError):  # it has none that can be read
        return Any
