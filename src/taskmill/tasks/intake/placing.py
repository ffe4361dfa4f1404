"""Where a submitted task goes: its queue, its place there, and what it counts against."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from taskmill.http import BadRequest, FieldError
from taskmill.registry import nearest
from taskmill.tasks.actions.catalog import Registered
from taskmill.tasks.callback.asked import NEEDED
from taskmill.tasks.finding.values import IndexEntry, entries
from taskmill.tasks.ids import from_text, to_text
from taskmill.tasks.intake.submission import Submission
from taskmill.tasks.lifecycle import Status
from taskmill.tasks.message import Place, TaskMessage
from taskmill.units import parse_duration

if TYPE_CHECKING:
    from taskmill.tasks.callback.callbacks import Callbacks

_encode = msgspec.json.encode

KEY_LIMIT = 500  # characters of a key that is taken from the data


class Placing:
    """Places tasks; in ``queue``, where nothing says another.

    ``ageing`` (seconds): a task that has waited so long is as urgent as a new one of the next priority. ``callbacks``
    are there where ends of tasks can be told.
    """

    callbacks: Callbacks | None = None

    def __init__(self, queues: Collection[str], queue: str, ageing: float) -> None:
        self._queues = queues
        self.queue = queue
        self._ageing = int(ageing * 1000)

    def has(self, queue: str) -> bool:
        """Whether there is a queue of this name."""
        return queue in self._queues

    def rank(self, at: int, priority: int) -> int:
        """Return the rank of a task that may run from ``at`` on (milliseconds since 1970): smaller goes first.

        All that wait age alike, so their order never changes, and a rank is for good.
        """
        return at - self.ageing_off(priority)

    def ageing_off(self, priority: int) -> int:
        """Return what a priority takes off a rank."""
        return priority * self._ageing

    def queue_of(self, submission: Submission, registered: Registered) -> str:
        """Return the queue of a submission; raise BadRequest where there is none of that name."""
        queue = submission.queue or registered.action.options.queue or self.queue
        if queue not in self._queues:
            raise _no_queue(queue, self._queues)
        if not registered.waits_in(queue):
            raise BadRequest(
                f"Leave `queue` out: workers outside serve the action, in queue {registered.action.options.queue}.",
                [FieldError("queue", "not the queue of its action")],
            )
        return queue

    def check(self, submission: Submission, registered: Registered) -> None:
        """Raise BadRequest where a submission could not be placed."""
        self.queue_of(submission, registered)
        if submission.callback is not None:
            if self.callbacks is None:
                raise BadRequest(
                    f"Leave `callback` out, or {NEEDED}.", [FieldError("callback", "nothing here sends them")]
                )
            self.callbacks.check(submission.callback)
        if submission.hold is None:
            return
        for name, given in (
            ("key", submission.key or registered.action.options.unique.key),
            ("start_by", submission.start_by),
        ):
            if given is not None:
                raise BadRequest(
                    f"Leave `{name}` out, or `hold`: others cannot count on a task that may be dropped.",
                    [FieldError("hold", f"cannot stand beside `{name}`, here or declared by the action")],
                )

    def place(
        self, id_: bytes, submission: Submission, registered: Registered, decoded: Any, now: int
    ) -> NewTask:
        """Place a submission; raise BadRequest where :meth:`check` does."""
        self.check(submission, registered)
        options = registered.action.options
        queue = self.queue_of(submission, registered)
        at = now
        if submission.delay is not None:
            at = now + int(submission.delay * 1000)
        elif submission.run_at is not None:
            at = int(submission.run_at.timestamp() * 1000)
        priority = options.priority if submission.priority is None else submission.priority
        expires_in = submission.expires_in or submission.start_by or options.expires_in
        data = str(submission.data, "utf-8")
        after = followed(submission.after)
        place = Place(
            queue=queue,
            rank=self.rank(max(at, now), priority),
            max_attempts=submission.max_attempts or options.max_attempts,
            priority=priority,
            expires_at=None if expires_in is None else now + int(expires_in * 1000),
            timeout=submission.timeout,
            key=submission.key or _text_at(options.unique.key, submission.data),
            limit_key=limit_key_of(registered, submission.data) if options.limited else None,
        )
        message = TaskMessage(id_, submission.action, registered, data, decoded, place=place)
        own = at if at > now else None
        new = NewTask(
            message,
            place,
            run_at=own if submission.hold is None else now + int(parse_duration(submission.hold) * 1000),
            fair_key=submission.fair_key or _text_at(options.fair_key, submission.data),
            tags=submission.tags,
            created_at=now,
            index=entries(options.index, submission.data) if options.index else [],
            held=None if submission.hold is None else own or 0,
            after=after,
            anyhow=submission.on_failure == "run",
            name=submission.name,
        )
        if self.callbacks is not None:
            new.callback = self.callbacks.beside(new, submission)
        return new


class NewTask(msgspec.Struct):
    """A task that is not stored yet. ``index`` is what it is found by.

    ``held`` is its own ``run_at``, or 0, where it is held until ``run_at``.

    It waits for those in ``after``, ``anyhow`` if it runs however they end, or for its ``batch`` where it is that one's
    last task: then ``waits`` is true. ``name`` is what it is called. ``callback`` is the task that tells of its end,
    and is stored with it.
    """

    message: TaskMessage
    place: Place
    run_at: int | None
    fair_key: str | None
    tags: list[str]
    created_at: int
    index: list[IndexEntry] = []
    held: int | None = None
    after: Sequence[bytes] = ()
    anyhow: bool = False
    batch: bytes | None = None
    name: str | None = None
    waits: bool = False
    callback: NewTask | None = None

    def part_of(self, trace: str) -> None:
        """Make it part of a trace, and the task that tells of its end."""
        self.message.trace = trace
        if self.callback is not None:
            self.callback.message.trace = trace

    @property
    def status(self) -> Status:
        """The state that it begins in."""
        return Status.QUEUED if self.run_at is None and not self.follows else Status.SCHEDULED

    @property
    def looks_for_others(self) -> bool:
        """Whether it depends on other tasks how, or whether, it is stored."""
        return (
            self.place.key is not None
            or self.fair_key is not None
            or bool(self.after)
            or self.callback is not None
        )

    @property
    def looks(self) -> bool:
        """Whether it takes a transaction of its own calls to store it, and not a row alone."""
        return self.looks_for_others or bool(self.index)

    @property
    def follows(self) -> bool:
        """Whether it waits for other tasks to end."""
        return self.waits or bool(self.after)

    def row(self, rank: int | None = None) -> tuple[Any, ...]:
        """Return its row, in the order of :data:`taskmill.tasks.rows.statements.FULL`; ``rank`` if it is another."""
        place, message = self.place, self.message
        return (
            message.key,
            message.name,
            place.queue,
            message.body,
            self.status.value,
            place.max_attempts,
            self.created_at,
            place.rank if rank is None else rank,
            place.priority,
            self.run_at,
            place.expires_at,
            None if place.timeout is None else int(place.timeout * 1000),
            place.key,
            self.fair_key,
            place.limit_key,
            _encode(self.tags).decode() if self.tags else None,
            self.held,
            message.registered.version,
            _encode([to_text(id_) for id_ in self.after]).decode() if self.after else None,
            self.batch,
            self.name,
            getattr(message, "trace", None),
        )


def followed(ids: Sequence[str]) -> Sequence[bytes]:
    """Read the ids of tasks that are to be followed, each once; raise BadRequest for what is none."""
    found = [from_text(text) for text in ids]
    wrong = [FieldError(f"after[{place}]", "not an id") for place, id_ in enumerate(found) if id_ is None]
    if wrong:
        raise BadRequest("Name tasks by the ids that their submissions were answered with.", wrong)
    return list(dict.fromkeys(id_ for id_ in found if id_ is not None))


def limit_key_of(registered: Registered, data: msgspec.Raw) -> str:
    """Return which limit a task of a limited action counts against."""
    name, path = registered.action.name, registered.action.options.concurrency_key
    return name if path is None else f"{name}\x1f{_text_at(path, data) or ''}"


def _text_at(path: str | None, data: msgspec.Raw) -> str | None:
    """Return what stands in the data at a path, as text; None where there is nothing."""
    if path is None:
        return None
    value = msgspec.json.decode(data)
    for name in path.split(".")[1:]:
        value = value.get(name) if isinstance(value, dict) else None
    if value is None:
        return None
    text = value if isinstance(value, str) else _encode(value, order="sorted").decode()
    return text[:KEY_LIMIT]


def _no_queue(name: str, queues: Collection[str]) -> BadRequest:
    near = nearest(name, queues)
    message = f"unknown queue; did you mean `{near}`?" if near else "unknown queue"
    return BadRequest(
        f"No such queue. There are: {', '.join(sorted(queues))}.", [FieldError("queue", message)]
    )
