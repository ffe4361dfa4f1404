"""Running a task's action again out of its capsule, in the process that asks for it."""

from __future__ import annotations

import asyncio
import inspect

import msgspec

from taskmill.tasks.actions.action import encode_result
from taskmill.tasks.actions.catalog import Catalog
from taskmill.tasks.actions.context import CurrentTask, running
from taskmill.tasks.actions.versions import hash_of


class UnknownAction(Exception):
    """The application has no function for the task's action."""


class _Task(msgspec.Struct):
    id: str
    action: str
    data: msgspec.Raw
    attempt: int


class _Schema(msgspec.Struct):
    hash: str


class Packed(msgspec.Struct):
    """What is needed of a capsule."""

    task: _Task
    data_schema: _Schema | None = None


def read_capsule(text: bytes) -> Packed:
    """Read a capsule; raise ValueError where it is none."""
    try:
        return msgspec.json.decode(text, type=Packed)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no capsule of a task: {error}") from None


class Replay:
    """A task that is about to run again. ``note`` says what is not as it was, if anything."""

    def __init__(self, catalog: Catalog, packed: Packed) -> None:
        task = packed.task
        registered = catalog.find(task.action)
        if registered is None:
            known = ", ".join(catalog.names())
            raise UnknownAction(f"the application has no action {task.action!r}; it has: {known}")
        if registered.action.served_outside:
            raise UnknownAction(f"action {task.action!r} has no function here: workers outside serve it")
        self._action = registered.action
        self._task = task
        passed = packed.data_schema
        changed = passed is not None and passed.hash != hash_of(self._action)
        self.note = (
            f"The schema of {task.action} has changed since the task was submitted." if changed else ""
        )

    def run(self) -> bytes:
        """Run it, and return its result as JSON. Raises what the action raises, or why its data is not taken."""
        task = self._task
        data = bytes(task.data)
        running.set(CurrentTask(task.id, max(task.attempt, 1), data, lambda: False, action=task.action))
        decoded = self._action.decode_stored(data)
        action = self._action
        returned = action.function([decoded]) if action.options.batch else action.run(decoded)
        if inspect.iscoroutine(returned):
            returned = asyncio.run(returned)
        return encode_result(returned[0] if self._action.options.batch else returned)
