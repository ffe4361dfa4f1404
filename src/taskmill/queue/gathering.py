"""Gathering: messages that are handled together, as many as come within a moment."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from taskmill.queue.message import Message

if TYPE_CHECKING:
    from taskmill.queue.slot import Slot

Run = Callable[["Slot", Sequence[Message]], None]


@dataclass(slots=True, eq=False)
class Gathered:
    """Messages that wait for others of their kind. ``run`` handles them in a slot, as one message."""

    run: Run
    messages: list[Message] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class Gathering:
    """What a consumer has laid aside. It takes no place of work; what is ``due`` has the next that comes free.

    So what is laid aside of one kind is bounded: where no place is free, nobody lays more aside.
    """

    def __init__(self, is_due: Callable[[], None]) -> None:
        self.due: deque[Gathered] = deque()
        self.held = 0  # messages laid aside, the due ones too
        self._open: dict[object, Gathered] = {}
        self._is_due = is_due
        self._closed = False

    def add(self, key: object, message: Message, size: int, wait: float, run: Run) -> Gathered | None:
        """Lay a message aside; return all of its kind if they are complete with it.

        They are with ``size`` of them. Otherwise they are due ``wait`` seconds after the first of them.
        """
        gathered = self._open.get(key)
        if gathered is None:
            gathered = self._open[key] = Gathered(run)
        gathered.messages.append(message)
        self.held += 1
        if len(gathered.messages) < size and not self._closed:
            if gathered.timer is None:
                gathered.timer = asyncio.get_running_loop().call_later(wait, self._ring, key)
            return None
        self._close(key)
        self.held -= len(gathered.messages)
        return gathered

    def next_due(self) -> Gathered:
        """Take what has been due for longest."""
        gathered = self.due.popleft()
        self.held -= len(gathered.messages)
        return gathered

    def close(self) -> None:
        """Have all be due now: nothing follows that it could wait for."""
        self._closed = True
        for key in list(self._open):
            self._ring(key)

    def _ring(self, key: object) -> None:
        self.due.append(self._close(key))
        self._is_due()

    def _close(self, key: object) -> Gathered:
        gathered = self._open.pop(key)
        if gathered.timer is not None:
            gathered.timer.cancel()
        return gathered
