"""What becomes of a task whose attempt has failed: the exceptions that say it, and the rest between attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from taskmill.units import parse_duration

_random = Random()  # noqa: S311 - spreads retries, guards nothing


class Retry(Exception):
    """Raised by an action to be run again, ``after`` a while (`"10s"`, or seconds; by its backoff if left out).

    With ``counts=False`` the attempt is not counted: the task only waits for something, as long as it takes.
    """

    def __init__(self, reason: str = "", *, after: str | float | None = None, counts: bool = True) -> None:
        super().__init__(reason or "the action asked to be run again")
        self.after = None if after is None else parse_duration(after)
        self.counts = counts


class Fail(Exception):
    """Raised by an action to end its task as failed, however many attempts are left."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long a task rests after a failed attempt.

    ``Backoff()`` is exponential with full jitter (see "Exponential Backoff And Jitter", AWS Architecture Blog):
    after the n-th attempt a random time below ``base`` times 2 to the power of n-1, ``cap`` at most. ``fixed``
    lists rests that are taken exactly as they are, the last one again and again. All are in seconds.
    """

    base: float = 1.0
    cap: float = 600.0
    fixed: Sequence[float] = ()

    @classmethod
    def of(cls, declared: Backoff | str | float | Sequence[str | float]) -> Backoff:
        """Read what an action declares: `"exponential"`, a duration, or a list of durations.

        Raises:
            ValueError: it is none of them.
        """
        if isinstance(declared, Backoff):
            return declared
        if declared == "exponential":
            return cls()
        rests = [declared] if isinstance(declared, str | int | float) else declared
        if not rests:
            raise ValueError("an empty list says no rest; write `[0]` for none")
        return cls(fixed=tuple(parse_duration(rest) for rest in rests))

    def rest(self, attempt: int) -> float:
        """Return the seconds to rest after the ``attempt``-th attempt, from 1 on."""
        if self.fixed:
            return self.fixed[min(attempt, len(self.fixed)) - 1]
        return _random.uniform(0, min(self.cap, self.base * 2 ** min(attempt - 1, 64)))
