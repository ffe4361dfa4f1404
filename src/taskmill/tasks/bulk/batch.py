"""A batch: tasks of one request that are stored with one transaction, each with its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from taskmill.http import BadRequest, FieldError
from taskmill.tasks.actions.catalog import Catalog, Registered
from taskmill.tasks.ids import IdSource
from taskmill.tasks.intake.once import IdempotencyKey, Submitted, idempotency_key
from taskmill.tasks.intake.placing import NewTask, Placing, followed
from taskmill.tasks.intake.submission import PlainSubmission, Submission, full, read_submission

Row = tuple[Any, ...]


class Wanted(NamedTuple):
    """A body that asks for a task: what it says, and the action that it names."""

    submission: PlainSubmission
    registered: Registered
    key: IdempotencyKey | None = None

    @property
    def plain(self) -> bool:
        """Whether the task has no more than an action and its data."""
        return self.registered.plain and self.key is None and not isinstance(self.submission, Submission)

    def queue(self, placing: Placing) -> str:
        """Return the queue that it will wait in."""
        return placing.queue_of(full(self.submission), self.registered)


def read(body: bytes, catalog: Catalog, placing: Placing) -> Wanted:
    """Read one body; raise BadRequest where it cannot be a task."""
    submission, registered, _ = read_submission(body, catalog)
    if isinstance(submission, Submission):
        placing.check(submission, registered)
        followed(submission.after)
        if submission.start_by is not None:
            why = "for single submissions only"
            raise BadRequest("Leave `start_by` out, or use `expires_in`.", [FieldError("start_by", why)])
        if submission.idempotency_key is not None:
            return Wanted(submission, registered, idempotency_key(submission.idempotency_key, body))
    return Wanted(submission, registered)


class Batch:
    """The rows of tasks, made in the order in which they were wanted.

    ``plain`` are rows of :data:`~taskmill.tasks.rows.statements.ADD`, or ADD_TRACED.
    ``full`` are other tasks, and ``looking`` those that look for others
    before they are stored, with their keys. ``ids`` are of all of them, as they were wanted. ``there`` has, by their
    places, those that were there already once they are stored. All are part of one ``trace``, if of any.
    """

    def __init__(self, trace: str | None = None) -> None:
        self._trace = trace
        self.plain: list[Row] = []
        self.full: list[NewTask] = []
        self.looking: list[tuple[int, NewTask, IdempotencyKey | None]] = []  # with their places among the ids
        self.ids: list[bytes] = []
        self.there: dict[int, Submitted] = {}

    def make(
        self, wanted: Sequence[Wanted], ids: IdSource, placing: Placing, queue: str, of: bytes | None
    ) -> None:
        """Give each its id and its row, now: ids must grow in the order of commits. They are members ``of`` a batch."""
        following, own, plain, trace = ids.next, self.ids.append, self.plain.append, self._trace
        for place, one in enumerate(wanted):
            submission, registered, key = one
            id_ = following()
            own(id_)
            if one.plain and of is None:
                data = str(submission.data, "utf-8")
                most, version = registered.action.max_attempts, registered.version
                row = (id_, submission.action, queue, data, most, ids.now, version)
                plain(row if trace is None else (*row, trace))
                continue
            new = placing.place(id_, full(submission), registered, None, ids.now)
            new.batch = of
            if trace is not None:
                new.part_of(trace)
            if key is None and not new.looks_for_others:  # its index is written beside it
                self.full.append(new)
            else:
                self.looking.append((place, new, key))
