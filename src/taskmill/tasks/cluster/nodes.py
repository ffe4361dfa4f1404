"""The nodes: this process among those that share its database, whether it counts as alive, and who else does."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import Final
from uuid import uuid4

from taskmill import __version__
from taskmill.sql import Database
from taskmill.tasks.cluster import topics
from taskmill.tasks.cluster.beat import Details, Node
from taskmill.tasks.cluster.heart import Heard, Heart, Turn
from taskmill.tasks.cluster.leadership import Leadership
from taskmill.tasks.cluster.pulse import Pulse

logger = logging.getLogger(__name__)

ROLES: Final = ("http", "workers")  # of a node that does everything
SILENT: Final = 6.0  # seconds without a beat that came through after which a node begins no more work
LOOK: Final = 0.5  # seconds between the loop's looks at its own state


class Nodes:
    """This node, and what it knows of the others.

    Attributes:
        id: this node's id, another one after it was declared dead; empty where the database is this process's alone.
        name: host and process, for people.
        alive: the nodes there were at the last beat, this one included.
        leadership: whether this node leads.
        reborn: called when this node has been declared dead and has another id: what it had belongs to others.
        quiet: called with True when beats have failed for so long that it must begin nothing, with False when it may.
        beaten: called after each beat that came through.
        buried: called when this node has declared others dead.

    ``only`` is its one role, where it has not both. ``details`` tells what the node says of itself, ``may_lead``
    whether it could lead; both are asked on the loop.
    """

    def __init__(
        self,
        database: Database,
        only: str | None,
        details: Callable[[], Details],
        may_lead: Callable[[], bool] = lambda: True,
    ) -> None:
        self.id = b""
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self.roles = list(ROLES) if only is None else [only]
        self.alive: Sequence[Node] = ()
        self.leadership = Leadership(self._resign)
        self.reborn: list[Callable[[], None]] = []
        self.quiet: list[Callable[[bool], None]] = []
        self.beaten: list[Callable[[], None]] = []
        self.buried: list[Callable[[], None]] = []
        self._database = database
        self._details = details
        self._may_lead = may_lead
        self._own_id = uuid4().bytes
        self._started_at = int(time() * 1000)
        self._beaten_at = 0.0  # monotonic
        self._is_quiet = False
        self._first = asyncio.Event()
        self._pulse: Pulse | None = None
        self._turn = Turn(monotonic(), Details())
        self._timer: asyncio.TimerHandle | None = None

    @property
    def may_work(self) -> bool:
        """Whether this node may begin work: the others know that it lives."""
        return self._pulse is None or monotonic() - self._beaten_at < SILENT

    @property
    def silent_for(self) -> float:
        """Seconds since the last beat that came through; 0 where there is none to make."""
        return 0.0 if self._pulse is None else monotonic() - self._beaten_at

    def here(self) -> Node:
        """Return this node as it is now, where the database is this process's alone."""
        now = int(time() * 1000)
        return Node(self._own_id, self.name, __version__, self.roles, self._started_at, now, self._details())

    async def start(self) -> None:
        """Become known to the others; where this node leads at once, begin to lead before this returns."""
        if not self._database.shared:
            await self.leadership.alone()
            return
        heart = Heart(self.name, __version__, self.roles)
        self._pulse = Pulse(heart, self._database.session(), self._turn, self._heard)
        self._beaten_at = monotonic()
        self._look()
        self._database.signals.on(topics.LEADER, self._pulse.soon)
        self._pulse.start()
        await self._first.wait()
        await self.leadership.settled()

    async def stop(self) -> None:
        """Leave: give the lead back, and tell the others."""
        if self._timer is not None:
            self._timer.cancel()
        led = self.leadership.is_leader
        await self.leadership.stop()
        if self._pulse is not None:
            await self._pulse.stop()
            if led:
                self._database.signals.send(topics.LEADER)

    def _look(self) -> None:
        """Tell the thread how the loop is, and see whether beats come through."""
        self._turn.details = self._details()
        self._turn.seek = self._may_lead()
        self._turn.at = monotonic()
        self.leadership.check()
        self._hush(not self.may_work)
        self._timer = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _heard(self, heard: Heard) -> None:
        """Take what a beat came to."""
        self._beaten_at = heard.sent
        self.alive = heard.beat.nodes
        before, self.id = self.id, heard.id
        if before and before != heard.id:
            logger.warning("this node had been declared dead; what it had in hand belongs to others")
            self.leadership.heard(None, 0.0)
            for call in self.reborn:
                call()
        self.leadership.heard(heard.fence, heard.until)
        self._hush(not self.may_work)
        self._first.set()
        for one in heard.beat.buried:
            silence = one.age / 1000
            logger.warning("node %s is dead: no beat for %.1f s; others run its tasks", one.name, silence)
        if heard.beat.buried:
            for call in self.buried:
                call()
        for call in self.beaten:
            call()

    def _hush(self, quiet: bool) -> None:
        if quiet == self._is_quiet:
            return
        self._is_quiet = quiet
        if quiet:
            logger.warning("this node begins no more tasks: it has not beaten for %.0f s", self.silent_for)
        else:
            logger.warning("this node begins tasks again")
        for call in self.quiet:
            call(quiet)

    def _resign(self) -> None:
        if self._pulse is not None:
            self._pulse.resign()
