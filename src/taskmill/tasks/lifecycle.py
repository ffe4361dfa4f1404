"""The life of a task: its states, and every step between them (docs/lifecycle.md has the picture).

Each step is one guarded UPDATE, built by :func:`step`: it changes a row only in a state that the step may
start from. The end of an attempt names its attempt, too, so that a late worker never overwrites a newer truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NamedTuple


class Status(IntEnum):
    """Where a task is in its life; the numbers are stored."""

    QUEUED = 0  # may start as soon as there is a place
    SCHEDULED = 1  # waits for its `run_at`, a first time or a retry, or for other tasks to end
    RUNNING = 2
    COMPLETED = 3
    FAILED = 4  # no attempt is left, or the error must not be retried
    CANCELLED = 5

    @property
    def word(self) -> str:
        """As the API says it."""
        return self.name.lower()


STATUS_WORDS: Final = {status.word: status for status in Status}
WAITING: Final = (Status.QUEUED, Status.SCHEDULED)
ENDED: Final = (Status.COMPLETED, Status.FAILED, Status.CANCELLED)


class Step(NamedTuple):
    """One arrow of the picture."""

    sources: tuple[Status, ...]
    target: Status
    by: str  # who may cause it


_Q, _S, _R, _C, _F, _X = Status

# A start is written only once it has lasted a moment, so an attempt may end in a row that says `queued` still.
STEPS: Final[Mapping[str, Step]] = {
    "submit": Step((), _Q, "client"),
    "delay": Step((), _S, "client"),
    "hold": Step((), _S, "client"),
    "follow": Step((), _S, "client"),
    "due": Step((_S,), _Q, "clock"),
    "ready": Step((_S,), _Q, "tasks"),
    "start": Step((_Q, _R), _R, "worker"),
    "complete": Step((_Q, _R), _C, "worker"),
    "fail": Step((_Q, _R), _F, "worker"),
    "retry": Step((_Q, _R), _S, "worker"),
    "release": Step((_R,), _Q, "shutdown"),
    "reclaim": Step((_R,), _Q, "leader"),
    "expire": Step((_Q, _S), _F, "clock"),
    "lapse": Step((_S,), _X, "clock"),
    "forsake": Step((_S,), _F, "tasks"),
    "cancel": Step((_Q, _S, _R), _X, "client"),
    "redrive": Step((_F, _X), _Q, "client"),
}
