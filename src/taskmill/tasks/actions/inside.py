"""``submit()``: tasks that an action submits itself. They are stored with its result, or not at all."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Unpack

import msgspec

from taskmill.tasks.actions.context import CurrentTask, Together, under_way
from taskmill.tasks.actions.outgoing import Outgoing, SubmitError

if TYPE_CHECKING:
    from taskmill.client import Submission, SubmitOptions


class Submitted(msgspec.Struct, frozen=True):
    """A task that is stored with the result of the action that submits it. Awaited, it is its id."""

    id: str

    def __await__(self) -> Generator[Any, None, str]:
        """Return the id, at once."""
        yield from ()
        return self.id

    def __str__(self) -> str:
        """Return the id."""
        return self.id


def submit(
    action: str | Submission[Any], data: object = None, /, **options: Unpack[SubmitOptions]
) -> Submitted:
    """Submit a task out of an action: it is stored in the transaction that stores the action's result.

    In an ``async def`` write `id = await submit("name", data)`, in a ``def`` `id = submit("name", data).id`. An attempt
    that fails submits nothing, nor does one that is cancelled or comes too late; the next one submits afresh. In
    place of a name and data this takes a `Submission`, such as `uppercase.submission(text="hi")`.

    Raises:
        SubmitError: there can be no such task; the action's own has failed.
        LookupError: no task runs here. A thread that an action started has none.
    """
    task = under_way("submit()")
    if isinstance(task, Together):
        raise SubmitError("a batch action cannot submit tasks: its own end one by one")
    body = _body(action, data, options)
    if isinstance(task, CurrentTask):
        return Submitted(task.outgoing.add(body))
    registered = task.registered
    if registered.completing is None:
        raise SubmitError("nobody stores here what an action submits")
    registered.completing.check(body)
    outgoing: Outgoing | None = getattr(task, "outgoing", None)
    if outgoing is None:
        registered.submits = True
        outgoing = task.outgoing = Outgoing()
    return Submitted(outgoing.add(body))


def _body(action: str | Submission[Any], data: object, options: SubmitOptions) -> bytes:
    """Make the body of a submission; raise SubmitError where it is for a client alone."""
    from taskmill.client import Submission  # noqa: PLC0415 - most actions submit nothing

    submission = Submission(action, data, **options) if isinstance(action, str) else action
    if submission.alone or submission.idempotency_key:
        raise SubmitError(
            "leave `start_by` and `idempotency_key` out: the task is stored once, with the result of the action"
        )
    return submission.body
