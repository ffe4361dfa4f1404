"""A task on its way through a queue, and through one attempt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from taskmill.queue import Message
from taskmill.tasks.catalog import Registered
from taskmill.tasks.ids import to_text


class TaskMessage(Message):
    """A message whose body is a task's ``data``, with what its worker needs at hand.

    ``key`` is the task's id as bytes, ``decoded`` its data decoded by the action, if it has been, and
    ``attempts`` how often it had been started before this message. ``suspect`` says that it may have killed
    the last run. ``started_at`` (milliseconds since 1970; 0 while it waits for its turn) and ``noted`` (its
    row says that it runs) are of the attempt under way.
    """

    __slots__ = ("attempts", "decoded", "key", "name", "noted", "registered", "started_at", "suspect")

    def __init__(
        self,
        key: bytes,
        name: str,
        registered: Registered,
        data: str,
        decoded: Any = None,
        attempts: int = 0,
        suspect: bool = False,
    ) -> None:
        super().__init__(to_text(key), data)
        self.key = key
        self.name = name
        self.registered = registered
        self.decoded = decoded
        self.attempts = attempts
        self.suspect = suspect
        self.started_at = 0
        self.noted = False

    @property
    def attempt(self) -> int:
        """Which attempt this delivery is, from 1 on."""
        return self.attempts + self.deliveries

    def run(self) -> Any:
        """Call the action with the task's data. For an ``async def`` that makes the coroutine."""
        action = self.registered.action
        return action.run(self.decoded or action.decode(self.body))

    def headers(self) -> Mapping[str, str]:
        """Return the task's action and attempt, as a broker would carry them."""
        return {
            "action": self.name,
            "attempt": str(self.attempts),
            **({"suspect": "yes"} if self.suspect else {}),
        }
