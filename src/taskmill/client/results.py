"""From a task that has ended to the value that its action returned, in the type that it was returned in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, get_origin, is_typeddict

import msgspec

from taskmill.client.errors import NotEnded, ProblemError, SomeRefused, TaskCancelled, TaskFailed
from taskmill.client.model import Task

if TYPE_CHECKING:
    from taskmill.client.handle import AsyncHandle, Handle

FIRST, SLOWER, SLOWEST = 0.02, 1.5, 1.0  # seconds between looks at a task; how much longer each time; at most


class Looks:
    """Paces the looks at a task that is waited for. A server that can hold its answer would need but one."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._began = monotonic()
        self._rest = FIRST

    def rest(self, task: Task) -> float:
        """Return how many seconds to rest before the next look; raise NotEnded where the time is over."""
        rest, self._rest = self._rest, min(SLOWEST, self._rest * SLOWER)
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
