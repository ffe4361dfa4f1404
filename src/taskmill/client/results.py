"""From a task that has ended to the value that its action returned, in the type that it was returned in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from threading import Semaphore
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, get_origin, is_typeddict

import msgspec

from taskmill.client.errors import NotEnded, ProblemError, SomeRefused, TaskCancelled, TaskFailed
from taskmill.client.model import Task

if TYPE_CHECKING:
    from taskmill.client.handle import AsyncHandle, Handle

FIRST, SLOWER, SLOWEST = 0.02, 1.5, 1.0  # seconds between looks at a task; how much longer each time; at most
HELD = 30.0  # seconds that the server is asked to hold an answer, at most
PART = 0.5  # of the time that an answer may take, so that one which is held is not taken for lost


def slots(connections: int) -> Semaphore:
    """Return what bounds the answers that are held at once: half of the connections stay for other requests."""
    return Semaphore(connections // 2)


class Looks:
    """Paces the looks at a task that is waited for.

    The server holds its answer until the task has ended, so that mostly one is enough. Beyond as many as there are
    ``slots``, looks are answered at once, and rest in between, longer each time. An answer may take ``patience``
    seconds.
    """

    def __init__(self, timeout: float | None, patience: float, slots: Semaphore) -> None:
        self._timeout = timeout
        self._longest = min(HELD, patience * PART)
        self._slots = slots
        self._began = monotonic()
        self._rest = FIRST
        self._was_held = False

    @contextmanager
    def look(self) -> Iterator[float]:
        """Look once: this yields for how many seconds the answer is to be held, 0 where it is not."""
        if not self._slots.acquire(blocking=False):
            self._was_held = False
            yield 0.0
            return
        began, seconds = monotonic(), self._longest
        if self._timeout is not None:
            seconds = max(0.0, min(seconds, self._began + self._timeout - began))
        try:
            yield seconds
        finally:
            self._slots.release()
        # A server that stops answers early: that is no reason to ask it without a rest.
        self._was_held = monotonic() - began >= seconds

    def rest(self, task: Task) -> float:
        """Return how many seconds to rest before the next look; raise NotEnded where the time is over."""
        rest, self._rest = self._rest, min(SLOWEST, self._rest * SLOWER)
        if self._was_held:
            rest, self._rest = 0.0, FIRST
        if self._timeout is None:
            return rest
        left = self._began + self._timeout - monotonic()
        if left <= 0:
            raise NotEnded(task, self._timeout)
        return min(rest, left)


def value(task: Task, type_: Any) -> Any:
    """Return what the action of a task returned: a mapping as it is, another value out of its ``{"output": …}``.

    Raises:
        TaskFailed, TaskCancelled: it has none.
        msgspec.ValidationError: it is no ``type_``.
    """
    if task.status == "failed":
        raise TaskFailed(task)
    if task.status == "cancelled":
        raise TaskCancelled(task)
    result = task.result
    if isinstance(result, dict) and result.keys() == {"output"} and not _is_mapping(type_):
        result = result["output"]
    return result if type_ is Any else msgspec.convert(result, type_, str_keys=True)


def _is_mapping(type_: Any) -> bool:
    """Whether the server stores values of a type as they are."""
    plain = get_origin(type_) or type_
    if not isinstance(plain, type):
        return False
    return issubclass(plain, Mapping | msgspec.Struct) or is_dataclass(plain) or is_typeddict(plain)


H = TypeVar("H", bound="Handle[Any] | AsyncHandle[Any]")


def handles(outcomes: Iterable[H | ProblemError]) -> list[H]:
    """Return the handles of many submissions; raise SomeRefused where some have none."""
    every = list(outcomes)
    errors = {number: one for number, one in enumerate(every) if isinstance(one, ProblemError)}
    if errors:
        raise SomeRefused([None if isinstance(one, ProblemError) else one for one in every], errors)
    return [one for one in every if not isinstance(one, ProblemError)]
