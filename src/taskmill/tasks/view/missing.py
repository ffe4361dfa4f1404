"""What is answered where no task has an id."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from taskmill.http import BadRequest

UNKNOWN = "No task has this id."


async def missing(was_pruned: Callable[[bytes], Awaitable[bool]], id_: bytes | None) -> BadRequest:
    """Return the answer where no task has an id: 410 if one had it, else 404."""
    if id_ is not None and await was_pruned(id_):
        detail = "The task ended and was pruned since: raise `keep` of the task service to keep tasks longer."
        return BadRequest(detail, status=410)
    return BadRequest(UNKNOWN, status=404)
