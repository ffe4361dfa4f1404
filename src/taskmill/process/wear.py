"""When a worker process has done enough and is to be replaced by a fresh one."""

import logging
import time
from typing import NamedTuple

from taskmill.process import proc
from taskmill.units import Size

log = logging.getLogger("taskmill.process")

PAUSE = 0.1  # seconds between two looks at the memory of a worker whose calls are short


class Limits(NamedTuple):
    """What a worker process may do before it is replaced; None is no limit."""

    max_tasks: int | None = None  # calls
    max_memory: int | None = None  # resident bytes, as they are between calls

    def warn(self) -> None:
        """Log which limit cannot be kept on this system."""
        if self.max_memory is not None and not proc.AVAILABLE:
            log.warning("`max_memory` has no effect here: it needs /proc, which Linux has")


class Wear:
    """How worn one worker process is."""

    def __init__(self, limits: Limits, pid: int) -> None:
        self.preparations = 0  # answers that were to no caller's call
        self._limits = limits
        self._pid = pid
        self._looked = 0.0

    def reason(self, answered: int) -> str | None:
        """Return why the process, which has answered so many calls, is to be replaced; None if it is not."""
        calls = answered - self.preparations
        tasks, memory = self._limits
        if calls < 1:  # one too large from the start would be replaced without end
            return None
        if tasks is not None and calls >= tasks:
            return f"it has run {calls} calls, and `max_tasks` is {tasks}"
        if memory is not None and time.monotonic() >= self._looked + PAUSE:
            self._looked = time.monotonic()
            status = proc.status(self._pid)
            if status is not None and status.resident > memory:
                return f"it holds {status.resident >> 20} MiB, and `max_memory` is {Size(memory)}"
        return None
