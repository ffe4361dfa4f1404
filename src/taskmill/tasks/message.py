"""A task on its way through a queue, and through one attempt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from taskmill.queue import Message
from taskmill.tasks.ids import time_in, to_text

if TYPE_CHECKING:
    from taskmill.tasks.actions.catalog import Registered
    from taskmill.tasks.actions.outgoing import Outgoing
    from taskmill.tasks.stepping.book import Book

# id, action, data, attempt, max_attempts, queue, rank, priority, expires_at, timeout, key, limit_key, trace
Dispatchable = tuple[
    bytes, str, str, int, int, str, int | None, int | None, int | None, int | None, str | None, str | None,
    str | None,
]  # fmt: skip

FIRST = -(2**62)  # the rank of what goes before everything else


@dataclass(slots=True, frozen=True)
class Place:
    """What a task that is not plain brings along; see :data:`taskmill.tasks.rows.schema.task`."""

    queue: str
    rank: int
    max_attempts: int
    priority: int = 0
    expires_at: int | None = None  # milliseconds since 1970
    timeout: float | None = None  # seconds
    key: str | None = None
    limit_key: str | None = None


class TaskMessage(Message):
    """A message whose body is a task's ``data``, with what its worker needs at hand.

    ``key`` is the task's id as bytes, ``decoded`` its data decoded by the action, if it has been, and
    ``attempts`` how often it had been started before this message. ``place`` is None for a plain task.
    ``suspect`` says that it may have killed the last run. ``started_at`` (milliseconds since 1970; 0 while it
    waits for its turn), ``noted`` (its row says that it runs) and ``stopping`` (why it is being stopped) are
    of the attempt under way. ``book`` is there once the attempt has taken a step,
    ``outgoing`` once it has submitted a task, and ``trace`` where the task is part of one: see the column.
    """

    book: Book
    outgoing: Outgoing
    trace: str

    __slots__ = (
        "attempts", "book", "decoded", "key", "name", "noted", "outgoing", "place", "registered",
        "started_at", "stopping", "suspect", "trace",
    )  # fmt: skip

    def __init__(
        self,
        key: bytes,
        name: str,
        registered: Registered,
        data: str,
        decoded: Any = None,
        attempts: int = 0,
        suspect: bool = False,
        place: Place | None = None,
    ) -> None:
        super().__init__(to_text(key), data)
        self.key = key
        self.name = name
        self.registered = registered
        self.decoded = decoded
        self.attempts = attempts
        self.suspect = suspect
        self.place = place
        self.started_at = 0
        self.noted = False
        self.stopping: Literal["", "timeout", "cancelled"] = ""

    @property
    def attempt(self) -> int:
        """Which attempt this delivery is, from 1 on."""
        return self.attempts + 1

    @property
    def max_attempts(self) -> int:
        """How often the task may be started."""
        return self.place.max_attempts if self.place else self.registered.action.options.max_attempts

    @property
    def timeout(self) -> float | None:
        """How long an attempt may take, in seconds."""
        declared = self.place.timeout if self.place else None
        return declared or self.registered.action.options.timeout

    @property
    def careful(self) -> bool:
        """Whether an attempt may begin only once it stands in the task's row.

        It must where the task may be one that kills the process, where another submission may replace the data
        until then, and where its start counts against a rate, also after a crash.
        """
        return self.attempts > 0 or self.suspect or (self.place is not None and self._noted_first(self.place))

    def _noted_first(self, place: Place) -> bool:
        rated = place.limit_key is not None and self.registered.action.options.rate is not None
        return rated or place.key is not None

    def run(self) -> Any:
        """Call the action with the task's data. For an ``async def`` that makes the coroutine."""
        action = self.registered.action
        return action.run(self.decoded or action.decode_stored(self.body))

    def headers(self) -> Mapping[str, str]:
        """Return the task's action and attempt, as a broker would carry them."""
        return {
            "action": self.name,
            "attempt": str(self.attempts),
            **({"suspect": "yes"} if self.suspect else {}),
        }


def from_row(
    row: Dispatchable, registered: Registered, *, suspect: bool = False, first: bool = False
) -> TaskMessage:
    """Make a message of a row; ``first`` puts it before all others."""
    (
        id_, action, data, attempt, max_attempts, queue, rank, priority, expires_at, timeout, key, limit_key, trace,
    ) = row  # fmt: skip
    place = None
    if first or rank is not None or max_attempts != registered.action.options.max_attempts:
        place = Place(
            queue,
            FIRST if first else time_in(id_) if rank is None else rank,
            max_attempts,
            priority or 0,
            expires_at,
            None if timeout is None else timeout / 1000,
            key,
            limit_key,
        )
    message = TaskMessage(id_, action, registered, data, attempts=attempt, suspect=suspect, place=place)
    if trace is not None:
        message.trace = trace
    return message
