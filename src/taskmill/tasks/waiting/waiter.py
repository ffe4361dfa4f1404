"""One request whose answer is held until a task has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from taskmill.http import Exchange


class Accepted(NamedTuple):
    """The 202 of a submission, sent where the task does not end in time. ``new`` says that the task is."""

    body: bytes
    headers: bytes
    new: bool


class Waiter:
    """A request that waits for the task with an id. ``accepted`` is given where it is a submission."""

    __slots__ = ("_accepted", "_exchange", "_timer", "key")

    def __init__(self, exchange: Exchange, key: bytes, accepted: Accepted | None = None) -> None:
        self.key = key
        self._exchange: Exchange | None = exchange  # None once it is answered, or nobody is there
        self._accepted = accepted
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waits(self) -> bool:
        """Whether there is somebody to answer."""
        return self._exchange is not None

    @property
    def closing(self) -> asyncio.Event | None:
        """What is set once its server stops; None where the answer cannot be held."""
        return None if self._exchange is None else self._exchange.closing

    def hold(self, seconds: float, over: Callable[[Waiter], None], gone: Callable[[Waiter], None]) -> None:
        """Call ``over`` after some seconds, and ``gone`` where the client goes before it is answered."""
        if self._exchange is not None:
            self._exchange.hold(partial(gone, self))
            self._timer = asyncio.get_running_loop().call_later(seconds, over, self)

    def show(self, task: bytes) -> None:
        """Answer with the task."""
        extra = b"" if self._accepted is None else self._accepted.headers
        if (exchange := self.release()) is not None:
            exchange.reply(200, task, headers=extra)

    def accept(self) -> bool:
        """Answer that the task is accepted, if that was asked; tell whether it was."""
        if self._accepted is None:
            return False
        if (exchange := self.release()) is not None:
            exchange.reply(202, self._accepted.body, headers=self._accepted.headers)
        return True

    def refuse(self, status: int, detail: str, headers: bytes = b"") -> None:
        """Answer with a problem: there is no such task, say."""
        if (exchange := self.release()) is not None:
            exchange.refuse(status, detail, headers=headers)

    def release(self) -> Exchange | None:
        """Hold the answer no longer; return what takes it, None where it has been taken, or nobody is there."""
        exchange, self._exchange = self._exchange, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            if exchange is not None:
                exchange.hold(None)
        return exchange
