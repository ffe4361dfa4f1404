"""What a function in a worker process says to its parent while it runs, beside the answers of the calls."""

import socket
from threading import Lock

from taskmill.process.messages import Said, frame


class Voice:
    """The worker's end of its connection. Any thread may speak: what one sends stays together."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = Lock()

    def send(self, data: bytes) -> None:
        """Send whole frames; waits while the parent does not read."""
        with self._lock:
            self._connection.sendall(data)


class _Own:
    voice: Voice | None = None  # in a worker process, once it serves


def attach(voice: Voice | None) -> None:
    """Make this the voice of the process; None takes it away, and with it the last hold on the connection."""
    _Own.voice = voice


def say(what: bytes) -> None:
    """Have the caller of the call that runs in this worker process hear something; nobody does in any other process."""
    voice = _Own.voice
    if voice is not None:
        voice.send(frame(Said(what)))
