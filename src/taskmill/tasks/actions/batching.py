"""Batch actions: a function that takes the data of several tasks, and returns as many results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from taskmill.tasks.actions.action import Action, ResultError, encode_result
from taskmill.tasks.actions.failure import Failure, failure_of

End = bytes | Failure  # of one task's attempt: its JSON result, or why it failed


class Items:
    """The data of a batch, decoded. What its action does not take (any more) fails alone, and is left out.

    Each is ``given`` as JSON, and as it was decoded already, if it was. ``places`` says which tasks of the batch the
    ``items`` are.
    """

    def __init__(self, action: Action[Any, Any], given: Iterable[tuple[Any, bytes | str]]) -> None:
        self.items: list[Any] = []
        self.places: list[int] = []
        self._action = action
        self._ends: list[End] = []
        for place, (decoded, body) in enumerate(given):
            try:
                self.items.append(decoded or action.decode_stored(body))
            except Exception as error:
                self._ends.append(failure_of(error, action))
            else:
                self._ends.append(b"")
                self.places.append(place)

    def call(self) -> Any:
        """Call the function with the items. For an ``async def`` that makes the coroutine."""
        return self._action.function(self.items)

    def returned(self, results: object) -> list[End]:
        """Tell each task's own end by what the function returned."""
        try:
            results = _checked(results, len(self.items), self._action.name)
        except ResultError as error:
            return self.raised(error)
        for place, result in zip(self.places, results, strict=True):
            self._ends[place] = _end_of(result, self._action)
        return self._ends

    def raised(self, error: BaseException) -> list[End]:
        """Have every task fail with what the function raised."""
        return self.failed(failure_of(error, self._action))

    def failed(self, failure: Failure) -> list[End]:
        """Have every task fail in the same way."""
        for place in self.places:
            self._ends[place] = failure
        return self._ends


def _checked(results: object, count: int, name: str) -> Sequence[Any]:
    if not isinstance(results, list | tuple):
        raise ResultError(
            f"batch action {name} got {count} items and returned {type(results).__name__}; "
            "return a list with one result for each item, in their order"
        )
    if len(results) != count:
        raise ResultError(
            f"batch action {name} got {count} items and returned {len(results)} results; "
            "return one for each item, in their order, and an exception for one that failed"
        )
    return results


def _end_of(result: object, action: Action[Any, Any]) -> End:
    if isinstance(result, BaseException):
        return failure_of(result, action)
    try:
        return encode_result(result)
    except ResultError as error:
        return failure_of(error, action)
