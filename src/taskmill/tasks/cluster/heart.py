"""What a node knows of its own beats: which id it has, whether it leads and until when, whom it may judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final, NamedTuple
from uuid import uuid4

from taskmill.sql import Transaction
from taskmill.sql.sessions import Session
from taskmill.tasks.cluster import beat as beats
from taskmill.tasks.cluster.beat import DEAD, Beat, Details

BEAT: Final = 2.0  # seconds between two beats
MARGIN: Final = 1.0  # seconds by which a leader stops before another may begin
STILL: Final = 3.0  # seconds without a turn of the loop after which it does not lead
RESIGNED: Final = 5.0  # seconds for which one that could not lead does not try


@dataclass
class Turn:
    """What the loop tells of itself, at each of its turns."""

    at: float  # monotonic
    details: Details
    seek: bool = True  # whether it may lead


class Heard(NamedTuple):
    """What the loop hears of each beat that came through."""

    id: bytes  # of this node: it is another than before where it had been declared dead
    sent: float  # monotonic
    beat: Beat
    fence: int | None  # of the lead, if this node has it
    until: float  # monotonic: when it stops to lead unless another beat comes through


class Heart:
    """Makes the beats of a node, one after another, from any one thread.

    A node judges others only when its own beats have come through for as long as theirs may be missing: after
    the database was away, all have been silent, and each gets the time to say that it lives.
    """

    def __init__(
        self, name: str, version: str, roles: Sequence[str], clock: Callable[[], float] = monotonic
    ) -> None:
        self.id = b""
        self._own = (name, version, list(roles))
        self._clock = clock
        self._fence: int | None = None
        self._until = 0.0
        self._steady = self._last = (
            clock()
        )  # since when, and when last, beats have come through without a gap
        self._resigned = float("-inf")
        self._resigning = False

    def resign(self) -> None:
        """Give the lead back with the next beat, and leave it to others for a while."""
        self._resigning = True

    def beat(self, session: Session, turn: Turn) -> Heard:
        """Beat once; raise DatabaseError where the database does not hear it."""
        sent = self._clock()
        if self._fence is not None and sent >= self._until:
            self._fence = None  # it may be another's by now
        if self._resigning:
            self._resigned = sent
        able = turn.seek and sent - turn.at < STILL and sent - self._resigned >= RESIGNED
        id_, beat = session.run(self._call(sent, turn.details, able))
        self._resigning = False
        if sent - self._last > 2 * BEAT:
            self._steady = sent
        self._last = sent
        self.id = id_
        lease = beat.lease
        if lease.holder != id_ or not lease.left:
            self._fence = None
        elif able:  # else it is kept as long as it was given for
            self._fence, self._until = lease.fence, sent + lease.left - MARGIN
        return Heard(id_, sent, beat, self._fence, self._until)

    def leave(self, session: Session) -> None:
        """Take the node out of the table, and give the lead back."""
        if self.id:
            session.run(lambda transaction: beats.leave(transaction, self.id, self._fence))

    def _call(self, sent: float, details: Details, able: bool) -> Callable[[Transaction], tuple[bytes, Beat]]:
        fence, resigning, id_, fresh = self._fence, self._resigning, self.id, uuid4().bytes
        judge = sent - self._steady > DEAD and sent - self._last <= 2 * BEAT

        def call(transaction: Transaction) -> tuple[bytes, Beat]:
            if resigning and fence is not None:
                beats.release(transaction, id_, fence)
            if id_:
                kept = fence if able else None
                beat = beats.beat(transaction, id_, details, fence=kept, seek=able, judge=judge)
                if beat.known:
                    return id_, beat
            beats.register(transaction, fresh, *self._own, details)
            return fresh, beats.beat(transaction, fresh, details, fence=None, seek=able, judge=False)

        return call
