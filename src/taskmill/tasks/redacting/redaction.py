"""What is shown of a task without the fields that are declared to be hidden.

Data and results are stored as they are, since who runs a task needs them, and shown without. What an attempt says of
itself is stored without: its error may have a field's value in it, and nobody needs it there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from taskmill.tasks.actions.failure import Failure
from taskmill.tasks.model import Task
from taskmill.tasks.notes.said import Progress, Said

REDACTED: Final = "[redacted]"
SHORTEST: Final = 4  # characters of a value that is looked for in texts: shorter ones are in any

_PATH: Final = re.compile(r"(data|result|\*)(\.([^.\s*]+|\*))*")
_progress = msgspec.json.Decoder(Progress).decode

Steps = tuple[str, ...]  # of a path: names of fields; `*` is any


class Redaction:
    """Hides fields. A path is `data.card.number`, `result.token`, or `*.password`: of this name, at any depth."""

    def __init__(self, paths: Sequence[str]) -> None:
        split = [tuple(path.split(".")) for path in paths]
        self._data = [path[1:] for path in split if path[0] == "data"]
        self._result = [path[1:] for path in split if path[0] == "result"]
        # What a batch's last task is told of the others.
        self._data += [("batch", "results", "result", *path) for path in self._result]
        self._anywhere = [path[1:] for path in split if path[0] == "*"]

    def task(self, task: Task) -> None:
        """Hide what a task has as data and result."""
        task.data = self.data(task.data)
        task.result = self.result(task.result)

    def data(self, data: msgspec.Raw) -> msgspec.Raw:
        """Return data without the fields."""
        return self._hidden(data, self._data)

    def result(self, result: msgspec.Raw) -> msgspec.Raw:
        """Return a result without the fields."""
        return self._hidden(result, self._result)

    def failure(self, data: str, failure: Failure) -> Failure:
        """Return an attempt's failure without the values that the fields have in its task's data."""
        values = self._values(data)
        message, trace = _without(values, failure.message), _without(values, failure.traceback)
        return msgspec.structs.replace(failure, message=message, traceback=trace)

    def said(self, data: str, said: Said) -> Said:
        """Return what an attempt says of itself without those values."""
        values = self._values(data)
        if not values:
            return said
        progress = said.progress
        if progress is not None:
            read = _progress(progress)
            read = msgspec.structs.replace(read, message=_without(values, read.message))
            progress = msgspec.json.encode(read)
        clean = Said()
        clean.add(progress, [(at, _without(values, text)) for at, text in said.lines], 0)
        clean.lost += said.lost
        return clean

    def touches(self, path: str) -> bool:
        """Whether what stands at a path in the data is hidden, or has in it what is."""
        steps = tuple(path.split("."))[1:]
        exact = any(_meet(one, steps) for one in self._data)
        return (
            exact
            or any(_meet(one, steps[first:]) for one in self._anywhere for first in range(len(steps)))
            or bool(self._anywhere and not steps)
        )

    def _hidden(self, raw: msgspec.Raw, paths: list[Steps]) -> msgspec.Raw:
        try:
            value = msgspec.json.decode(raw)
            if value is None:
                return raw
            found = _hide(value, paths, self._anywhere)
        except (msgspec.DecodeError, RecursionError):  # it cannot be looked at, so nor is it shown
            return msgspec.Raw(msgspec.json.encode(REDACTED))
        return raw if found is value else msgspec.Raw(msgspec.json.encode(found))

    def _values(self, data: str) -> list[str]:
        """Return the values of the fields as they may stand in a text, the longest first."""
        try:
            value = msgspec.json.decode(data)
            found = set(_leaves_of(value, self._data, self._anywhere))
        except (msgspec.DecodeError, RecursionError):
            return []
        written = {form for one in found for form in (one, repr(one)[1:-1], json.dumps(one)[1:-1])}
        return sorted((one for one in written if len(one) >= SHORTEST), key=len, reverse=True)


def flaw(path: str) -> str:
    """Tell what is wrong with a path; nothing if it is well."""
    if not _PATH.fullmatch(path) or path == "*":
        return "write `data` or `result` and names of fields, or `*` for any depth: `data.card.number`, `*.password`"
    return ""


def _next(name: str, paths: Sequence[Steps]) -> list[Steps]:
    return [path[1:] for path in paths if path and path[0] in (name, "*")]


def _hide(value: Any, paths: Sequence[Steps], anywhere: Sequence[Steps]) -> Any:
    """Return a value without what is at the paths: itself where there is nothing."""
    if () in paths:
        return REDACTED
    if isinstance(value, dict):
        fields = {name: _hide(one, _next(name, [*paths, *anywhere]), anywhere) for name, one in value.items()}
        return fields if any(fields[name] is not value[name] for name in value) else value
    if isinstance(value, list):
        items = [_hide(one, paths, anywhere) for one in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def _leaves_of(
    value: Any, paths: Sequence[Steps], anywhere: Sequence[Steps], *, within: bool = False
) -> Iterator[str]:
    """Give the texts and numbers at the paths, and below them."""
    within = within or () in paths
    if isinstance(value, dict):
        for name, one in value.items():
            yield from _leaves_of(one, _next(name, [*paths, *anywhere]), anywhere, within=within)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves_of(one, paths, anywhere, within=within)
    elif within and isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def _without(values: Sequence[str], text: str) -> str:
    for value in values:
        text = text.replace(value, REDACTED)
    return text


def _meet(hidden: Steps, steps: Steps) -> bool:
    """Whether one of two paths leads to or through the other."""
    return all(one in (other, "*") for one, other in zip(hidden, steps, strict=False))
