"""Signals by LISTEN and NOTIFY, on a connection and a thread of their own.

A NOTIFY takes a lock that all transactions with one wait for at their commit, so it never goes along with a row's:
it follows the commit, and of many at once one is sent. What is lost while the connection is away is made up for by
calling everybody when it is back.
"""

from __future__ import annotations

import asyncio
import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql

from taskmill.sql.errors import DatabaseUnavailable
from taskmill.sql.postgres_connect import Dialer
from taskmill.sql.signals import Signals

AT_MOST_EVERY = 0.05  # seconds between two signals of a topic
RETRY_SECONDS = 1.0  # between two attempts to listen again


class PostgresSignals(Signals):
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
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._thread = threading.Thread(target=self._run, name="taskmill-signals", daemon=True)
        self._listens = listen
        if listen:
            self._thread.start()

    def send(self, topic: str) -> None:
        """Wake up those who wait for a topic: the first time at once, then at most once in 50 ms."""
        if topic in self._later:
            return
        wait = self._sent.get(topic, -AT_MOST_EVERY) + AT_MOST_EVERY - self._loop.time()
        if wait > 0:
            self._later[topic] = self._loop.call_later(wait, self._send, topic)
        else:
            self._send(topic)

    def on(self, topic: str, call: Callable[[], None]) -> None:
        """Have ``call()`` called on the loop when a topic is sent, and when signals may have been lost."""
        self._calls.setdefault(topic, []).append(call)

    def stop(self) -> None:
        """Send and hear no more; wait for the thread."""
        for timer in self._later.values():
            timer.cancel()
        self._stopping.set()
        self._interrupt()
        if self._listens:
            self._thread.join()
        os.close(self._wake)
        os.close(self._woken)

    def _send(self, topic: str) -> None:
        self._later.pop(topic, None)
        self._sent[topic] = self._loop.time()
        self._loop.call_soon(self._hear, topic)
        if self._listens:
            with self._lock:
                self._outbox.add(topic)
            self._interrupt()

    def _interrupt(self) -> None:
        with suppress(BlockingIOError):  # it is full of them
            os.write(self._wake, b"!")

    def _hear(self, topic: str | None) -> None:
        for known, calls in self._calls.items():
            for call in calls if topic in (None, known) else ():
                call()

    def _tell(self, topic: str | None) -> None:
        with suppress(RuntimeError):  # the loop has closed
            self._loop.call_soon_threadsafe(self._hear, topic)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._dialer.connect("signals") as connection:
                    self._serve(connection)
            except (psycopg.Error, DatabaseUnavailable):  # the writer says so, once
                self._stopping.wait(RETRY_SECONDS)

    def _serve(self, connection: psycopg.Connection[Any]) -> None:
        ((schema,),) = connection.execute("SELECT current_schema()").fetchall()
        channel = f"{schema}.taskmill"
        own, wire = connection.info.backend_pid, connection.pgconn

        def heard(notice: psycopg.Notify) -> None:
            if notice.pid != own:
                self._tell(notice.payload)

        connection.add_notify_handler(heard)  # of those that come with the answer to a statement
        connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._tell(None)
        poll = select.poll()  # unlike `select.select`, it knows descriptors over 1,024
        poll.register(wire.socket, select.POLLIN)
        poll.register(self._woken, select.POLLIN)
        while not self._stopping.is_set():
            with self._lock:
                topics, self._outbox = self._outbox, set()
            for topic in topics:
                connection.execute("SELECT pg_notify(%s, %s)", (channel, topic))
            wire.consume_input()
            while (notice := wire.notifies()) is not None:
                heard(psycopg.Notify(channel, notice.extra.decode(), notice.be_pid))
            if any(descriptor == self._woken for descriptor, _ in poll.poll()):
                os.read(self._woken, 4096)
