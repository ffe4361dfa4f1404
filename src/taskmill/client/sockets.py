"""Blocking connections, kept open between requests and shared by threads."""

from __future__ import annotations

import os
import selectors
import socket
import ssl
import threading
import weakref
from time import monotonic

from taskmill.client.wire import Answer, Origin, Reader, Unreachable

CHUNK = 2**16

# A plain select() cannot watch sockets with high numbers; where there is only that, numbers are not so high.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


class Connection:
    """One connection. What goes wrong with it is an OSError."""

    def __init__(self, origin: Origin, context: ssl.SSLContext | None, deadline: float) -> None:
        self.socket = socket.create_connection((origin.host, origin.port), _left(deadline))
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if context is not None:
                self.socket = context.wrap_socket(self.socket, server_hostname=origin.host)
        except BaseException:
            self.socket.close()
            raise

    def stale(self) -> bool:
        """Whether the server has closed it, or said what nobody asked for."""
        with _Selector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            return bool(selector.select(0))

    def exchange(self, data: bytes, deadline: float) -> tuple[Answer, bool]:
        """Send a request and read its answer; also return whether the connection can have another."""
        self.socket.settimeout(_left(deadline))
        self.socket.sendall(data)
        reader = Reader()
        while True:
            self.socket.settimeout(_left(deadline))
            answer = reader.feed(self.socket.recv(CHUNK))
            if answer is not None:
                return answer, reader.reusable


class SocketPool:
    """Sends requests to one server over at most ``size`` connections, from any thread, also after a fork."""

    def __init__(self, origin: Origin, size: int, context: ssl.SSLContext | None) -> None:
        self._origin = origin
        self._context = context
        self._size = size
        self._slots = threading.BoundedSemaphore(size)
        self._idle: list[Connection] = []
        weakref.finalize(self, _close, self._idle)  # for clients that nobody closes
        self._process = os.getpid()

    def send(self, data: bytes, timeout: float) -> Answer:
        """Send a request and return its answer; ``timeout`` is in seconds, and for all of it. Raises Unreachable."""
        deadline = monotonic() + timeout
        if self._process != os.getpid():
            self._begin_anew()
        if not self._slots.acquire(timeout=timeout):
            raise Unreachable("all connections are in use", sent=False)
        try:
            connection = self._take(deadline)
            reusable = False
            try:
                answer, reusable = connection.exchange(data, deadline)
            except OSError as error:
                raise Unreachable.of(error, sent=True) from None
            finally:
                if reusable:
                    self._idle.append(connection)
                else:
                    connection.socket.close()
            return answer
        finally:
            self._slots.release()

    def close(self) -> None:
        """Close the idle connections."""
        _close(self._idle)

    def _begin_anew(self) -> None:
        """Leave to the parent of a fork what is the parent's: its connections, and the slots that it has taken."""
        self._process = os.getpid()
        self._slots = threading.BoundedSemaphore(self._size)
        self.close()

    def _take(self, deadline: float) -> Connection:
        while (connection := _pop(self._idle)) is not None:
            if not connection.stale():
                return connection
            connection.socket.close()
        try:
            return Connection(self._origin, self._context, deadline)
        except OSError as error:
            raise Unreachable.of(error, sent=False) from None


def _pop(idle: list[Connection]) -> Connection | None:
    try:
        return idle.pop()
    except IndexError:  # another thread was quicker
        return None


def _close(idle: list[Connection]) -> None:
    while (connection := _pop(idle)) is not None:
        connection.socket.close()


def _left(deadline: float) -> float:
    """Return the seconds until a deadline, and a moment more than none: 0 would mean not to wait at all."""
    return max(0.001, deadline - monotonic())
