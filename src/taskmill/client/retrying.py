"""When a request is sent again: what both clients do between two attempts."""

from __future__ import annotations

import random
from time import monotonic

from taskmill.client.wire import Answer, Unreachable

FIRST, CAP = 0.1, 5.0  # seconds: the bounds of the first random rest, and of any
NOTHING_DONE = 429
MAYBE_DONE = (
    502,
    503,
    504,
)  # by a server whose database went away in a commit, or behind a proxy that cannot tell


class Patience:
    """What is left of the time that one request may take, over all its attempts.

    ``safe`` says that it does no harm to send the request again although the first may have been heard.
    """

    def __init__(self, seconds: float, *, safe: bool) -> None:
        self.repeated = False  # whether an attempt before may have been heard
        self._until = monotonic() + seconds
        self._safe = safe
        self._attempt = 0

    def after(self, answer: Answer) -> float | None:
        """Return how many seconds to rest before another attempt; None to take this answer."""
        if answer.status in MAYBE_DONE and self._safe:
            self.repeated = True
        elif answer.status != NOTHING_DONE:
            return None
        return self._rest(retry_after(answer) or 0.0)

    def after_failure(self, failure: Unreachable) -> float | None:
        """Return how many seconds to rest before another attempt; None to give up."""
        if failure.sent:
            if not self._safe:
                return None
            self.repeated = True
        return self._rest(0.0)

    def _rest(self, least: float) -> float | None:
        """Choose a rest at random, so that many clients do not come back all at once."""
        bound = min(CAP, FIRST * 2.0 ** min(self._attempt, 30))
        self._attempt += 1
        rest = least + random.uniform(0, bound)  # noqa: S311 - no secret
        return rest if monotonic() + rest <= self._until else None


def retry_after(answer: Answer) -> float | None:
    """Return the seconds of `Retry-After`; None where there are none."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
