"""Outgoing tasks: what an attempt has submitted, until it ends."""

from __future__ import annotations

from typing import Final

from taskmill.tasks.actions.retrying import Fail
from taskmill.tasks.ids import IdSource, to_text

MOST: Final = 10_000  # tasks of an attempt
LONGEST: Final = 2**26  # bytes of them together

_ids = IdSource()  # of this process: such tasks have ranks, so that their ids may be in any order

Wanted = tuple[str, bytes]  # an id, and the body of a submission


class SubmitError(Fail):
    """An action cannot submit this; the text says what to do. Its own task has failed."""


class Outgoing:
    """The tasks that an attempt has submitted so far."""

    def __init__(self) -> None:
        self.tasks: list[Wanted] = []
        self._bytes = 0

    def add(self, body: bytes) -> str:
        """Add one; return its id. Raises SubmitError where there are too many."""
        self._bytes += len(body)
        if len(self.tasks) >= MOST or self._bytes > LONGEST:
            raise SubmitError(
                f"an action submits up to {MOST:,} tasks of {LONGEST >> 20} MiB together: "
                "have tasks submit a part each"
            )
        id_ = to_text(_ids.next())
        self.tasks.append((id_, body))
        return id_
