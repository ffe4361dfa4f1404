"""What takes too long: on the loop, and to end once it was asked to."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)

BLOCKING = 100  # milliseconds on the loop that are worth a warning
GRACE = 1.0  # seconds that a cancelled action has to clean up


def warn_of_blocking(action: str, spent: float) -> None:
    """Log that an inline action kept the loop from everything else for so many milliseconds, if they are many."""
    if spent > BLOCKING:
        text = "action %s is inline and kept the loop from everything else for %d ms; leave `inline` out"
        logger.warning(text, action, spent)
