"""Which tasks are a caller's business, and what of them may be shown."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from taskmill.http import BadRequest, Caller, FieldError
from taskmill.http.auth.caller import Scope
from taskmill.tasks.model import NULL, Attempt, ShownError, Task, TaskDetails, TaskError
from taskmill.tasks.view.filters import Filters

HIDDEN = "not shown to this key"


def shows_all(caller: Caller | None) -> bool:
    """Tell whether nothing of any task is hidden from a caller."""
    return caller is None or ("read" in caller.scopes and not caller.limited)


def is_business(caller: Caller | None, task: Task) -> bool:
    """Tell whether a caller may know that there is a task."""
    return caller is None or caller.may_see(task.queue, task.action)


def shown(caller: Caller | None, task: Task) -> Task:
    """Return a task as a caller may see it: without what is in it, for one that may only observe."""
    if caller is None or "read" in caller.scopes:
        return task
    task.data, task.result = NULL, NULL
    if task.error is not None:
        task.error = ShownError(task.error.type, HIDDEN, task.error.at)
    if isinstance(task, TaskDetails):
        if task.progress is not None:
            task.progress = msgspec.structs.replace(task.progress, message="")
        task.attempts = [_attempt(one) for one in task.attempts]
        if task.progress is not None:
            task.progress = msgspec.structs.replace(task.progress, message=HIDDEN)
    return task


def check_submission(caller: Caller, queue: str, action: str) -> None:
    """Raise BadRequest (403) where a caller may not submit such a task."""
    if caller.actions is not None and action not in caller.actions:
        raise _forbidden("action", action, caller.actions)
    if caller.queues is not None and queue not in caller.queues:
        raise _forbidden("queue", queue, caller.queues)


def check_callback(caller: Caller) -> None:
    """Raise BadRequest (403) where a caller may not have a URL told of a task: that shows data and result."""
    if "read" not in caller.scopes:
        why = "it would be told the task's data and result"
        raise BadRequest(
            "Leave `callback` out: it takes the scope `read`, which the key does not have.",
            [FieldError("callback", why)],
            403,
        )


def check_scope(caller: Caller | None, scope: Scope) -> None:
    """Raise BadRequest (403) where a caller lacks a scope."""
    if caller is not None and scope not in caller.scopes:
        raise BadRequest(f"This takes the scope `{scope}`, which the key does not have.", status=403)


def narrow(caller: Caller | None, filters: Filters) -> None:
    """Have filters mean only what a caller may see; raise BadRequest where they must say more for that."""
    if caller is None:
        return
    filters.queue = _narrowed("queue", filters.queue, caller.queues)
    filters.action = _narrowed("action", filters.action, caller.actions)


def claimable(caller: Caller | None, queue: str, actions: list[str] | None) -> list[str] | None:
    """Return of which actions a caller may claim tasks of a queue, None for all. Raises BadRequest (403)."""
    if caller is None:
        return actions
    if caller.queues is not None and queue not in caller.queues:
        raise _forbidden("queue", queue, caller.queues)
    if caller.actions is None:
        return actions
    for name in actions or ():
        if name not in caller.actions:
            raise _forbidden("action", name, caller.actions)
    return sorted(caller.actions) if actions is None else actions


def _narrowed(name: str, value: str | None, allowed: Collection[str] | None) -> str | None:
    if allowed is None or value in allowed:
        return value
    if value is not None:
        raise _forbidden(name, value, allowed)
    if len(allowed) == 1:
        return next(iter(allowed))
    known = ", ".join(sorted(allowed))
    raise BadRequest(
        f"Say which by `{name}`: this key sees some alone.", [FieldError(name, f"one of {known}")]
    )


def _forbidden(name: str, value: str, allowed: Collection[str]) -> BadRequest:
    message = f"this key is for {', '.join(sorted(allowed))} alone"
    return BadRequest(f"This key does not reach the {name} {value!a}.", [FieldError(name, message)], 403)


def _attempt(attempt: Attempt) -> Attempt:
    error = attempt.error
    if error is not None:
        error = TaskError(error.type, HIDDEN, error.at)
    return msgspec.structs.replace(attempt, error=error)
