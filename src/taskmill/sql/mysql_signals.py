"""Signals on MySQL, which tells no connection what another has done: by a small table that each node reads often.

It is written on a connection of its own and never along with a row's commit: who has changed a row of it holds up all
who want to, until the commit. What is lost while the connection is away is made up for by calling everybody when it is
back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

from taskmill.sql.errors import DatabaseUnavailable
from taskmill.sql.mysql_connect import Dialer
from taskmill.sql.mysql_link import Error, Link
from taskmill.sql.signals import Signals

AT_MOST_EVERY = 0.05  # seconds between two signals of a topic within this process,
WRITE_EVERY = 0.1  # and between two to the others, who do not look more often
RETRY_SECONDS = 1.0  # between two attempts to look again
STOP_SECONDS = 5.0  # to wait for the thread, which may itself wait for a server that does not answer

TABLE = """
CREATE TABLE IF NOT EXISTS taskmill_signal (topic VARCHAR(100) NOT NULL PRIMARY KEY, number BIGINT NOT NULL)
ENGINE=InnoDB DEFAULT CHARSET=utf8mb4
"""
_SEND = "INSERT INTO taskmill_signal VALUES (%s, 1) ON DUPLICATE KEY UPDATE number = number + 1"
_LOOK = "SELECT topic, number FROM taskmill_signal"


class MysqlSignals(Signals):
    """Sends and hears signals. With ``listen`` false those of this process alone are heard, and none is sent."""

    def __init__(self, dialer: Dialer, *, listen: bool) -> None:
        self._dialer = dialer
        self._loop = asyncio.get_running_loop()
        self._calls: dict[str, list[Callable[[], None]]] = {}
        self._sent: dict[str, float] = {}  # by the loop's clock
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._lock = threading.Lock()
        self._outbox: set[str] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="taskmill-signals", daemon=True)
        self._listens = listen
        if listen:
            self._thread.start()

    def send(self, topic: str) -> None:
        """Wake up those who wait for a topic: here at once, then at most once in 50 ms; on other nodes soon."""
        if self._listens:
            with self._lock:
                self._outbox.add(topic)
        if topic not in self._later:
            wait = self._sent.get(topic, -AT_MOST_EVERY) + AT_MOST_EVERY - self._loop.time()
            self._later[topic] = self._loop.call_later(max(0.0, wait), self._hear_own, topic)

    def on(self, topic: str, call: Callable[[], None]) -> None:
        """Have ``call()`` called on the loop when a topic is sent, and when signals may have been lost."""
        self._calls.setdefault(topic, []).append(call)

    def stop(self) -> None:
        """Send and hear no more; wait for the thread, but not for ever."""
        for timer in self._later.values():
            timer.cancel()
        self._stopping.set()
        if self._listens:
            self._thread.join(STOP_SECONDS)

    def _hear_own(self, topic: str) -> None:
        self._later.pop(topic, None)
        self._sent[topic] = self._loop.time()
        self._hear(topic)

    def _hear(self, topic: str | None) -> None:
        for name, calls in list(self._calls.items()):
            if topic is None or name == topic:
                for call in calls:
                    call()

    def _tell(self, topic: str | None) -> None:
        with suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(self._hear, topic)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                link = self._dialer.connect("upkeep")
                try:
                    self._serve(link)
                finally:
                    link.drop()
            except (Error, DatabaseUnavailable):  # the writer says so, once
                self._stopping.wait(RETRY_SECONDS)

    def _serve(self, link: Link) -> None:
        known: dict[str, int] = dict(link.run(_LOOK).fetchall())
        self._tell(None)
        while not self._stopping.wait(WRITE_EVERY):
            with self._lock:
                topics, self._outbox = self._outbox, set()
            for topic in topics:
                link.run(_SEND, [topic])
                known[topic] = known.get(topic, 0) + 1  # of those, this one is our own
            if self._calls:
                for topic, number in link.run(_LOOK).fetchall():
                    if number != known.get(topic, 0):
                        known[topic] = number
                        self._tell(topic)
