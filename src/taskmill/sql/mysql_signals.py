"""Signals on MySQL, which cannot tell one connection what another has done: by the clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from taskmill.sql.signals import Signals

EVERY = 0.25  # seconds after which what another node may have sent is looked for
AT_MOST_EVERY = 0.05  # seconds between two signals of a topic


class MysqlSignals(Signals):
    """Sends signals within this process, and has everybody look now and then for what other nodes have done."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: dict[str, list[Callable[[], None]]] = {}
        self._sent: dict[str, float] = {}  # by the loop's clock
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._look: asyncio.TimerHandle | None = None

    def send(self, topic: str) -> None:
        """Wake up those of this process who wait for a topic: the first time at once, then at most once in 50 ms."""
        if topic in self._later:
            return
        wait = self._sent.get(topic, -AT_MOST_EVERY) + AT_MOST_EVERY - self._loop.time()
        self._later[topic] = self._loop.call_later(max(0.0, wait), self._hear, topic)

    def on(self, topic: str, call: Callable[[], None]) -> None:
        """Have ``call()`` called on the loop when a topic is sent, and now and then."""
        self._calls.setdefault(topic, []).append(call)
        if self._look is None:
            self._look = self._loop.call_later(EVERY, self._look_again)

    def stop(self) -> None:
        """Send and hear no more."""
        for timer in (*self._later.values(), *([self._look] if self._look else [])):
            timer.cancel()

    def _hear(self, topic: str) -> None:
        self._later.pop(topic, None)
        self._sent[topic] = self._loop.time()
        for call in self._calls.get(topic, []):
            call()

    def _look_again(self) -> None:
        self._look = self._loop.call_later(EVERY, self._look_again)
        for calls in list(self._calls.values()):
            for call in calls:
                call()
