"""The pulse: a node's beats, from a thread of their own, on a connection of their own.

What keeps the loop for some seconds, such as an action that computes there or writes that wait for a commit, must
not make a node look dead. A loop that stands still for long is as good as dead, though.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from time import monotonic
from typing import Final

from taskmill.sql.sessions import Session
from taskmill.tasks.cluster.heart import BEAT, Heard, Heart, Turn

logger = logging.getLogger(__name__)

AGAIN: Final = 0.5  # seconds after a beat that failed
STUCK: Final = 60.0  # seconds without a turn of the loop after which the node is left to die


class Pulse:
    """Beats until it is stopped. ``heard`` is called on the loop for each beat that came through, in order.

    ``turn`` is what the loop tells of itself; its owner keeps it up to date.
    """

    def __init__(self, heart: Heart, session: Session, turn: Turn, heard: Callable[[Heard], None]) -> None:
        self._heart = heart
        self._session = session
        self._turn = turn
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._failing = False
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="taskmill-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def soon(self) -> None:
        """Beat now: there may be news."""
        self._wake.set()

    def resign(self) -> None:
        """Give the lead back for a while: this node cannot do what it takes."""
        self._heart.resign()
        self._wake.set()

    async def stop(self) -> None:
        """Beat no more, and take the node out of the table. Where that fails, the others find out by themselves."""
        self._stopped = True
        self._wake.set()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while not self._stopped:
            pause = self._once()
            self._wake.wait(pause)
            self._wake.clear()
        try:
            self._heart.leave(self._session)
        except Exception as error:
            logger.warning("this node could not say that it leaves: %s", error)
        finally:
            self._session.close()

    def _once(self) -> float:
        """Beat; return the seconds until the next one."""
        idle = monotonic() - self._turn.at
        if idle > STUCK:
            self._fails(f"its loop has stood still for {idle:.0f} s, so it counts as dead")
            return BEAT
        try:
            heard = self._heart.beat(self._session, self._turn)
        except Exception as error:  # of any kind: a node that does not beat is dead
            self._fails(str(error) or type(error).__name__)
            return AGAIN
        if self._failing:
            self._failing = False
            logger.warning("this node beats again")
        self._loop.call_soon_threadsafe(self._heard, heard)
        lease = heard.beat.lease
        return BEAT if lease.holder == heard.id else min(BEAT, lease.left + 0.05)

    def _fails(self, why: str) -> None:
        if not self._failing:
            logger.warning("this node does not beat: %s", why)
        self._failing = True
