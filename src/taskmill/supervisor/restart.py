"""How long to wait before a process that failed is started again."""

from collections.abc import Callable, Iterator

from taskmill.registry import Restart


def delays(restart: Restart, random: Callable[[], float]) -> Iterator[float]:
    """Yield the seconds before each restart, and end when it is time to give up.

    `random` returns numbers from 0 to 1. Begin anew after a run that was stable.
    """
    delay, restarts = float(restart.initial_delay), 0
    while not restart.max_attempts or restarts < restart.max_attempts:
        delay = min(delay, restart.max_delay)
        yield delay * (1 + restart.jitter * (2 * random() - 1))
        delay *= restart.backoff_factor
        restarts += 1
