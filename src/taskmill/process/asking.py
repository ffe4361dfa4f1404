"""Asking: what a worker process wants to know or have done while it runs a call, and waits for."""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar

from msgspec import msgpack

from taskmill.process.messages import CHUNK, Asked, Frames, frame

_BINARY = frozenset(b"\xc4\xc5\xc6")  # what a reply begins with, and no batch of calls
_END = b"\xc0"  # nothing follows
_decode_reply = msgpack.Decoder(bytes).decode


class Inbox:
    """What the parent sends: batches of calls, and replies to what the running one has asked."""

    def __init__(self, connection: socket.socket, send: Callable[[bytes], None]) -> None:
        self._connection = connection
        self._send = send
        self._frames = Frames()
        self._batches: deque[bytearray] = deque()
        self._replies: deque[bytes] = deque()
        self._open = True
        self._asking = threading.Lock()

    def next_batch(self) -> bytearray | None:
        """Wait for a batch of calls; None once there will be none any more."""
        while not self._batches:
            if not self._open or not self._read():
                return None
        return self._batches.popleft()

    def ask(self, question: bytes) -> bytes:
        """Ask the parent, and wait for its reply.

        Raises:
            ConnectionError: there is no parent any more.
        """
        with self._asking:  # threads of a call may ask, one after the other
            self._send(frame(Asked(question)))
            while not self._replies:
                if not self._read():
                    raise ConnectionError("the server has gone")
            return self._replies.popleft()

    def _read(self) -> bool:
        data = self._connection.recv(CHUNK)
        for message in self._frames.feed(data):
            if message[0] in _BINARY:
                self._replies.append(_decode_reply(message))
            elif message == _END:
                self._open = False
            else:
                self._batches.append(message)
        return bool(data)


class _Own:
    inbox: Inbox | None = None  # in a worker process, once it serves


# Who answers where a call runs without a worker process, as it does in tests of actions.
answering: ContextVar[Callable[[bytes], bytes] | None] = ContextVar("taskmill_answering", default=None)


def attach(inbox: Inbox) -> None:
    """Make this the inbox of the process."""
    _Own.inbox = inbox


def ask(question: bytes) -> bytes:
    """Ask whoever gave this worker process the call that it runs; wait for the reply.

    Raises:
        LookupError: this is no worker process.
        ConnectionError: there is no parent any more.
    """
    if (answer := answering.get()) is not None:
        return answer(question)
    if _Own.inbox is None:
        raise LookupError("only a worker process has somebody to ask")
    return _Own.inbox.ask(question)
