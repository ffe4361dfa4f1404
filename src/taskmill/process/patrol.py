"""A look at every worker process now and then, for what tells itself to nobody."""

import asyncio

from taskmill.process import proc
from taskmill.process.child import Child
from taskmill.process.crew import Crew

ROUNDS = 4  # in a lease


class Patrol:
    """Ends processes that are stopped for longer than the lease, or cut off, and has their memory looked at.

    It judges by what a process is, never by how long a call takes. A stop that lasted is one in which the process
    was given no processor between two looks. Only looks count, not the clock: where this process was stopped as
    well, the others get their time again.
    """

    def __init__(self, crew: Crew, lease: float) -> None:
        self._crew = crew
        self._lease = lease  # seconds
        # Those that are stopped: their switches, and the rounds since they were first seen with them.
        self._stopped: dict[Child, tuple[int, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin; the first look is after a pause."""
        pause = max(self._lease / ROUNDS, 0.01)
        self._timer = asyncio.get_running_loop().call_later(pause, self._round)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _round(self) -> None:
        self.start()
        before, self._stopped = self._stopped, {}
        for child in self._crew.everyone:
            status = proc.status(child.pid)
            if status is not None and status.state == proc.STOPPED:
                switches, rounds = before.get(child, (status.switches, -1))
                rounds = rounds + 1 if switches == status.switches else 0
                self._stopped[child] = status.switches, rounds
                if rounds >= ROUNDS and child.calls:
                    why = f"its worker process was stopped for longer than the lease of {self._lease:g} s, and killed"
                    child.kill("stalled", why)
            child.check()
            self._crew.weigh(child)
