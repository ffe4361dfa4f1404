"""What a client raises. Each says what is wrong and what mends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from taskmill.client.model import TaskError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from taskmill.client.handle import AsyncHandle, Handle
    from taskmill.client.model import Task


class ClientError(Exception):
    """Anything that a client raises about a server or a task."""


class AddressError(ClientError, ValueError):
    """The URL of a client is no address of a server."""

    def __init__(self, url: str) -> None:
        super().__init__(f"`{url}` is no address of a server: write http://HOST:PORT")


class ServerAway(ClientError):
    """No server answers at ``url``, for this ``reason``.

    ``maybe_done`` is true where the request may have arrived all the same: it was sent, and the answer did not
    come. A submission that is sent again with its ``idempotency_key`` is then the same task.
    """

    def __init__(self, url: str, reason: str, *, maybe_done: bool) -> None:
        self.url = url
        self.reason = reason
        self.maybe_done = maybe_done
        super().__init__(
            f"no server answers at {url} ({reason}): start one with `taskmill run`, or name another with "
            "Client(url=…), configure(url=…) or TASKMILL_URL"
            + (". The request was sent, and may have been done" if maybe_done else "")
        )


class NotTaskmill(ClientError):
    """What answers at ``url`` is another program: ``said`` tells what came."""

    def __init__(self, url: str, said: str) -> None:
        self.url = url
        self.said = said
        super().__init__(f"what answers at {url} is no Taskmill: {said}")


class FieldError(msgspec.Struct, frozen=True):
    """One field of a request that is wrong; ``path`` is dotted, such as ``data.text``."""

    path: str = ""
    message: str = ""


class ProblemError(ClientError):
    """The server refused a request: a problem document (RFC 9457).

    ``status`` is that of HTTP, ``detail`` says what to do, ``errors`` names the wrong fields, ``retry_after`` is in
    seconds where the server says when to come back. ``repeated`` is true where the request was sent before and
    its answer got lost: then it may be that first one that is in the way.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[FieldError] = (),
        *,
        retry_after: float | None = None,
        repeated: bool = False,
    ) -> None:
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = retry_after
        self.repeated = repeated
        super().__init__("\n".join([detail, *(f"  {error.path}: {error.message}" for error in errors)]))


class SomeRefused(ClientError):
    """Of many submissions, some were refused; the others are stored.

    ``handles`` has a handle, or None, for each submission in its order, and ``errors`` the refusals by place.
    """

    def __init__(
        self, handles: Sequence[Handle[Any] | AsyncHandle[Any] | None], errors: Mapping[int, ProblemError]
    ) -> None:
        self.handles = list(handles)
        self.errors = dict(errors)
        first = next(iter(self.errors))
        super().__init__(
            f"{len(self.errors)} of {len(self.handles)} submissions were refused; number {first} because: "
            f"{self.errors[first]}"
        )


class TaskEnded(ClientError):
    """A task has ended without a result."""

    def __init__(self, task: Task, why: str) -> None:
        self.task = task
        super().__init__(f"task {task.id} ({task.action}) {why}")


class TaskFailed(TaskEnded):
    """A task has failed, after its last attempt. ``error`` says why, ``task`` is all of it."""

    def __init__(self, task: Task) -> None:
        hidden = "a key of the scope `read` is told why; this one is not"
        self.error = task.error or TaskError(type="Hidden", message=hidden, at=task.finished_at or "")
        super().__init__(task, f"failed: {self.error.type}: {self.error.message}")


class TaskCancelled(TaskEnded):
    """A task was cancelled; ``task`` is all of it."""

    def __init__(self, task: Task) -> None:
        super().__init__(task, "was cancelled")


class NotEnded(ClientError, TimeoutError):
    """A task has not ended in the time that was given for waiting; it goes on."""

    def __init__(self, task: Task, seconds: float) -> None:
        self.task = task
        super().__init__(
            f"task {task.id} ({task.action}) is {task.status} after {seconds:g} s of waiting; why it waits, "
            "its client's `why` tells"
        )
